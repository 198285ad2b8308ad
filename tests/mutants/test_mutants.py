"""Mutants of the query compiler: mistakes that somebody might make in one line of `schema/plan/`; its tests have to notice each."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.full, pytest.mark.services]

ROOT = Path(__file__).parents[2]
PARTS = ("gateway", "schema", "workers", "models", "tests", "pyproject.toml")
IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", "mutants")
LONGEST = 300
"""Seconds that the tests of one mutant may take."""

BEHAVIOUR = (
    "tests/schema/plan/test_compile.py",
    "tests/services/test_lists.py",
    "tests/services/test_node.py",
    "tests/services/test_guarded_fields.py",
    "tests/services/test_plan_cases.py",
    "tests/services/test_visibility.py",
    "tests/services/test_orders.py",
    "tests/services/test_plan.py",
)
"""Without golden files, which any change kills; the random documents come last, since they take the longest."""


@dataclass(frozen=True)
class Mutant:
    """A mistake in one line."""

    name: str
    file: str
    fragment: str
    replacement: str


MUTANTS = (
    Mutant("visibility dropped on a list of projects", "lists.py", "where y.id = any({seen})", "where (true or y.id = any({seen}))"),
    Mutant(
        "visibility dropped on a list of what is in projects",
        "lists.py",
        "{what} from {target.table} y where y.{target.scope} = p.id",
        "{what} from {target.table} y where (true or y.{target.scope} = p.id)",
    ),
    Mutant("visibility dropped on a relation", "lists.py", ' + build.visible(rows, target, "y", inherited=inherited)', ""),
    Mutant(
        "visibility dropped on the total of a relation", "lists.py", ' + build.visible(place.rows, target, "n", inherited=inherited)', ""
    ),
    Mutant("visibility dropped on the kept counters", "lists.py", "n.project_id = any(", "true or n.project_id = any("),
    Mutant(
        "visibility dropped on a to-one join",
        "sources.py",
        "build.visible(rows, target, alias, inherited=inherits(target, source.fk, place.entity))",
        '""',
    ),
    Mutant("visibility dropped on the last row of a relation", "sources.py", ' + build.visible(rows, target, "y")', ""),
    Mutant("visibility dropped on an aggregate", "sources.py", ' + build.visible(place.rows, target, "n", inherited=inherited)', ""),
    Mutant("visibility dropped on a row by its id", "lists.py", ' + build.visible(rows, target, "t")', ""),
    Mutant("people seen through teams of others", "lists.py", "m.team_id = any(", "true or m.team_id = any("),
    Mutant(
        "teams looked for among the projects",
        "build.py",
        '"seen.teams" if entity.realm is Realm.team else "seen.projects"',
        '"seen.projects"',
    ),
    Mutant("seen wherever the parent is seen", "build.py", ' and parent.scope == "id" and fk == target.scope', ""),
    Mutant("plan of one sight kept for the others", "document.py", "shape = (self, sight, ", "shape = (self, None, "),
    Mutant("lists shown to nobody in particular", "compile.py", "needs > Role.anonymous and", "needs > Role.viewer and"),
    Mutant("role of a field not asked of members", "sources.py", "build.sight is Sight.everything", "build.sight is not Sight.nothing"),
    Mutant("role of a field one too high", "sources.py", ">= {int(needs)}", "> {int(needs)}"),
    Mutant("deleted rows shown", "build.py", 'f" and {alias}.deleted_at is null" if entity.perishable else ""', '""'),
    Mutant("deleted rows in the total of a relation", "lists.py", ' + living(target, "n")', ""),
    Mutant("deleted row as the last of a relation", "sources.py", 'living(target, "y") + ', ""),
    Mutant("deleted rows in an aggregate", "sources.py", 'living(target, "n") + ', ""),
    Mutant("null guard of a to-one dropped", "sources.py", "({shown} if {present} else", "({shown} if True else"),
    Mutant(
        "missing row shown as null where none may be", "sources.py", "'absent(trouble)' if is_non_null_type(item.type) else None", "None"
    ),
    Mutant("batch function asked for rows that are not there", "sources.py", "for r in {rows}{place.guard}]", "for r in {rows}]"),
    Mutant("batch value left where a role is too low", "sources.py", 'trouble)", consumed=True)', 'trouble)")'),
    Mutant("NULLs lost going down", "keyset.py", "({alias}.{order.column} is not null or {alias}.id < {id})", "{alias}.id < {id}"),
    Mutant("NULLs lost going up", "keyset.py", "({key} is not null or {alias}.id > {id})", "{key} is not null"),
    Mutant("filtered total not capped", "pages.py", 'f"min({total()}, {MOST_COUNTED})"', 'f"{total()}"'),
    Mutant("default of a variable forgotten", "document.py", "required or each.default_value is not None", "required"),
    Mutant("literal null taken for a value", "select.py", "elif constant is not None:", "else:"),
    Mutant(
        "guard of a to-one lost on what hangs on it",
        "sources.py",
        'guard = f"{place.guard} and {present}" if place.guard else f" if {present}"',
        "guard = place.guard",
    ),
    Mutant(
        "type condition of a spread ignored",
        "select.py",
        "if self._applies(fragment.type_condition.name.value, type_)",
        "if fragment.type_condition",
    ),
    Mutant("literal with variables taken for a constant", "select.py", "if constant is Undefined:", "if False:"),
    Mutant(
        "list for operators shown to members",
        "compile.py",
        "needs >= Role.operator and build.sight is not Sight.everything",
        "needs >= Role.operator and build.sight is Sight.nothing",
    ),
    Mutant("promising projects without the cursor", "lists.py", "p.id{where}{beyond_cursor} order", "p.id{where} order"),
    Mutant("direction of a cursor's order not checked", "keyset.py", "of=order.of, sort=order.name", "of=order.of, sort=order.column"),
    Mutant("total capped at the most that is counted", "pages.py", "{total()} > {MOST_COUNTED}", "{total()} >= {MOST_COUNTED}"),
    Mutant("keyset comparison the wrong way round", "keyset.py", "'<' if order.falls else '>'", "'>' if order.falls else '<'"),
    Mutant(
        "id dropped from the keyset comparison",
        "keyset.py",
        "({alias}.{order.column}, {alias}.id) ",
        "({alias}.{order.column}, {id}::uuid) ",
    ),
    Mutant("id dropped from the order", "keyset.py", "{alias}.{self.column}{way}, {alias}.id{way}", "{alias}.{self.column}{way}"),
    Mutant("ids ascending in either direction", "keyset.py", "{alias}.id{way}", "{alias}.id"),
    Mutant("backward pages travel forward", "keyset.py", "self.descending is not self.backward", "self.descending"),
    Mutant("every sort in the direction of the list's own", "keyset.py", ' if sort is None else column.endswith("_at")', ""),
    Mutant("order asc or desc ignored", "keyset.py", "natural if order is None else order is SortOrder.desc", "natural"),
    Mutant("cursor written of the wrong column", "keyset.py", '(order.column, "id"))', '("created_at", "id"))'),
    Mutant("nested page cut before it is ordered", "lists.py", "order by {by('y')} limit {size + 1}", "limit {size + 1}"),
    Mutant("root page cut before it is ordered", "lists.py", "f\" order by {by('y')} limit {limit}\"", 'f" limit {limit}"'),
    Mutant("nested page one row short", "lists.py", "limit {size + 1}", "limit {size}"),
    Mutant("root page one row short", "lists.py", "limit, by = size + 1,", "limit, by = size,"),
    Mutant("more promised after a full last page", "pages.py", "len(rows) > size", "len(rows) >= size"),
    Mutant("backward page not turned round", "pages.py", "found[::-1] if backward else found", "found"),
    Mutant("pages of empty relations left out", "pages.py", "for each in found]", "for each in found if each]"),
    Mutant("hasNextPage of the wrong side", "pages.py", '"more" if asked.forward else begun', 'begun if asked.forward else "more"'),
    Mutant(
        "nextCursor of a backward page by the wrong side",
        "pages.py",
        '("more", begun) if asked.forward else (begun, "more")',
        '("more", begun)',
    ),
    Mutant("startCursor of the last row", "pages.py", " '', 'rows[0]')", " '', 'rows[-1]')"),
    Mutant("bound of a filter left out", "pages.py", '">=": ">= {}"', '">=": "> {}"'),
    Mutant("filter in takes the first value", "pages.py", '"= any({})"', '"= ({}::text[])[1]"'),
    Mutant(
        "search minds the case", "pages.py", "position(lower({words}) in lower({alias}.name))", "position({words}::text in {alias}.name)"
    ),
    Mutant("total of a relation without its filters", "lists.py", 'filtered(build, place.rows, page, "n") + ', ""),
    Mutant("total of a list without its filters", "lists.py", "'1', where, rest", "'1', '', rest"),
    Mutant("kept counter for a filtered total", "lists.py", "if page.narrowed or target.table", "if target.table"),
    Mutant("last ignored", "pages.py", 'known.get("last")', "None"),
    Mutant("nested rows charged for one parent", "lists.py", "place.rows.most * page.window.size", "page.window.size"),
    Mutant("max for min", "sources.py", "{source.kind}(n.", "max(n."),
    Mutant("first row instead of the last", "sources.py", '" desc" if source.order.startswith("-") else ""', '""'),
    Mutant("__typename of a group is that of its row", "sources.py", "shown = repr(named.name)", "shown = repr(place.entity.title)"),
    Mutant("skip treated as include", "select.py", 'if holds is (directive.name.value == "skip"):', "if not holds:"),
    Mutant(
        "type condition ignored", "select.py", "node.type_condition is None or self._applies(node.type_condition.name.value, type_)", "True"
    ),
    Mutant(
        "fragments on an interface dropped",
        "select.py",
        "other is type_ or (is_abstract_type(other) and self.schema.is_sub_type(other, type_))",
        "other is type_",
    ),
    Mutant(
        "selections of a repeated field dropped", "select.py", "if node.selection_set:", "if node.selection_set and not found[key].sets:"
    ),
    Mutant("name instead of alias", "select.py", "node.alias.value if node.alias else node.name.value", "node.name.value"),
    Mutant("plan of a null variable kept for others", "document.py", "if each.known is not _given]", "if each.known is _size]"),
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A copy of what the tests need; the environment stays where it is, since the copy stands before it on the path."""
    copy = tmp_path / "project"
    copy.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=IGNORED)
        else:
            shutil.copy2(ROOT / part, copy / part)
    yield copy
    shutil.rmtree(copy)


