"""Each data set tells whether it was changed, and comes back the same out of a backup."""

import json

import pytest

from tests.docker.database_container import PASSWORD, Container, database, run
from tests.docker.database_images import IMAGES
from tests.docker.datasets import DATABASE, USER, Mongo, Mysql, Postgres, Redis

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("database_images")]

SECRETS = {"PGPASSWORD": PASSWORD, "MYSQL_PWD": PASSWORD, "REDISCLI_AUTH": PASSWORD}


async def swapped(container: Container, dump: bytes, *options: str) -> None:
    """Restore a dump of PostgreSQL into a new database that then takes the place of the other."""

    async def postgres(*statements: str) -> None:
        commands = [part for statement in statements for part in ("-c", statement)]
        await container.execute(["psql", "-X", "-q", "-U", USER, "-d", "postgres", *commands], SECRETS)

    await postgres("create database shop_new template template0")
    restore = ["pg_restore", "-U", USER, "-d", "shop_new", "--exit-on-error", "--single-transaction", *options]
    await container.execute(restore, SECRETS, dump)
    await postgres(
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{DATABASE}'",
        "alter database shop rename to shop_old",
        "alter database shop_new rename to shop",
        "drop database shop_old with (force)",
    )


async def test_postgres_comes_back_out_of_a_dump_with_its_owners_and_grants():
    async with database("postgres") as container:
        data = Postgres(container.execute, PASSWORD)
        await data.write()
        written = await data.fingerprint()
        dump = ["pg_dump", "-U", USER, "-d", DATABASE, "-Fc", "-Z6"]
        whole = await container.execute(dump, SECRETS)
        anonymous = await container.execute([*dump, "--no-owner", "--no-privileges"], SECRETS)
        unowned = await data.fingerprint(ownership=False)
        await data.change()
        assert await data.fingerprint(ownership=False) != unowned
        await swapped(container, anonymous)
        assert await data.fingerprint(ownership=False) == unowned
        assert await data.fingerprint() != written
        await data.grow(3)
        await swapped(container, whole)
        assert await data.fingerprint() == written


async def test_mysql_comes_back_out_of_a_dump():
    async with database("mysql") as container:
        data = Mysql(container.execute, PASSWORD)
        await data.write()
        written = await data.fingerprint()
        options = ["--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--no-tablespaces"]
        charset, login = "--default-character-set=utf8mb4", ["-h127.0.0.1", "-uroot"]
        dump = await container.execute(["mysqldump", *login, *options, charset, DATABASE], SECRETS)
        await data.change()
        await data.grow(3)
        assert await data.fingerprint() != written
        anew = f"drop database if exists `{DATABASE}`; create database `{DATABASE}` character set utf8mb4; use `{DATABASE}`;\n"
        await container.execute(["mysql", "--comments", charset, *login], SECRETS, anew.encode() + dump)
        assert await data.fingerprint() == written


async def test_redis_comes_back_out_of_a_snapshot_with_its_expiry_times():
    async with database("redis") as container:
        data = Redis(container.execute, PASSWORD)
        await data.write()
        written = await data.fingerprint()
        snapshot = "f=$(mktemp) && redis-cli --rdb $f >&2 && cat $f; rc=$?; rm -f $f; exit $rc"
        dump = await container.execute(["sh", "-c", snapshot], SECRETS)
        await data.change()
        await data.grow(3)
        assert await data.fingerprint() != written
        await container.stop()
        base = "appendonly.aof.1.base.rdb"
        place = f"""
            set -e
            rm -rf dump.rdb appendonlydir
            mkdir appendonlydir
            cd appendonlydir
            cat > {base}
            redis-check-rdb {base}
            echo 'file {base} seq 1 type b' > appendonly.aof.manifest
            chown -R 999:999 .
        """
        volume = f"{container.name}:/data"
        await run("run", "--rm", "-i", "--network", "none", "-v", volume, IMAGES["redis"], "sh", "-c", place, stdin=dump)
        await container.start()
        assert await data.fingerprint() == written


async def test_mongo_comes_back_out_of_an_archive():
    async with database("mongo") as container:
        data = Mongo(container.execute, PASSWORD)
        await data.write()
        written = await data.fingerprint()
        login = ["--config", "/tmp/login", "--username", "root", "--authenticationDatabase", "admin", "--archive", "--gzip"]
        await container.execute(["sh", "-c", "umask 077; cat > /tmp/login"], {}, f"password: {json.dumps(PASSWORD)}\n".encode())
        dump = await container.execute(["mongodump", *login, "--db", DATABASE], {})
        await data.change()
        await data.grow(3)
        assert await data.fingerprint() != written
        await data.run("db.dropDatabase()")
        await container.execute(["mongorestore", *login, "--drop"], {}, dump)
        assert await data.fingerprint() == written
