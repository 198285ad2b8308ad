"""The statements that somebody would write by hand, for each kind of scope."""

from dataclasses import dataclass

ITEM = "a.id, a.name, a.project_id, a.image, a.status, a.replicas, a.health_status, a.created_at, d.id, d.status, d.created_at"
DETAIL = (
    "id, name, project_id, service_name, image, status, replicas, health_status, env_vars, ports, volumes, health_check, resources, "
    "git_source, last_commit_sha, last_sync, created_at, updated_at"
)
LAST = (
    "left join lateral (select id, status, created_at from deployment "
    "where application_id = a.id and deleted_at is null order by id desc limit 1) d on true"
)
NEWEST = "order by created_at desc, id desc"
KIDS = f"""
select k.o - 1, {ITEM} from unnest($1::uuid[]) with ordinality k(id, o) cross join lateral (
    select * from application where project_id = k.id and deleted_at is null {NEWEST} limit 11) a {LAST}
order by k.o, a.created_at desc, a.id desc
"""
"""The applications of some projects, each row after the number of its project."""
TALLY = "select to_regclass('tally') is not null"
"""Whether the database keeps counters per project."""


@dataclass(frozen=True)
class Statements:
    """What is read in one kind of scope; the scope is the last parameter, if there is one, and an id comes before it."""

    page: str
    total: str
    item: str
    detail: str
    projects: str
    deployments: str
    """A page of deployments; no server answers it, but it is the page over the largest table."""


def everything(tally: bool) -> Statements:
    """No scope at all: what the owner of the installation reads."""
    return _conditional("", "", tally)


def tenant(tally: bool) -> Statements:
    """The prototype's scope: all projects of one team."""
    inner = "(select id from project where team_id = ${n})"
    return _conditional(f"and project_id in {inner}", "and team_id = ${n}", tally)


def some(tally: bool) -> Statements:
    """A list of projects: a top of each of them, merged."""
    flat = _conditional("and project_id = any(${n}::uuid[])", "and id = any(${n}::uuid[])", tally)
    return Statements(
        page=f"select {ITEM} from ({_merged('application')}) a {LAST} order by a.created_at desc, a.id desc",
        total=flat.total,
        item=flat.item,
        detail=flat.detail,
        projects=flat.projects,
        deployments=_merged("deployment"),
    )


def _merged(table: str) -> str:
    top = f"select * from {table} where project_id = visible.id and deleted_at is null {NEWEST} limit 21"
    return f"select row.* from unnest($1::uuid[]) visible(id) cross join lateral ({top}) row {NEWEST.replace('id', 'row.id')} limit 21"


def _conditional(condition: str, of_project: str, tally: bool) -> Statements:
    """Statements with a condition on rows that belong to a project, and one on projects."""
    first, second = condition.replace("{n}", "1"), condition.replace("{n}", "2")
    living = f"from application where deleted_at is null {first}"
    counted = f"select coalesce(sum(application), 0)::int from tally where true {first}"
    return Statements(
        page=f"select {ITEM} from (select * {living} {NEWEST} limit 21) a {LAST} order by a.created_at desc, a.id desc",
        total=counted if tally else f"select count(*) {living}",
        item=f"select {ITEM} from (select * from application where id = $1 and deleted_at is null {second}) a {LAST}",
        detail=f"select {DETAIL} from application where id = $1 and deleted_at is null {second}",
        projects=f"select id, name from project where deleted_at is null {of_project.replace('{n}', '1')} {NEWEST} limit 11",
        deployments=f"select * from deployment where deleted_at is null {first} {NEWEST} limit 21",
    )
