"""The rows that are read, and four people who may see different parts of them. Loaded by SQL: a row at a time would take hours."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import models
from models.database import connected, own_connection
from schema import tokens

PROJECTS = 100
APPLICATIONS = 1_000
PEOPLE = ("owner", "member", "idle", "stranger")
TENANT = UUID("00000000-0000-0000-0000-00000000aaaa")
"""The team that four fifths of the projects belong to, as in the prototype."""

ENV_VARS = [
    {"key": "PORT", "value": "8080", "is_secret": False},
    {"key": "LOG_LEVEL", "value": "info", "is_secret": False},
    {"key": "DATABASE_PASSWORD", "value": "correct horse battery", "is_secret": True},
]
SNAPSHOT = {"env_vars": ENV_VARS, "replicas": 2, "image": None, "ports": [{"container_port": 8080, "protocol": "tcp"}]}

_V7 = """
create or replace function pg_temp.v7(at timestamptz, number bigint) returns uuid language sql as $$ select (
    lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(number::text), 1, 3)
    || '8' || substr(md5(number::text), 4, 15))::uuid $$
"""
"""A UUIDv7, since the product takes the order of ids for the order of creation."""

_ACCOUNT = """
insert into account (id, created_at, updated_at, username, email, role, password_hash) values ($1, now(), now(), $2, $3, $4, 'none')
"""
_TEAM = "insert into team (id, created_at, updated_at, name, description) values ($1, now(), now(), $2, '')"
_MEMBERSHIP = "insert into membership (id, created_at, team_id, user_id, role) values ($1, now(), $2, $3, 'developer')"

_PROJECTS = f"""
insert into project (id, created_at, updated_at, name, description, owner_id, team_id)
select pg_temp.v7(at, n), at, at, 'project' || n, 'The project with the number ' || n,
    case n when 1 then $1::uuid else $2::uuid end, case when n = 2 then $3::uuid when n > {PROJECTS // 5} then '{TENANT}'::uuid end
from (select n, now() - interval '300 days' + n * interval '7.123456 hours' as at from generate_series(1, {PROJECTS}) n) numbered
"""

_APPLICATIONS = f"""
insert into application (id, created_at, updated_at, name, project_id, service_name, image, status, health_status, replicas, env_vars,
    ports, volumes, health_check, resources, git_source, last_commit_sha, last_sync, wished, granted, restart_wish, delete_volumes)
select pg_temp.v7(at, n), at, at, 'app-' || n, project.id, 'svc-' || n, 'registry.example.com/shop/app-' || n || ':1.4.2',
    (array['running', 'running', 'running', 'stopped', 'error'])[1 + n % 5], (array['healthy', 'starting', 'unknown'])[1 + n % 3],
    1 + n % 3, $1,
    '[{{"container_port": 8080, "protocol": "tcp", "published_port": 30080}},
      {{"container_port": 9090, "protocol": "tcp", "published_port": null}}]',
    '[{{"source": "uploads", "target": "/var/lib/uploads", "read_only": false}}]',
    '{{"command": "curl -f http://localhost:8080/health", "interval": 30, "timeout": 10, "retries": 3, "start_period": 5}}',
    '{{"memory_limit": 512, "cpu_limit": 0.5}}',
    '{{"repo_url": "https://git.example.com/shop/app.git", "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"}}',
    md5(n::text) || substr(md5(n::text), 1, 8), at, 0, 0, 0, false
from (select n, now() - interval '200 days' + n * interval '3.123457 hours' as at from generate_series(1, {APPLICATIONS}) n) numbered
join project on project.name = 'project' || case n when 1 then 1 else 2 + (n - 2) % {PROJECTS - 1} end
"""
"""The first project has one application; the others share the rest."""

_DEPLOYMENTS = f"""
insert into deployment (id, created_at, application_id, project_id, kind, status, snapshot, force, branch, commit_sha, commit_message,
    author, image, epoch, attempt, progress, last_seq, started_at, finished_at, duration)