def ran(project: Path) -> tuple[int, str]:
    """Run the tests of a copy until one fails; the exit status and what was printed."""
    # PYTHONSAFEPATH, which the launcher sets, would let the installed packages be imported instead of the copy's.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOKPLOY_", "PYTHON", "PYTEST_"))}
    # The coroutines that an oracle leaves behind where it fails would fail a test in which everything was equal.
    argv = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "no:unraisableexception", *BEHAVIOUR]
    env["DOKPLOY_SEED"] = "1"
    found = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, timeout=LONGEST)
    return found.returncode, found.stdout + found.stderr


def test_the_tests_pass_without_a_mutant(project: Path) -> None:
    status, output = ran(project)
    assert status == 0, output[-5000:]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_is_noticed(mutant: Mutant, project: Path) -> None:
    path = project / "schema" / "plan" / mutant.file
    text = path.read_text()
    assert text.count(mutant.fragment) == 1, "say it anew: the line has changed"
    path.write_text(text.replace(mutant.fragment, mutant.replacement))
    status, output = ran(project)
    assert status != 0, "no test noticed it"
    # With -x a module that cannot be imported also ends with 1, as an error.
    assert status == 1, output[-5000:]
    assert re.search(r"^FAILED ", output, re.MULTILINE), output[-5000:]
