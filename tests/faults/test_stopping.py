"""Gateways and workers that are told to stop, one after the other, in the middle of everything: nobody's request fails, nothing is lost."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from models import StageName
from tests.faults.held import CHANGES, hold
from tests.faults.installation import App, Installation
from tests.faults.load import image_apps
from tests.faults.part import Part
from tests.faults.source import Source

STOPS_WITHIN = 25
PAUSE = 0.3
"""Seconds between two deployments that are asked for."""
HANDED_BACK = "The worker stops; another one goes on"
Tell = Callable[[str], None]


@dataclass
class Traffic:
    """Somebody who asks without a pause, whichever gateway answers; a connection that is refused is no request."""

    installation: Installation
    apps: list[App]
    over: bool = False
    answered: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    """By method, gateway and status."""
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    deployments: list[str] = field(default_factory=list)

    async def reads(self) -> None:
        """Read until it is over."""
        for number in itertools.count():
            if self.over:
                return
            await self._ask(number % 2, "GET", f"/applications/{self.apps[number % len(self.apps)].id}")
            await asyncio.sleep(0.01)

    async def deploys(self) -> None:
        """Ask for deployments until it is over."""
        for number in itertools.count():
            if self.over:
                return
            answer = await self._ask(number % 2, "POST", f"/applications/{self.apps[number % len(self.apps)].id}/deploy")
            self.deployments += [answer.json()["deploymentId"]] if answer else []
            await asyncio.sleep(PAUSE)

    async def _ask(self, at: int, method: str, path: str) -> httpx2.Response | None:
        """One request, to one gateway or else the other one. The answer, unless it is that something failed."""
        for gateway in (at, 1 - at) * 100:
            owner = self.installation.owners[gateway]
            try:
                answer = await owner.client.request(method, f"/api{path}", headers=owner.headers)
            except httpx2.ConnectError:
                self.refused += 1
                await asyncio.sleep(0.01)
                continue
            except httpx2.TransportError as error:
                self.failed.append(f"{method} {path}: {error!r}")
                return None
            self.answered[method, gateway, answer.status_code] += 1
            if answer.is_success:
                return answer
            self.failed.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return None
        self.failed.append(f"{method} {path}: nobody listens")
        return None


@dataclass
class Follower:
    """Somebody who follows a deployment as a stream of events, and goes on at the other gateway wherever it ended."""

    installation: Installation
    deployment: str
    first: int
    events: list[dict[str, Any]] = field(default_factory=list)
    streams: int = 0
    over: bool = False

    async def follow(self) -> list[int]:
        """The sequence numbers of everything that was heard until the deployment had ended."""
        for gateway in itertools.cycle((self.first, 1 - self.first)):
            try:
                await self._stream(gateway)
            except httpx2.TransportError:
                await asyncio.sleep(0.02)
            if self.over:
                break
        return [event["seq"] for event in self.events]

    async def _stream(self, gateway: int) -> None:
        owner = self.installation.owners[gateway]
        after = {"afterSeq": self.events[-1]["seq"] if self.events else 0}
        path = f"/api/deployments/{self.deployment}/events"
        async with owner.client.stream("GET", path, headers=owner.headers, params=after, timeout=60) as answer:
            assert answer.status_code == 200
            self.streams += 1
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.events.append(json.loads(line.removeprefix("data: ")))
                    self.over = self.events[-1]["status"] == "success"


async def replaced(installation: Installation, part: Part, tell: Tell) -> None:
    """Stop one and start it anew, until it does its work."""
    began = time.monotonic()
    assert await part.stop() == 0
    stopped = time.monotonic() - began
    await installation.running(part)
    tell(f"{part.kind} {part.number} stopped after {stopped:.1f} s, and works again after {time.monotonic() - began:.1f} s")
    assert stopped <= STOPS_WITHIN


async def test_everything_is_replaced_while_it_is_used(installation: Installation, source: Source, tell: Tell) -> None:
    held = [await hold(installation, source, StageName.building) for _ in range(3)]
    held.append(await hold(installation, source, StageName.deploying))
    traffic = Traffic(installation, await image_apps(installation, 20))
    followers = [Follower(installation, each.deployment, number % 2) for number, each in enumerate(held)]
    following = [asyncio.create_task(each.follow()) for each in followers]
    clients = [asyncio.create_task(work()) for work in (*[traffic.reads] * 3, traffic.deploys)]
    await asyncio.sleep(1)
    for gateway, worker in zip(installation.gateways, installation.workers, strict=True):
        await replaced(installation, gateway, tell)
        await replaced(installation, worker, tell)
    traffic.over = True
    await asyncio.gather(*clients)
    for each in held:
        await each.release()
    heard = await asyncio.wait_for(asyncio.gather(*following), 60)
    await installation.rest(within=60)
    deployments = f"{len(traffic.deployments)} deployments asked for"
    tell(
        f"meanwhile {traffic.answered.total()} requests, {deployments}, {traffic.refused} connections refused, {len(traffic.failed)} failed"
    )
    assert traffic.failed == []
    assert traffic.refused, "that a gateway was away was noticed"
    assert {gateway for _, gateway, _ in traffic.answered} == {0, 1}
    await _none_is_lost_or_doubled(installation, traffic, [each.deployment for each in held])
    for follower, numbers in zip(followers, heard, strict=True):
        row = await installation.row(follower.deployment)
        assert numbers == list(range(1, row["last_seq"] + 1))
        assert follower.streams >= 2, "it had to go on elsewhere"
        assert HANDED_BACK in [event["message"] for event in follower.events]


async def _none_is_lost_or_doubled(installation: Installation, traffic: Traffic, held: list[str]) -> None:
    ids = [*traffic.deployments, *held]
    assert len(set(ids)) == len(ids) > 20
    rows = await installation.servers.fetch("select id, status, attempt, epoch from deployment where id = any($1)", ids)
    assert Counter((row["status"], row["attempt"], row["epoch"]) for row in rows) == {("success", 1, 1): len(ids)}
    of_apps = "select count(*) from deployment where application_id = any($1)"
    assert await installation.servers.value(of_apps, [app.id for app in traffic.apps]) == len(traffic.deployments)
    changed = Counter(call.deployment for call in installation.stand_in.of(*CHANGES) if call.code == 0)
    assert {id: changed[id] for id in ids} == dict.fromkeys(ids, 1)
