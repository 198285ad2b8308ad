"""What holds for every engine: where secrets stand, what is offered, and what its failures are called."""

import re
from collections.abc import Iterator

import pytest

from models import DatabaseType
from workers.databases import ENGINES
from workers.databases.contract import SECRETS, SENTENCES, Command, Credentials, Dump, Engine, Plan, Replace, Swap, megabytes

CREDENTIALS = Credentials("app", "sEcReT-user", "sEcReT-admin", "shop")
NEW = "sEcReT-new"
VALUES = (CREDENTIALS.password, CREDENTIALS.admin_password, NEW)
PLAN = Plan(CREDENTIALS, {}, 1024)

engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.type.value)


def restoring(engine: Engine) -> Iterator[Command]:
    """Every command of a restore."""
    match engine.restore:
        case Swap() as swap:
            yield from (step(CREDENTIALS) for step in (swap.prepare, swap.users, swap.load, swap.commit, swap.undo))
        case Replace() as replace:
            yield replace.ready(CREDENTIALS)
            yield from filter(None, [replace.write, replace.empty and replace.empty(CREDENTIALS)])
            yield from (replace.load(CREDENTIALS, foreign) for foreign in (False, True) if replace.load)


def commands(engine: Engine) -> list[Command]:
    """Everything that is ever run in its containers."""
    rotate = [engine.rotate(CREDENTIALS, NEW)] if engine.rotate else []
    verify = [engine.verify] if engine.verify else []
    return [engine.dump(CREDENTIALS, True).command, engine.dump(CREDENTIALS, False).command, *verify, *restoring(engine), *rotate]


def test_there_is_an_engine_for_every_type() -> None:
    assert set(ENGINES) == set(DatabaseType)


@engines
def test_no_secret_stands_where_everybody_reads(engine: Engine) -> None:
    told = [word for command in commands(engine) for word in command.argv]
    told += [*engine.server(PLAN), *engine.environment(CREDENTIALS).values(), engine.ready(CREDENTIALS)]
    told += engine.restore.server if isinstance(engine.restore, Replace) else ()
    assert not [word for word in told for value in VALUES if value in word]
    assert not [command for command in commands(engine) for value in VALUES if value in repr(command)]
    assert not [value for value in VALUES if value in repr(PLAN)]


@engines
def test_a_command_is_told_only_what_it_needs(engine: Engine) -> None:
    for command in commands(engine):
        text = " ".join(command.argv) + command.stdin
        drivers = {"PGPASSWORD", "MYSQL_PWD", "REDISCLI_AUTH"}
        assert all(name in drivers or name in text for name in command.secrets), command


@engines
def test_the_files_of_the_server_hold_the_secrets_and_its_variables_name_them(engine: Engine) -> None:
    files = engine.files(CREDENTIALS)
    assert any(CREDENTIALS.password in content for content in files.values())
    told = " ".join([*engine.environment(CREDENTIALS).values(), *engine.server(PLAN)])
    assert [name for name in files if f"{SECRETS}/{name}" not in told] == []


@engines
def test_its_url_has_a_place_for_the_password(engine: Engine) -> None:
    assert engine.url(CREDENTIALS, "host", "{password}").startswith(f"{engine.type.value}://app:{{password}}@host:{engine.port}")


@engines
def test_a_backup_is_read_to_its_end_in_one_way(engine: Engine) -> None:
    assert (engine.verify is None) != (engine.inspect is None)
    dump = engine.dump(CREDENTIALS, True)
    assert isinstance(dump, Dump) and dump.suffix.startswith(".")
    assert dump.suffix == engine.dump(CREDENTIALS, False).suffix
    assert dump.compresses or dump == engine.dump(CREDENTIALS, False)


@engines
def test_it_begins_within_its_memory(engine: Engine) -> None:
    least = " ".join(engine.server(Plan(CREDENTIALS, {}, engine.least_memory)))
    assert not re.search(r"[= -](?:0|-\d+)(?:MB|M|mb)?(?:\s|$)", least)


@engines
def test_its_settings_can_be_set(engine: Engine) -> None:
    for setting in engine.limits.values():
        value = setting.words[-1] if setting.words else setting.high
        assert setting.words or setting.low < setting.high
        assert engine.server(Plan(CREDENTIALS, {setting.name: value}, 1024)) != engine.server(PLAN)


@engines
def test_its_failures_have_codes_and_sentences(engine: Engine) -> None:
    for pattern, code, sentence in engine.failures:
        assert re.compile(pattern)
        assert (code in SENTENCES) == (not sentence)
    assert "DATABASE_UNREACHABLE" in {code for _, code, _ in engine.failures}


def test_an_url_spells_what_it_cannot_hold() -> None:
    assert Credentials("a b", "p@ss/w:rd", "", "x").userinfo() == "a%20b:p%40ss%2Fw%3Ard"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("256MB", 256), ("256M", 256), ("1GB", 1024), ("2g", 2048), (" 64mb ", 64), ("007M", 7)),
        *(("", None), ("256", None), (256, None), ("0MB", None), ("MB", None), ("-1MB", None), ("1.5GB", None), ("1 GB", None)),
        *(("256KB", None), ("1GBB", None), ("²M", None), ("٣M", None), ("9" * 5000 + "M", None), (None, None), (True, None)),
    ],
)
def test_sizes(text: object, size: int | None) -> None:
    assert megabytes(text) == size
