"""The control plane is lost, and comes back from its backup on an empty machine; what stands against that is said and changes nothing."""

import asyncio
import fcntl
import json
import os
import pty
import re
import stat
import sys
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from cryptography.fernet import Fernet

import models
import workers
from gateway.embedded.stack import Stack
from models.database import database, migrations
from models.events import Entry, append
from models.plane import catalog
from models.plane.archive import checked
from models.plane.envelope import unpacked
from models.secrets import fernet_keys, token_key
from tests.services.conftest import PASSWORD, Api, Person, _emptied, _registered
from tests.services.gateways import browser, gateways
from tests.services.plane import NOTES, PASSPHRASE, ROOT, Place, Told, copied, dokploy, empty, refusals, run

SECRETS = {"API_TOKEN": "hunter22", "MULTI": "line one\nline\ttwo\\N"}
GIT_TOKEN = "ghp_" + "s" * 36
SAID = r"^dokploy: {}: \d+ tables, [\d,]+ rows, [\d,]+ bytes, \d+\.\d s; not in it: .*$"


@dataclass(frozen=True)
class Kept:
    """An installation, and its backup."""

    place: Place
    owner: Person
    application: str
    file: Path
    told: Told
    rows: dict[str, tuple[int, str]]
    deployments: dict[str, models.Deployment]


@pytest.fixture(scope="module")
async def kept(stack: Stack, gateway: httpx2.AsyncClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kept]:
    """One installation of everything, and its backup, on which the tests of this module agree."""
    await _emptied()
    owner = await _registered(gateway, "owner")
    api = Api(gateway, owner)
    project = await api.project()
    variables = [{"key": key, "value": value, "isSecret": True} for key, value in SECRETS.items()]
    source = {"repoUrl": "https://example.com/a/b.git", "branch": "main", "username": "me", "token": GIT_TOKEN}
    application = await api.application(project, envVars=variables, image=None, gitSource=source)
    deployments = await _deployments(api, project)
    await models.Project.filter(id=project["id"]).update(description='ü "\\ \t\n\r\v € 🙂 \\N \\. end')
    await owner.post("/projects", {"name": ""})
    file = tmp_path_factory.mktemp("plane") / "backup"
    place = Place(stack.database_url, stack.directory.path)
    told = await dokploy("backup", str(file), **place.environment)
    yield Kept(place, owner, application["id"], file, told, await place.rows(), deployments)


async def _deployments(api: Api, project: dict[str, Any]) -> dict[str, models.Deployment]:
    """One that has ended, with events; others under way, whose worker is gone; one that waits; and a database that is being backed up."""
    found: dict[str, models.Deployment] = {}
    now = datetime.now(UTC)
    for name in ("ended", "lost", "old", "waiting"):
        application = await models.Application.get(id=(await api.application(project))["id"])
        found[name] = deployment = await workers.start_deployment(application)
        await append(database(), deployment.id, [Entry(models.EventKind.log, f"line {n}\tof\\{name}\n") for n in range(200)])
    held = {"worker": "gone", "epoch": 1, "attempt": 1, "status": "deploying", "lease_until": now - timedelta(minutes=1)}
    await models.Deployment.filter(id=found["ended"].id).update(status="success", finished_at=now)
    await models.Deployment.filter(id=found["lost"].id).update(**held, started_at=now)
    await models.Deployment.filter(id=found["old"].id).update(**held, started_at=now - timedelta(hours=7))
    row = await models.Database.create(
        name="data", project_id=project["id"], type="postgresql", version="17", service_name="data", credentials={"password": "p"},
        memory_limit=64, storage_size=64, volume="data",
    )  # fmt: skip
    running = {"status": "running", "worker": "gone", "epoch": 1, "attempt": 1, "lease_until": now}
    await models.DatabaseBackup.create(
        database=row, project_id=project["id"], name="b", type="postgresql", version="17", storage="local", **running
    )
    return found


@pytest.fixture
async def target(stack: Stack, tmp_path: Path) -> AsyncIterator[Place]:
    async with empty(stack, tmp_path / "data") as place:
        yield place


