"""What a backup costs: a database of Postgres through the product against the same pipe typed by hand, and what others notice of it.

Both in turn, while others ask the same of the gateway; compared is the time from the beginning of the dump until it is synced to the disk.
Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import psutil  # type: ignore[import-untyped]

from bench.report import table, verdict
from gateway.embedded.stack import Stack
from models.database import migrate
from models.settings import settings
from tests.docker.database_images import ensure_database_images
from tests.docker.house import House
from tests.docker.installation import Installation, installed
from tests.docker.managed import Managed

MEBIBYTES, ROUNDS = 500, 3
SHARE, GROWTH, LATENCY = 0.9, 64.0, 0.2
"""Of the speed of the pipe by hand; MiB that gateway and worker may grow; seconds for other requests, of 99 in a hundred."""
EVERY = 0.02
MIB = 1 << 20


async def by_hand(database: Managed, folder: Path, watch: "Watch") -> float:
    """Seconds that the same dump takes through the docker command line into a file that is synced."""
    argv = [database.installation.docker.path, "exec", await database.container(), "pg_dump", "-U", "app", "-d", "shop", "-Fc", "-Z1"]
    with (folder / "by-hand.dump").open("wb") as file:
        async with watch.looking():
            began = perf_counter()
            process = await asyncio.create_subprocess_exec(*argv, stdout=file)
            assert await process.wait() == 0
            await asyncio.to_thread(os.fsync, file.fileno())
            return perf_counter() - began


class Watch:
    """The memory of two processes, and how long others wait for an answer, while a block runs."""

    def __init__(self, database: Managed, pids: dict[str, int]) -> None:
        self._database, self._processes = database, {name: psutil.Process(pid) for name, pid in pids.items()}
        self._began = self._resident()
        self.most, self.waits = dict(self._began), list[float]()

    def _resident(self) -> dict[str, float]:
        return {name: process.memory_info().rss / MIB for name, process in self._processes.items()}

    def growth(self, name: str) -> float:
        """MiB."""
        return self.most[name] - self._began[name]

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look all the time."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            began = perf_counter()
            answer = await self._database.installation.owner.client.get(
                f"/api{self._database.path}", headers=self._database.installation.owner.headers
            )
            assert answer.status_code == 200
            self.waits.append(perf_counter() - began)
            for name, size in self._resident().items():
                self.most[name] = max(self.most[name], size)
            await asyncio.sleep(EVERY)


async def by_product(database: Managed, watch: Watch) -> tuple[float, float]:
    """Seconds until everything was stored, and until it was read back."""
    connection = database.installation.database
    async with watch.looking():
        id = (await database.post("backup"))["backupId"]
        times: dict[str, float] = {}
        while (row := await connection.fetchrow("select step, status from database_backup where id = $1", id))["status"] in (
            "pending",
            "running",
        ):
            times.setdefault(row["step"] or "", perf_counter())
            await asyncio.sleep(EVERY)
        assert row["status"] == "completed", row
        return times["verifying"] - times["dumping"], perf_counter() - times["verifying"]


@asynccontextmanager
async def running() -> AsyncIterator[Installation]:
    os.environ["DOKPLOY_RATE_LIMITS"] = "off"
    await ensure_database_images("postgres")
    with tempfile.TemporaryDirectory(prefix="dk-bench-") as path:
        async with Stack(Path(path)) as stack:
            os.environ.update(stack.environment)
            settings.cache_clear()
            await migrate()
            async with installed(stack) as installation:
                yield installation


async def measured(mebibytes: int, rounds: int) -> int:
    async with running() as installation:
        house = House(installation, "bench")
        database = await house.database("postgresql", resources={"memoryLimit": 1024})
        await (await database.dataset()).grow(mebibytes)
        pids = {"worker": installation.workers[0].pid, "gateway": gateway_of(psutil.Process())}
        hand, product, back = list[float](), list[float](), list[float]()
        folder = installation.stack.directory.path
        await by_hand(database, folder, Watch(database, pids))
        watches = []
        for _ in range(rounds):
            hand.append(await by_hand(database, folder, Watch(database, pids)))
            watches.append(Watch(database, pids))
            stored, read = await by_product(database, watches[-1])
            product.append(stored)
            back.append(read)
        await house.leave()
        await house.empty()
    waits = sorted(wait for watch in watches for wait in watch.waits)
    grown = {name: max(watch.growth(name) for watch in watches) for name in pids}
    seconds = {"by hand": hand, "stored by the product": product, "read back and verified": back}
    table([("what", "median s", "all"), *((what, f"{statistics.median(each):.2f}", _told(each)) for what, each in seconds.items())])
    print(f"  {mebibytes} MiB of data; {len(waits)} other requests meanwhile")
    share = statistics.median(one / other for one, other in zip(product, hand, strict=True))
    held = [
        verdict("a backup is stored, of the seconds by hand", share, 1 / SHARE, "x"),
        *[verdict(f"growth of the {name}", size, GROWTH, "MiB") for name, size in grown.items()],
        verdict("other requests meanwhile, p99", waits[int(len(waits) * 0.99)], LATENCY, "s"),
    ]
    return 0 if all(held) else 1


def _told(seconds: list[float]) -> str:
    return " ".join(f"{each:.2f}" for each in seconds)


def gateway_of(parent: psutil.Process) -> int:
    """The process id of the gateway that this process has started."""
    return next(child.pid for child in parent.children(recursive=True) if "gateway.cli" in child.cmdline())


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=MEBIBYTES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    sys.exit(asyncio.run(measured(given.mebibytes, given.rounds)))


if __name__ == "__main__":
    main()
