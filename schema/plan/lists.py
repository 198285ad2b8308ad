"""The statements of lists and of single rows."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from schema.fields import Entity, Listing, Realm
from schema.inputs import refuse, uuid_of
from schema.page import LARGEST, MOST_COUNTED
from schema.plan.build import Build, Place, Rows, Sight, inherits, living
from schema.plan.catalog import Declared
from schema.plan.keyset import beyond
from schema.plan.pages import Asked, asked, cut, filtered, page_object, parted
from schema.plan.select import Selected
from schema.plan.sources import TALLIED, is_tallied, object_of, tallied
from schema.plan.values import Typed, missing


def _cursor(build: Build, rows: Rows, page: Asked, alias: str) -> str:
    if page.cursor is None:
        return ""
    return beyond(build, rows, page.order, page.window, page.target, page.cursor, alias)


def root_page(build: Build, item: Selected, listing: Listing, target: Entity, name: str) -> str:
    """The expression of a page of everything that the caller may see."""
    page = asked(build, item, listing, target, name)
    size, found, total = page.window.size, build.code.name("g"), build.code.name("n")
    build.charge(size)
    rows = Rows(size)
    where = living(target, "y") + filtered(build, rows, page, "y")
    beyond_cursor = _cursor(build, rows, page, "y")
    counted: list[str] = []

    def count() -> str:
        counted.append(rows.column(_count(build, rows, page, where)))
        return total

    shown = page_object(build, page, rows, count)
    limit, by = size + 1, page.order.by
    sees = "" if build.sight is Sight.everything else build.seen(target)

    def sql(projects: str = "") -> str:
        source = _source(build, rows, target, "*", where + beyond_cursor, f" order by {by('y')} limit {limit}", projects)
        return f"select {rows.selected} from ({source}) t {' '.join(rows.joins)} order by {by('t')} limit {limit}"

    read = build.fetched(sql(), rows, sees)
    if sees and target.scope != "id":
        first = f"select * from {target.table} y where y.{target.scope} = p.id{where}{beyond_cursor} order by {by('y')} limit 1"
        everything = f"unnest({rows.bind_ids(sees)}) p(id)"
        promising = f"(select p.id from {everything} cross join lateral ({first}) y order by {by('y')} limit {limit})"
        read = f"({build.fetched(sql(promising), rows)} if len({sees}) > {2 * limit} else {read})"
    build.code.statements.append(f"{found} = {read}")
    if counted:
        column = counted[0].removeprefix("r")
        build.code.statements.append(f"{total} = {found}[0]{column} if {found} else {_empty_total(build, page, sees)}")
    cut_ = build.code.constant(cut)
    build.code.statements.append(f"{found} = {cut_}({found}, {size}, {not page.forward})")
    for child in rows.children:
        child(f"{found}[1]")
    return f"[{shown} for more, rows in ({found},)][0]"


def _source(build: Build, rows: Rows, target: Entity, what: str, where: str, rest: str, projects: str = "") -> str:
    """The rows of a table that may be seen: out of a set of projects, the first ones of each, since a scan that looks for a
    small tenant's rows in a large table is as slow as the table is long. `projects` selects some of the set."""
    if build.sight is Sight.everything:
        return f"select {what} from {target.table} y where true{where}{rest}"
    seen = rows.bind_ids(build.seen(target))
    if target.scope == "id":
        return f"select {what} from {target.table} y where y.id = any({seen}){where}{rest}"
    each = f"select {what} from {target.table} y where y.{target.scope} = p.id{where}{rest}"
    return f"select y.* from {projects or f'unnest({seen})'} p(id) cross join lateral ({each}) y{rest}"