@pytest.fixture(scope="module")
async def again(stack: Stack, kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Place, Told]]:
    """What was lost, restored on an empty machine, and what was said of it; nobody touches it."""
    async with empty(stack, tmp_path_factory.mktemp("again") / "data") as place:
        yield place, await restored(place, kept.file)


@pytest.fixture
async def copy(stack: Stack, again: tuple[Place, Told], tmp_path: Path) -> AsyncIterator[Place]:
    """The same once more, for tests that begin with it."""
    async with copied(stack, again[0], tmp_path / "copy") as place:
        yield place


async def restored(place: Place, file: Path, *options: str, **environment: str) -> Told:
    return await dokploy("restore", str(file), *options, **place.environment | environment)


async def test_a_backup_is_one_file_of_its_owner_and_says_what_is_in_it(kept: Kept) -> None:
    assert kept.told.status == 0
    assert re.fullmatch(SAID.format("backed up and read back"), kept.told.said)
    assert kept.told.said.endswith(NOTES)
    rows, size = sum(count for count, _ in kept.rows.values()), kept.file.stat().st_size
    assert f"{len(kept.rows)} tables, {rows:,} rows, {size:,} bytes" in kept.told.said
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600
    assert [path.name for path in kept.file.parent.iterdir()] == ["backup"]
    contents = checked(unpacked([kept.file.read_bytes()], PASSPHRASE))
    assert {name: each.rows for name, each in contents.tables.items()} == {name: count for name, (count, _) in kept.rows.items()}
    assert contents.manifest.migration == (await migrations())[-1]
    assert contents.manifest.installation == (await models.Installation.get()).id
    assert (list(contents.keys.secret_keys), contents.keys.token_key) == (fernet_keys(), token_key().decode())


async def test_an_empty_machine_becomes_what_was_lost(stack: Stack, kept: Kept, again: tuple[Place, Told], copy: Place) -> None:
    place, told = again
    assert told.status == 0, told.said
    assert re.fullmatch(SAID.format(r"restored as of [\d-]+ [\d:]+ UTC"), told.said)
    assert await place.rows() == kept.rows
    assert await place.shape() == await kept.place.shape()
    for name in ("secrets", "tokens"):
        assert (place.data / "keys" / name).read_bytes() == (kept.place.data / "keys" / name).read_bytes()
        assert stat.S_IMODE((place.data / "keys" / name).stat().st_mode) == 0o600
    async with (
        gateways(stack, 1, **copy.environment, DOKPLOY_REDIS_URL=f"{stack.redis_url}?db=6") as [started],
        browser(started) as client,
    ):
        owner = Person(client, "owner", kept.owner.id, kept.owner.token)
        assert (await owner.get("/users/me")).json()["id"] == kept.owner.id  # by the login from before
        login = await Person(client).post("/auth/login", {"username": "owner", "password": PASSWORD})
        assert login.status_code == 200
        seen = (await owner.get(f"/applications/{kept.application}")).json()
        assert {each["key"]: each["value"] for each in seen["envVars"]} == dict.fromkeys(SECRETS, "***")
        assert seen["gitSource"]["token"] == "***"
        ended = kept.deployments["ended"].id
        assert len((await owner.get(f"/deployments/{ended}/logs?limit=1000")).json()["logs"]) == 200
        project = await Api(client, owner).project()
        made = await Api(client, owner).application(project)
        counted = "query ($id: ID!) { project(id: $id) { applications { totalCount } } }"
        assert (await owner.graphql(counted, id=project["id"]))["data"]["project"]["applications"]["totalCount"] == 1
        assert (await owner.post(f"/applications/{made['id']}/deploy")).status_code == 202  # its events are numbered anew
        assert (await owner.get("/audit")).json()["data"][0]["resourceId"] == made["id"]
    told = await run("-c", READ, kept.application, **copy.environment)
    assert json.loads(told.out) == [SECRETS, GIT_TOKEN], told.said
    async with copy.connected() as connection:
        assert await connection.fetchval("select max(id) from event") > await _last_event(kept.place)


READ = """
import asyncio, json, sys
from models import Application
from models.database import connected

async def main():
    async with connected():
        found = await Application.get(id=sys.argv[1])
        print(json.dumps([{each["key"]: each["value"] for each in found.env_vars}, found.git_token["token"]]))

asyncio.run(main())
"""


