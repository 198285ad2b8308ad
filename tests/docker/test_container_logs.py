"""A real container that prints much, watched by three: nothing changes places, and what is missing is said."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import psutil  # type: ignore[import-untyped]
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.docker.installation import Installation, eventually

pytestmark = pytest.mark.docker

PER_SECOND = 10_000
GROWTH = 64
"""MiB that the gateway may grow while three follow."""
SCRIPT = "sleep 3; n=0; while [ $n -lt {tenths} ]; do seq $((n*{step}+1)) $(((n+1)*{step})); n=$((n+1)); usleep 80000; done; sleep 600"


@pytest.fixture
async def monitor(installation: Installation) -> AsyncIterator[None]:
    async with installation.monitor("log-monitor"):
        yield


@dataclass
class Reader:
    """Somebody who follows a log."""

    url: str
    slow: bool = False
    found: list[tuple[int, int, int]] = field(default_factory=list)
    """Of each line its number, what it says, and how many are missing before it."""

    async def read(self, last: int) -> None:
        """Read up to a line; whoever is cut off goes on where they were."""
        while not self.found or self.found[-1][1] < last:
            after = f"&afterSeq={self.found[-1][0]}" if self.found else ""
            try:
                async with connect(self.url + after, max_queue=64) as socket:
                    async for frame in socket:
                        line = json.loads(frame)
                        self.found.append((line["seq"], int(line["message"]), line["lost"]))
                        if line["message"] == str(last):
                            return
                        if self.slow and len(self.found) % 1000 == 0:
                            await asyncio.sleep(0.3)
            except ConnectionClosed:
                pass


@pytest.mark.usefixtures("monitor")
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.full)])
async def test_ten_thousand_lines_a_second_keep_their_order_and_what_is_lost_is_told(installation: Installation, seconds: int) -> None:
    owner, name, last = installation.owner, f"dokploy-test-{uuid4().hex[:12]}", seconds * PER_SECOND
    project = await owner.made("/projects", {"name": f"Loud{name[-6:]}"})
    made = await owner.made("/applications", {"name": "loud", "projectId": project["id"], "image": "busybox:1"})
    label = f"dokploy.application={made['id']}"
    process, before = psutil.Process(installation.gateway.pid), psutil.Process(installation.gateway.pid).memory_info().rss
    url = f"{installation.url.replace('http', 'ws')}/api/applications/{made['id']}/logs?follow=true&token={owner.token}"
    readers = [Reader(url), Reader(url), Reader(url, slow=True)]
    reading = [asyncio.create_task(each.read(last)) for each in readers]
    script = SCRIPT.format(tenths=seconds * 10, step=PER_SECOND // 10)
    service = ("--detach", "--name", name, "--container-label", label, "--restart-condition", "none", "--no-resolve-image")
    await installation.command("service", "create", *service, installation.base_image, "sh", "-c", script)
    try:
        await asyncio.wait_for(asyncio.gather(*reading), seconds * 3 + 60)
        growth = (process.memory_info().rss - before) / (1 << 20)
    finally:
        for task in reading:
            task.cancel()
        await installation.command("service", "rm", name)
    for reader in readers:
        assert [number for number, _, _ in reader.found] == sorted({number for number, _, _ in reader.found})
        for (seq, text, _), (next_seq, next_text, lost) in zip(reader.found, reader.found[1:], strict=False):
            assert next_seq - seq == next_text - text == lost + 1, (seq, text, next_seq, next_text, lost)
    shares = [len(reader.found) / last for reader in readers]
    sys.stdout.write(f"\n  {last} lines in {seconds} s: {', '.join(f'{share:.1%}' for share in shares)} read, gateway +{growth:.0f} MiB")
    assert shares[0] > 0.9
    assert growth < GROWTH

    async def kept() -> bool:
        logs = (await owner.get(f"/applications/{made['id']}/logs?tail=1000")).json()["logs"]
        return [int(each["message"]) for each in logs] == list(range(last - 999, last + 1))

    await eventually(kept, within=5)
    await owner.delete(f"/applications/{made['id']}")