def _count(build: Build, rows: Rows, page: Asked, where: str) -> str:
    """The sub-select of a root page's total."""
    target = page.target
    if page.narrowed or target.table not in TALLIED:
        rest = f" limit {MOST_COUNTED + 1}" if page.narrowed else ""
        return f"(select count(*) from ({_source(build, rows, target, '1', where, rest)}) n)"
    seen = "" if build.sight is Sight.everything else f" where n.project_id = any({rows.bind_ids(build.seen(target))})"
    return f"(select coalesce(sum(n.{target.table}), 0)::int from tally n{seen})"


def _empty_total(build: Build, page: Asked, sees: str) -> str:
    """The expression of the total when the page has no rows: 0 on the first page, else it has to be asked for."""
    if page.cursor is None:
        return "0"
    rows = Rows(1)
    where = living(page.target, "y") + filtered(build, rows, page, "y")
    counted = build.fetched(f"select {_count(build, rows, page, where)}", rows)
    return f"(({counted})[0][0] if {sees} else 0)" if sees else f"({counted})[0][0]"


def related_page(build: Build, place: Place, item: Selected, declared: Declared) -> str:
    """The expression of a page of the rows that point to a row: one statement for the pages of all parents."""
    source, target = declared.source, declared.target
    if not isinstance(source, Listing) or target is None:
        raise TypeError(declared.name)
    page = asked(build, item, source, target, declared.name)
    size, most = page.window.size, place.rows.most * page.window.size
    build.charge(most)
    found, total, pages = build.code.name("g"), build.code.name("n"), build.code.name("p")
    key, counted = place.rows.column(f"{place.alias}.id"), list[str]()
    inherited = inherits(place.entity, str(source.fk), target)

    def count() -> str:
        if not counted:
            build.charge(place.rows.most)
            if not page.narrowed and is_tallied(source.fk, target):
                counted.append(tallied(place, target))
                return total
            where = (
                filtered(build, place.rows, page, "n") + living(target, "n") + build.visible(place.rows, target, "n", inherited=inherited)
            )
            one = f"select 1 from {target.table} n where n.{source.fk} = {place.alias}.id{where}"
            limit = f" limit {MOST_COUNTED + 1}" if page.narrowed else ""
            counted.append(place.rows.column(f"(select count(*) from ({one}{limit}) n)"))
        return total

    rows = Rows(most)
    shown = page_object(build, page, rows, count)

    def fetch(parents: str) -> None:
        keys, lines = build.code.name("i"), build.code.statements
        lines.append(f"{keys} = [{key} for r in {parents}{place.guard}]")
        ids = rows.bind_ids(keys)
        where = living(target, "y") + filtered(build, rows, page, "y") + build.visible(rows, target, "y", inherited=inherited)
        where += _cursor(build, rows, page, "y")
        by = page.order.by
        inner = f"select * from {target.table} y where y.{source.fk} = k.id{where} order by {by('y')} limit {size + 1}"
        outer = f"unnest({ids}) with ordinality k(id, position) cross join lateral ({inner}) t"
        columns = ", ".join([*rows.columns, "k.position - 1"])
        sql = f"select {columns} from {outer} {' '.join(rows.joins)} order by k.position, {by('t')}"
        lines.append(f"{found} = {build.code.constant(parted)}({build.fetched(sql, rows, keys)}, len({keys}), {size}, {not page.forward})")
        for child in rows.children:
            child(f"[r for _, rows in {found} for r in rows]")
        totals = f", [{counted[0]} for r in {parents}{place.guard}]" if counted else ""
        each = f"(more, rows), {total} in zip({found}{totals})" if counted else f"more, rows in {found}"
        lines.append(f"{pages} = ({shown} for {each})")

    place.rows.children.append(fetch)
    return f"next({pages})"