async def _last_event(place: Place) -> int:
    async with place.connected() as connection:
        return int(await connection.fetchval("select max(id) from event"))


DUTIES = """
import asyncio
from models.database import connected
from workers import rescue
from workers.databases import rescue as databases

async def main():
    async with connected():
        for duty in (rescue.carry_out_cancellations, rescue.take_over, rescue.end_what_is_too_old, rescue.ring, databases.rescue):
            await duty(None)

asyncio.run(main())
"""


async def test_work_that_was_under_way_is_taken_over_or_ended_by_the_reconciler(stack: Stack, kept: Kept, copy: Place) -> None:
    assert (await run("-c", DUTIES, **copy.environment, DOKPLOY_REDIS_URL=f"{stack.redis_url}?db=6")).status == 0
    async with copy.connected() as connection:
        rows = await connection.fetch("select id, status, worker, attempt, error_code, rung_at is not null as rung from deployment")
        found = {row["id"]: tuple(row)[1:] for row in rows}
        backup = await connection.fetchrow("select status, worker, attempt from database_backup")
    named = {name: found[each.id] for name, each in kept.deployments.items()}
    assert named["ended"][0] == "success"
    assert named["lost"] == ("deploying", None, 2, None, True)  # another worker goes on with it
    assert named["old"][:4] == ("failed", None, 2, "TIMED_OUT")
    assert named["waiting"] == ("pending", None, 0, None, True)
    assert tuple(backup) == ("pending", None, 1)


async def test_a_backup_goes_through_standard_output_and_input(kept: Kept, target: Place) -> None:
    written = await dokploy("backup", "-", **kept.place.environment)
    assert (written.status, written.out[:6]) == (0, b"dkpass")
    assert re.fullmatch(SAID.format("backed up and read back"), written.said)
    told = await dokploy("restore", "-", stdin=written.out, **target.environment)
    assert told.status == 0, told.said
    assert await target.rows() == kept.rows
    assert {path.name for path in target.data.iterdir()} == {"keys"}


OTHER = "The backup was sealed with another passphrase, or its first bytes are damaged."
NONE = "There is no passphrase: set DOKPLOY_PASSPHRASE, or run this at a terminal, where it is asked for."


def _truncated(whole: bytes) -> bytes:
    return whole[: len(whole) * 2 // 3]


def _flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes((whole[middle] ^ 4,)) + whole[middle + 1 :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "This is no backup of an installation."),
    "foreign": (lambda _: b"PGDMP" * 99, "This is no backup of an installation."),
    "front alone": (lambda whole: whole[:20], "The backup is damaged or cut off."),
    "truncated": (_truncated, "The backup is damaged or cut off."),
    "one byte less": (lambda whole: whole[:-1], "The backup is damaged or cut off."),
    "one byte more": (lambda whole: whole + b"\0", "The backup is damaged or cut off."),
    "flipped": (_flipped, "The backup is damaged or cut off."),
    "other salt": (lambda whole: whole[:9] + bytes((whole[9] ^ 1,)) + whole[10:], OTHER),
}


async def test_a_damaged_backup_changes_nothing(kept: Kept, target: Place, tmp_path: Path) -> None:
    for name, (spoil, _) in DAMAGES.items():
        (tmp_path / name).write_bytes(spoil(kept.file.read_bytes()))
    said = await refusals(target, *[(["restore", str(tmp_path / name)], {}) for name in DAMAGES])
    assert dict(zip(DAMAGES, said, strict=True)) == {name: sentence for name, (_, sentence) in DAMAGES.items()}
    assert (await target.rows(), target.data.exists()) == ({}, False)
    (tmp_path / "again").write_bytes(kept.file.read_bytes())
    again = await refusals(
        target, *[(["restore", str(tmp_path / "again"), "--replace"], {"DOKPLOY_PASSPHRASE": f"{PASSPHRASE}{n}"}) for n in "ab"]
    )
    assert again == [OTHER] * 2


