"""Real Postgres and Valkey under a directory that makes it hard."""

import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import redis

from gateway.embedded import processes
from gateway.embedded.stack import Stack

pytestmark = pytest.mark.services

PARTS = Path(__file__).with_name("parts.py")


@pytest.fixture
def data() -> Iterator[Path]:
    """Long, with spaces, under a 0700 parent that only we may enter."""
    root = Path(tempfile.mkdtemp(prefix="dk "))
    yield root / ("long name " * 15) / "data dir"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    shutil.rmtree(root)


def working_in(data: Path) -> list[int]:
    """Processes whose working directory is below `data`: Postgres and its backends."""
    return [each.pid for each in processes.running() if each.cwd.startswith(str(data))]


def runtime_of(database_url: str) -> Path:
    return Path(parse_qs(urlsplit(database_url).query)["host"][0]).parent


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_both_servers_and_a_killed_postgres(data: Path) -> None:
    said: list[str] = []
    async with Stack(data, report=said.append) as stack:
        runtime = runtime_of(stack.database_url)
        connection = await asyncpg.connect(stack.database_url)
        assert await connection.fetchval("SELECT current_user || ' ' || current_database()") == "dokploy dokploy"
        assert await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = 'dokploy' AND rolsuper") == 0
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
        if os.geteuid() == 0:
            assert Path(f"/proc/{postmaster}").stat().st_uid != 0
        with redis.Redis.from_url(stack.redis_url) as client:
            assert client.ping()
            assert client.config_get("save") == {"save": ""}
            assert client.info("server")["tcp_port"] == 0
            valkey = int(client.info("server")["process_id"])

        os.kill(postmaster, signal.SIGKILL)
        os.kill(valkey, signal.SIGKILL)
        connection.terminate()
        assert await reconnect(stack) == 42
        with redis.Redis.from_url(stack.redis_url) as client:
            assert client.ping()
        assert sorted(line.split()[0] for line in said) == ["postgres", "valkey"]
        assert stack.environment["DOKPLOY_DATA"] == str(data)
    assert not working_in(data)
    assert not runtime.exists()


async def reconnect(stack: Stack) -> int:
    for _ in range(200):
        try:
            connection = await asyncpg.connect(stack.database_url)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.05)
            continue
        kept = await connection.fetchval("SELECT n FROM kept")
        await connection.close()
        return int(kept)
    raise AssertionError("Postgres did not come back")


async def test_kill_of_the_holder(data: Path) -> None:
    holder = subprocess.Popen([sys.executable, PARTS, "hold", data], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    runtime = runtime_of(holder.stdout.readline().strip())
    holder.stdout.close()
    assert working_in(data)
    assert runtime.exists()
    holder.kill()
    holder.wait()
    await until(lambda: not working_in(data))

    # The lock file of a dead server names a process id that lives on as somebody else's: ours.
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n5432\n\n\n0 0\nready\n")
    async with Stack(data) as stack:
        assert not runtime.exists()
        assert await reconnect(stack) == 7
    assert not working_in(data)


async def test_a_killed_initdb_is_no_database(data: Path) -> None:
    (data / "postgres.unfinished" / "base").mkdir(parents=True)
    async with Stack(data, redis_url="unix:///elsewhere") as stack:
        assert stack.redis_url == "unix:///elsewhere"
        assert (data / "postgres" / "PG_VERSION").exists()
    assert not (data / "postgres.unfinished").exists()


async def test_both_given_starts_nothing(data: Path) -> None:
    async with Stack(data, database_url="postgresql://elsewhere/d", redis_url="redis://elsewhere") as stack:
        assert stack.environment["DOKPLOY_DATABASE_URL"] == "postgresql://elsewhere/d"
        assert sorted(path.name for path in data.iterdir()) == ["lock"]


def test_up_from_start_to_signal(data: Path) -> None:
    command = [sys.executable, PARTS, "up", data]
    process = subprocess.Popen(command, env=environment(TEST_MARK="whole"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    line = process.stdout.readline()
    process.stdout.close()
    assert re.fullmatch(r"dokploy is up: http://127\.0\.0\.1:\d+ \(docs at /api/docs, GraphiQL at /api/graphql\)\n", line)
    again = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=20)
    assert again.returncode == 1
    assert again.stderr == f"dokploy: dokploy is already running on {data} (process {process.pid})\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert not working_in(data)
    assert not marked("whole")
    assert not (data / "runtime").exists()


@pytest.mark.parametrize("delay", [0.3, 0.8])
def test_a_signal_during_start_up(data: Path, delay: float) -> None:
    process = subprocess.Popen([sys.executable, PARTS, "up", data], env=environment(TEST_MARK="early"), stderr=subprocess.DEVNULL)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    assert not working_in(data)
    assert not marked("early")


def test_up_fails_in_one_line_when_migrations_fail(data: Path) -> None:
    done = subprocess.run([sys.executable, PARTS, "up", data], env=environment(TEST_FAIL="1"), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("dokploy: The database could not be brought up to date")
    assert not working_in(data)


def environment(**more: str) -> dict[str, str]:
    """Ours without the servers of the session's stack, so that `up` starts its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOKPLOY_")} | more


def marked(mark: str) -> list[int]:
    return [each.pid for each in processes.running() if processes.environment(each.pid).get("TEST_MARK") == mark]