def row(build: Build, type_: Any, sets: list[Any], target: Entity, id: str, seen: Callable[[Rows], str], condition: str) -> tuple[str, str]:
    """The name of the list that holds the row with an id, if any, and the expression of its object.

    `seen` makes the condition that it may be seen; nothing is fetched unless `condition` holds.
    """
    rows, found = Rows(1), build.code.name("g")
    build.charge(1)
    number = rows.bind(id)
    shown = object_of(build, type_, sets, Place(rows, "t", target))
    where = f"t.id = {number}{seen(rows)}"
    sql = f"select {rows.selected} from {target.table} t {' '.join(rows.joins)} where {where}"
    build.code.statements.append(f"{found} = {build.fetched(sql, rows, condition)}")
    for child in rows.children:
        child(found)
    return found, shown


def get(build: Build, item: Selected, target: Entity) -> str:
    """The expression of one row by its id; `NotFound` stands for one that does not exist or may not be seen."""
    id, value = build.code.name("a"), build.value(item, "id") or "''"
    build.code.arguments.append(f"{id} = {build.code.constant(uuid_of)}({value})")
    found, shown = row(build, item.type, item.sets, target, id, lambda rows: _sighted(build, rows, target), f"{id} is not None")
    unseen = build.code.constant(partial(missing, target.title, target.singular))
    return f"([{shown} for r in {found}] or [{unseen}({value}, trouble)])[0]"


def _sighted(build: Build, rows: Rows, target: Entity) -> str:
    """The condition that a row may be seen when it is asked for by its id alone."""
    seen = living(target, "t") + build.visible(rows, target, "t")
    if target.realm is Realm.person and build.sight is not Sight.everything:
        me, teams = rows.bind("context.caller.id"), rows.bind_ids("seen.teams")
        seen += f" and (t.id = {me} or t.id in (select m.user_id from membership m where m.team_id = any({teams})))"
    return seen


def node(build: Build, item: Selected) -> str:
    """The expression of whatever has an id."""
    id = build.code.name("a")
    build.code.arguments.append(f"{id} = {build.code.constant(uuid_of)}({build.value(item, 'id') or repr('')})")
    return f"{_by_id(build, item, f'[{id}]', 1, f'{id} is not None')}.get({id})"


def nodes(build: Build, item: Selected) -> str:
    """The expression of a list of what has these ids, in their order, null where there is nothing."""
    ids = build.code.name("a")
    build.code.arguments.append(f"{ids} = {build.code.constant(_ids)}({build.value(item, 'ids')})")
    return f"[found.get(id) for found in ({_by_id(build, item, ids, LARGEST, ids)},) for id in {ids}]"


def _ids(given: list[Any]) -> list[UUID | None]:
    if len(given) > LARGEST:
        refuse("ids", "length", f"may be {LARGEST} at most", len(given))
    return [uuid_of(each) for each in given]


def _by_id(build: Build, item: Selected, ids: str, most: int, condition: str) -> str:
    """The expression of a dictionary of objects by their id: one lookup says in which tables they are, then those rows are fetched."""
    kinds, entities, ask = build.code.name("n"), build.catalog.entities, Rows(most)
    number = ask.bind_ids(ids)
    lookup = " union all ".join(f"select '{title}' from {entity.table} where id = any({number})" for title, entity in entities.items())
    build.code.statements.append(f"{kinds} = {{r[0] for r in {build.fetched(lookup, ask, condition)}}}")
    build.charge(most)
    shown = []
    for title, entity in entities.items():
        rows, found = Rows(most), build.code.name("g")
        where, key = f"t.id = any({rows.bind_ids(ids)}){_sighted(build, rows, entity)}", rows.column("t.id")
        body = object_of(build, build.catalog.schema.type_map[title], item.sets, Place(rows, "t", entity))
        sql = f"select {rows.selected} from {entity.table} t {' '.join(rows.joins)} where {where}"
        build.code.statements.append(f"{found} = {build.fetched(sql, rows, f'{title!r} in {kinds}')}")
        for child in rows.children:
            child(found)
        shown.append(f"**{{{key}: {build.code.constant(Typed)}({title!r}, {body}) for r in {found}}}")
    return f"{{{', '.join(shown)}}}"