async def test_a_passphrase_is_needed(kept: Kept, tmp_path: Path) -> None:
    new = ["backup", str(tmp_path / "new")]
    assert await refusals(
        kept.place,
        (new, {"DOKPLOY_PASSPHRASE": ""}),
        (new, {"DOKPLOY_PASSPHRASE": "elevenchars"}),
        (["restore", str(kept.file)], {"DOKPLOY_PASSPHRASE": ""}),
        (["restore", str(tmp_path / "absent")], {}),
    ) == [NONE, "A passphrase has 12 characters or more.", NONE, f"There is no file {tmp_path / 'absent'}."]
    assert list(tmp_path.iterdir()) == []


async def refused(place: Place, file: Path, *options: str, **environment: str) -> str:
    """The sentence of a restore that changes neither database nor directory."""
    [said] = await refusals(place, (["restore", str(file), *options], environment))
    return said


async def test_what_is_not_empty_is_replaced_only_when_asked_to(stack: Stack, kept: Kept, target: Place) -> None:
    assert (await dokploy("migrate", **target.environment)).status == 0
    assert (await restored(target, kept.file)).status == 0  # in tables that migrations have made there is nothing yet
    async with target.connected() as connection:
        await connection.execute("update account set email = 'other@example.com'; delete from event; select setval('event_id_seq', 1)")
        await connection.execute("alter table team add column own int; create table theirs (id int references published_port (port))")
    command = ["restore", str(kept.file)]
    full, in_the_way = await refusals(target, (command, {}), ([*command, "--replace"], {}))
    assert full == "The database is not empty; --replace replaces everything in it."
    assert "constraint theirs_id_fkey on table theirs depends on table published_port" in in_the_way
    async with target.connected() as connection:
        await connection.execute("drop table theirs; create table theirs (id int)")
    assert (await restored(target, kept.file, "--replace")).status == 0
    assert await target.rows() == kept.rows | {"theirs": (0, "")}
    told = await dokploy("backup", str(target.data / "again"), **target.environment)
    assert told.said.split("\n")[0] == "dokploy: left out, since no dokploy made them: theirs"


LATE = """
import sys
from gateway.plane.commands import restore
from models.plane import keys

def put(_):
    raise OSError(28, "No space left on device")

keys.put = put
sys.exit(restore(sys.argv[1], replace=True))
"""


async def test_a_restore_that_fails_at_its_very_end_leaves_everything_as_it_was(kept: Kept, copy: Place) -> None:
    async with copy.connected() as connection:
        await connection.execute("update account set email = 'other@example.com'; delete from event; select setval('event_id_seq', 7)")
    before = await copy.rows(), await copy.shape()
    told = await run("-c", LATE, str(kept.file), **copy.environment)
    assert told == Told(1, b"", "dokploy: [Errno 28] No space left on device")
    assert (await copy.rows(), await copy.shape()) == before


async def test_who_uses_the_database_is_said(stack: Stack, kept: Kept, copy: Place) -> None:
    async with gateways(stack, 1, **copy.environment) as [started], browser(started) as client:
        assert (await client.get("/api/health")).status_code in (200, 503)
        sentence = await refused(copy, kept.file, "--replace")
        assert re.fullmatch(r"The database is in use by dokploy gateway as dokploy \(\d+\): stop them first, then restore\.", sentence)
    async with copy.connected() as connection:
        await connection.execute("set application_name = 'psql'")
        assert "in use by psql as dokploy (1): stop" in (await restored(copy, kept.file)).said
    assert (await restored(copy, kept.file, "--replace")).status == 0


async def test_other_keys_are_never_overwritten(kept: Kept, target: Place) -> None:
    where = target.data / "keys" / "secrets"
    where.parent.mkdir(parents=True)
    where.write_text("theirs")
    command, remedy = ["restore", str(kept.file)], "has other keys than the backup: let it name the backup's, or nothing."
    right, wrong = ",".join(fernet_keys()), {"DOKPLOY_TOKEN_KEY": "t" * 64}
    assert await refusals(
        target,
        (command, {}),
        (command, {"DOKPLOY_SECRET_KEYS": "one,two"}),
        (command, wrong | {"DOKPLOY_SECRET_KEYS": right}),
    ) == [
        f"{where} has other keys than the backup: move it away if nothing needs it.",
        f"DOKPLOY_SECRET_KEYS {remedy}",
        f"DOKPLOY_TOKEN_KEY {remedy}",
    ]
    assert where.read_text() == "theirs"
    where.unlink()
    assert (await restored(target, kept.file, DOKPLOY_SECRET_KEYS=f"{right},{Fernet.generate_key().decode()}")).status == 0
    assert [path.name for path in where.parent.iterdir()] == ["tokens"]


