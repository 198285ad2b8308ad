"""PostgreSQL's commands, to the letter."""

import pytest

from tests.workers.databases.test_engines import CREDENTIALS, NEW
from workers.databases import POSTGRESQL
from workers.databases.contract import Command, Plan, Swap

SECRET = {"PGPASSWORD": "sEcReT-user"}
PSQL = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "app", "-d", "postgres")


def psql(*statements: str) -> Command:
    return Command((*PSQL, *(word for each in statements for word in ("-c", each))), SECRET)


def test_server() -> None:
    assert POSTGRESQL.server(Plan(CREDENTIALS, {}, 512)) == ("postgres", "-c", "max_connections=100", "-c", "shared_buffers=128MB")
    set_to = {"maxConnections": 20, "sharedBuffers": 64}
    assert POSTGRESQL.server(Plan(CREDENTIALS, set_to, 512)) == ("postgres", "-c", "max_connections=20", "-c", "shared_buffers=64MB")
    assert POSTGRESQL.environment(CREDENTIALS) == {
        "POSTGRES_USER": "app",
        "POSTGRES_DB": "shop",
        "POSTGRES_PASSWORD_FILE": "/run/secrets/password",
    }
    assert POSTGRESQL.files(CREDENTIALS) == {"password": "sEcReT-user"}
    assert POSTGRESQL.ready(CREDENTIALS) == "pg_isready -q -h 127.0.0.1 -U app -d shop"
    assert POSTGRESQL.url(CREDENTIALS, "db", "x") == "postgresql://app:x@db:5432/shop"


@pytest.mark.parametrize(
    ("version", "volume"), [("14", "/var/lib/postgresql/data"), ("17", "/var/lib/postgresql/data"), ("18", "/var/lib/postgresql")]
)
def test_volume(version: str, volume: str) -> None:
    assert POSTGRESQL.volume(version) == volume


@pytest.mark.parametrize(("compress", "level"), [(True, "-Z1"), (False, "-Z0")])
def test_dump(compress: bool, level: str) -> None:
    dump = POSTGRESQL.dump(CREDENTIALS, compress)
    assert dump.command == Command(("pg_dump", "-U", "app", "-d", "shop", "-Fc", level), SECRET)
    assert (dump.suffix, dump.compresses) == (".dump", True)
    assert POSTGRESQL.verify == Command(("pg_restore", "-f", "/dev/null"))


def test_restore_fills_another_database_and_has_it_take_the_place() -> None:
    swap = POSTGRESQL.restore
    assert isinstance(swap, Swap)
    dropped = [f'drop database if exists "shop~{what}" with (force)' for what in ("restoring", "dropped")]
    assert swap.prepare(CREDENTIALS) == psql(*dropped, 'create database "shop~restoring" template template0')
    load = ("pg_restore", "-U", "app", "-d", "shop~restoring", "--exit-on-error")
    assert swap.load(CREDENTIALS) == Command(load, SECRET)
    assert swap.users(CREDENTIALS).argv[-2:] == ("app", "shop~restoring")
    assert swap.commit(CREDENTIALS) == psql(
        'alter database "shop" with allow_connections false',
        "select pg_terminate_backend(pid) from pg_stat_activity where datname in ('shop', 'shop~restoring') and pid <> pg_backend_pid()",
        'begin; alter database "shop" rename to "shop~dropped"; alter database "shop~restoring" rename to "shop"; commit',
    )
    assert swap.undo(CREDENTIALS) == psql(*dropped, 'alter database "shop" with allow_connections true')


def test_rotation_reads_the_password_in_a_way_that_every_version_knows() -> None:
    assert POSTGRESQL.rotate is not None
    rotate = POSTGRESQL.rotate(CREDENTIALS, NEW)
    told = '\\set password `printf %s "$DOKPLOY_PASSWORD"`\nalter user "app" password :\'password\';\n'
    assert rotate == Command(PSQL, SECRET | {"DOKPLOY_PASSWORD": NEW}, told)