select pg_temp.v7(at, round * {APPLICATIONS} + n), at, id, project_id, 'git',
    case when (round + n) % 7 = 0 then 'failed' else 'success' end, $2, false, 'main', md5(round::text) || '00000000',
    'Change number ' || round, 'Ada Example', 'registry.example.com/shop/app:' || round, 1, 1, 100, 12,
    at, at + interval '40 seconds', 40
from (
    select application.id, project_id, n, round,
        now() - interval '60 days' * (1 - (round - 1 + n::float8 / {APPLICATIONS}) / $1::int) as at
    from generate_series(1, $1::int) round
    cross join (select id, project_id, row_number() over (order by created_at) as n from application) application
    where n > 1
) numbered order by round, n
"""
"""Written in the order of time, so that one application's deployments lie as far apart as they would."""

_TALLY = """
insert into tally (project_id, application, deployment)
select id, (select count(*) from application where project_id = project.id and deleted_at is null),
    (select count(*) from deployment where project_id = project.id and deleted_at is null)
from project
"""


@dataclass(frozen=True)
class Data:
    """Who asks, by token: `owner` sees everything, `member` one project, `idle` one without deployments, `stranger` nothing."""

    tokens: dict[str, str]
    visible: dict[str, list[UUID]]
    """The projects that somebody who is not the owner sees."""
    ids: list[str]
    """The newest applications."""
    projects: list[UUID]
    """The newest projects."""


async def load(rounds: int) -> Data:
    """Fill an empty database; each application but the idle one gets `rounds` deployments."""
    async with own_connection() as connection:
        await connection.execute(_V7)
        people = await _people(connection)
        team = uuid4()
        for id, name in ((team, "member"), (TENANT, "tenant")):
            await connection.execute(_TEAM, id, name)
        await connection.execute(_MEMBERSHIP, uuid4(), team, people["member"])
        async with connection.transaction():
            await _quietly(connection, "disable")
            await connection.execute(_PROJECTS, people["idle"], people["owner"], team)
            await connection.execute(_APPLICATIONS, _ciphertext(models.Application, "env_vars", ENV_VARS))
            await _quietly(connection, "enable")
        await deployments(connection, rounds)
        ids = await connection.fetch("select id from application order by created_at desc, id desc limit 20")
        projects = await connection.fetch("select id from project order by created_at desc, id desc limit 10")
        visible = {
            "member": await connection.fetchval("select array_agg(id) from project where team_id = $1", team),
            "idle": await connection.fetchval("select array_agg(id) from project where owner_id = $1", people["idle"]),
            "stranger": [],
        }
    async with connected():
        issued = {name: await tokens.issued(await models.User.get(id=id)) for name, id in people.items()}
    return Data(issued, visible, [str(row["id"]) for row in ids], [row["id"] for row in projects])


async def deployments(connection: Any, rounds: int) -> int:
    """Replace all deployments, bring the counters up to date, and let Postgres look at the tables; how many there are."""
    await connection.execute(_V7)
    async with connection.transaction():
        await _quietly(connection, "disable")
        await connection.execute("truncate deployment cascade")
        await connection.execute(_DEPLOYMENTS, rounds, _ciphertext(models.Deployment, "snapshot", SNAPSHOT))
        await _quietly(connection, "enable")
        if await connection.fetchval("select to_regclass('tally') is not null"):
            await connection.execute("delete from tally")
            await connection.execute(_TALLY)
    await connection.execute("vacuum analyze")
    found: int = await connection.fetchval("select count(*) from deployment")
    return found


async def _quietly(connection: Any, verb: str) -> None:
    """The triggers keep counters row by row; they are counted once instead."""
    for table in ("project", "application", "deployment"):
        await connection.execute(f"alter table {table} {verb} trigger user")


async def _people(connection: Any) -> dict[str, UUID]:
    people = {name: uuid4() for name in PEOPLE}
    for name, id in people.items():
        await connection.execute(_ACCOUNT, id, name, f"{name}@example.com", "owner" if name == "owner" else "member")
    return people


def _ciphertext(model: Any, column: str, value: object) -> str:
    """A value as the model's field stores it."""
    stored: str = model._meta.fields_map[column].to_db_value(value, None)
    return stored