async def test_a_backup_that_could_not_be_read_is_not_made(kept: Kept, tmp_path: Path) -> None:
    elsewhere, command = tmp_path / "elsewhere", ["backup", str(tmp_path / "x")]
    other = Fernet.generate_key().decode()
    assert await refusals(
        kept.place,
        (command, {"DOKPLOY_DATA": str(elsewhere)}),
        (command, {"DOKPLOY_SECRET_KEYS": other}),
        (command, {"DOKPLOY_DATA": str(elsewhere), "DOKPLOY_DATABASE_URL": ""}),
        (command, {"DOKPLOY_DATABASE_URL": f"postgresql://dokploy@/dokploy?host={tmp_path}"}),
        (command, {"DOKPLOY_DATABASE_URL": "mysql://x"}),
        (["backup", str(tmp_path / "no" / "x")], {}),
    ) == [
        f"The keys in {elsewhere / 'keys'} do not open the secrets in the database.",
        "The keys of DOKPLOY_SECRET_KEYS do not open the secrets in the database.",
        f"There is no installation in {elsewhere}: name its directory in --data, or its database in DOKPLOY_DATABASE_URL.",
        "the database cannot be reached: [Errno 2] No such file or directory",
        "DOKPLOY_DATABASE_URL must start with postgresql://, not mysql://",
        f"[Errno 2] No such file or directory: '{tmp_path / 'no' / 'x.part'}'",
    ]
    assert list(tmp_path.iterdir()) == []


NEWER = """
import sys
from importlib import metadata
from gateway.plane.commands import back_up
import models.plane.dump as dump

dump.version = lambda _: "0.99.0"
sys.exit(back_up(sys.argv[1]))
"""


async def test_what_a_newer_dokploy_made_is_left_to_it(kept: Kept, target: Place, copy: Place, tmp_path: Path) -> None:
    assert (await run("-c", NEWER, str(tmp_path / "newer"), **kept.place.environment)).status == 0
    last = (await migrations())[-1]
    assert await refusals(target, (["restore", str(tmp_path / "newer")], {}), (["backup", str(tmp_path / "x")], {})) == [
        f"The backup was made by dokploy 0.99.0 ({last}), which is newer than this one.",
        "No dokploy has made its tables in this database.",
    ]
    async with copy.connected() as connection:
        await connection.execute("insert into tortoise_migrations (app, name, applied_at) values ('models', '9999_later', now())")
    both = (["restore", str(kept.file), "--replace"], {}), (["backup", str(tmp_path / "x")], {})
    assert await refusals(copy, *both) == ["The database was made by a newer dokploy than this one."] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "newer"]


STEPS = """
import asyncio, json, sys
import asyncpg
from tortoise import Tortoise
from tortoise.migrations.api import migrate
from models.database import configuration, credentials, migrations
from models.settings import settings

async def main():
    url, found = settings().database_url, []
    for name in await migrations():
        await migrate(config=configuration(url), target=f"models.{name}")
        await Tortoise.close_connections()
        connection = await asyncpg.connect(**credentials(url))
        tables = await connection.fetch("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
        functions = await connection.fetch("select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace")
        found.append([[row[0] for row in tables], [row[0] for row in functions]])
        await connection.close()
        if name in sys.argv[1:]:
            break
    print(json.dumps(found))

asyncio.run(main())
"""


async def test_every_table_and_function_that_a_migration_makes_is_known(target: Place) -> None:
    """What a later one drops would else be left out of a backup, and in the way of a restore."""
    told = await run("-c", STEPS, **target.environment)
    found = json.loads(told.out)
    for tables, functions in found:
        assert set(tables) <= catalog.ours()
        assert {each.replace(",", ", ") for each in functions} <= set(catalog.FUNCTIONS)
    assert set(found[-1][0]) == catalog.ours()


OLDER = """
insert into account (id, created_at, username, email, password_hash, role, updated_at)
    values (gen_random_uuid(), now(), 'ada', 'ada@example.com', 'x', 'owner', now());
insert into project (id, created_at, name, description, owner_id, updated_at)
    select gen_random_uuid(), now(), 'P', '', id, now() from account;
insert into application (id, created_at, name, project_id, service_name, status, health_status, replicas, env_vars, ports, volumes,
                         git_source, wished, granted, restart_wish, delete_volumes, updated_at)
    select gen_random_uuid(), now(), 'a' || n, id, 's' || n, 'pending', 'unknown', 1, $1, '[]', '[]',
           '{"repo_url": "https://example.com/A/b.git", "branch": "main"}', 0, 0, 0, false, now()
    from project, generate_series(1, 3) n;
"""


async def test_an_older_backup_is_brought_up_to_date(kept: Kept, stack: Stack, target: Place, tmp_path: Path) -> None:
    from models.secrets import EncryptedJSONField

    async with empty(stack, kept.place.data) as older:
        assert (await run("-c", STEPS, "0007_draining", **older.environment)).status == 0
        secret = EncryptedJSONField().to_db_value([{"key": "A", "value": "b", "is_secret": True}], None)
        async with older.connected() as connection:
            for statement in OLDER.split(";\n")[:-1]:
                await connection.execute(statement.replace("$1", f"'{secret}'"))
        before = await older.rows()
        told = await dokploy("backup", str(tmp_path / "older"), **older.environment)
        assert told.status == 0, told.said
    told = await restored(target, tmp_path / "older")
    assert told.status == 0, told.said
    after = await target.rows()
    assert {name: after[name] for name in ("account", "project", "tally")} == {
        name: before[name] for name in ("account", "project", "tally")
    }
    assert await target.shape() != []
    async with target.connected() as connection:
        assert await connection.fetchval("select name from tortoise_migrations order by id desc limit 1") == (await migrations())[-1]
        assert [tuple(row) for row in await connection.fetch("select distinct repository, env_vars from application")] == [
            ("example.com/a/b", secret)
        ]
        assert await connection.fetchval("select application from tally") == 3
        await connection.execute("update application set deleted_at = now() where name = 'a1'")
        assert await connection.fetchval("select application from tally") == 2


async def test_the_database_that_up_brings_along_needs_no_url(stack: Stack, kept: Kept, tmp_path: Path) -> None:
    """Whether it runs, as the stack of these tests does, or not."""
    ours = {"DOKPLOY_DATABASE_URL": "", "DOKPLOY_REDIS_URL": "", "DOKPLOY_DATA": ""}
    told = await dokploy("backup", str(tmp_path / "running"), "--data", str(kept.place.data), **ours | {"DOKPLOY_DATA": str(tmp_path)})
    assert told.status == 0, told.said
    new = tmp_path / "new"
    told = await dokploy("restore", str(tmp_path / "running"), **ours | {"DOKPLOY_DATA": str(new)})
    assert told.status == 0, told.said
    again = await dokploy("backup", str(tmp_path / "again"), **ours | {"DOKPLOY_DATA": str(new)})
    assert again.status == 0, again.said
    both = [checked(unpacked([(tmp_path / name).read_bytes()], PASSPHRASE)) for name in ("running", "again")]
    assert both[0].tables == both[1].tables
    assert both[0].keys == both[1].keys
    assert {name: (each.rows) for name, each in both[0].tables.items()} == {name: count for name, (count, _) in kept.rows.items()}


async def test_at_a_terminal_the_passphrase_is_asked_for_twice_and_not_shown(kept: Kept, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def at_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    environment = {**os.environ, **kept.place.environment}
    environment.pop("DOKPLOY_PASSPHRASE", None)
    argv = (sys.executable, "-m", "gateway.cli", "backup", str(tmp_path / "x"))
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=at_the_terminal
    )
    os.close(theirs)
    seen = b""
    for question in (b"Passphrase of the backup: ", b"The same again: "):
        while not seen.endswith(question):
            seen += await asyncio.to_thread(os.read, ours, 1024)
        os.write(ours, f"{PASSPHRASE}\n".encode())
    while b"authority" not in seen:
        seen += await asyncio.to_thread(os.read, ours, 1024)
    assert await process.wait() == 0
    os.close(ours)
    assert PASSPHRASE.encode() not in seen
    assert checked(unpacked([(tmp_path / "x").read_bytes()], PASSPHRASE)).total.rows


async def _peak(*arguments: str, **environment: str) -> int:
    """Bytes of memory that a command needed at most; the passphrase is in nobody's argv, and in the environment of no child."""
    found = {name: value for name, value in (os.environ | {"DOKPLOY_PASSPHRASE": PASSPHRASE} | environment).items() if value}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway.cli", *arguments, cwd=ROOT, env=found)
    watched, most = psutil.Process(process.pid), 0
    while process.returncode is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            most = max(most, int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10)
            for child in watched.children(recursive=True):
                assert PASSPHRASE not in " ".join([*child.cmdline(), *child.environ().values()])
            assert PASSPHRASE not in " ".join(watched.cmdline())
        except (IndexError, OSError, psutil.Error):
            pass
        await asyncio.sleep(0.02)
    assert process.returncode == 0
    return most


async def _stopped(place: Place, *command: str, when: Callable[[], Awaitable[Any]]) -> None:
    """Stop a command once something is so."""
    environment = os.environ | place.environment | {"DOKPLOY_PASSPHRASE": PASSPHRASE}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *command), cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    while not await when():
        await asyncio.sleep(0.005)
    process.terminate()
    assert (await process.communicate())[1] == b"dokploy: stopping (SIGTERM)\n"
    assert process.returncode == 1


async def _stopped_backup(file: Path, place: Place) -> None:
    """What is stopped in the middle leaves no file."""
    part = file.with_name(f"{file.name}.part")

    async def begun() -> bool:
        return part.exists() and bool(part.stat().st_size)

    await _stopped(place, "backup", str(file), when=begun)
    assert (part.exists(), file.exists()) == (False, False)


async def _stopped_restore(file: Path, place: Place, elsewhere: Place) -> None:
    """What is stopped while a large table is being filled leaves neither rows nor keys; whoever looks on is connected elsewhere."""
    asked, name = "select count(*) from pg_stat_progress_copy where datname = $1 and tuples_processed > 1000", urlsplit(place.url).path[1:]
    async with elsewhere.connected() as watcher, asyncio.timeout(60):

        async def begun() -> bool:
            return bool(await watcher.fetchval(asked, name))

        await _stopped(place, "restore", str(file), when=begun)
    assert (await place.rows(), place.data.exists()) == ({}, False)


EVENTS = """
insert into event (deployment_id, seq, at, kind, status, progress, level, message)
select id, last_seq + n, now(), 'log', status, 0, 'info', repeat(md5(n::text), 32) from deployment, generate_series(1, $1) n where id = $2
"""


@pytest.mark.parametrize("megabytes", [36, pytest.param(1000, marks=pytest.mark.full)])
async def test_memory_does_not_grow_with_the_database(
    kept: Kept, target: Place, stack: Stack, tmp_path: Path, tell: Callable[[str], None], megabytes: int
) -> None:
    little, much = tmp_path / "little", tmp_path / "much"
    before = await _peak("backup", str(little), **kept.place.environment), await _peak("restore", str(little), **target.environment)
    async with target.connected() as connection:
        await connection.execute("set synchronous_commit = off")
        await connection.execute(EVENTS, megabytes * 1000, kept.deployments["ended"].id)
    await _stopped_backup(tmp_path / "stopped", target)
    began = time.monotonic()
    peak = await _peak("backup", str(much), **target.environment)
    backing_up = time.monotonic() - began
    async with empty(stack, tmp_path / "second") as second:
        await _stopped_restore(much, second, kept.place)
        began = time.monotonic()
        loaded = await _peak("restore", str(much), **second.environment)
        restoring = time.monotonic() - began
        assert await second.rows() == await target.rows()
    tell(
        f"{megabytes} MB of events: {much.stat().st_size / 1e6:.1f} MB, backed up in {backing_up:.1f} s, restored in {restoring:.1f} s; "
        f"memory {before[0] / 1e6:.0f} and {before[1] / 1e6:.0f} MB without them, {peak / 1e6:.0f} and {loaded / 1e6:.0f} MB with them"
    )
    assert peak < before[0] + 24e6
    assert loaded < before[1] + 24e6
