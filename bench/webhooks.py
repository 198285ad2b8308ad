"""What webhooks cost: signed pushes that come at a steady rate, as GitHub sends them, while something else wants the machine.

Prints what was measured beside its bound; the exit status is 1 when a bound is missed. See README.md.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import httpx2

from bench.report import table, verdict
from gateway.embedded.stack import Stack
from gateway.embedded.up import CLI, migrate_argv
from tests.services.gateways import Gateway, gateways
from tests.webhooks.senders import SENDERS, Sending, sending

GITHUB = SENDERS[0]
RATE, SHARE, SECONDS = 200, 10, 20
"""Deliveries a second, of which one in so many deploys, and for how long they come."""
PUSHES = 100
"""Deliveries a second that all deploy, each instead of one that waits."""
OTHERS = {"tag": "push", "deleted": "push", "issues": "issues", "ping": "ping"}
"""Payloads that lead to nothing, and their events."""
APPLICATIONS = 20
"""Each of a repository of its own; the pushes go to them in turn."""
CONNECTIONS = 50
P99, ALONE = 150.0, 20
"""Milliseconds at most while something is built, and pushes a second that come meanwhile."""
PASSWORD = "correct horse battery"
BUSY = "while True: pass"


@dataclass
class Load:
    """What became of the deliveries."""

    took: list[float] = field(default_factory=list)
    """Milliseconds from when each was due."""
    refused: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return statistics.quantiles(self.took, n=100)[98]

    def row(self, name: str) -> Sequence[str]:
        """A line of the table."""
        ends = f"{statistics.median(self.took):.1f}", f"{self.p99:.1f}", f"{max(self.took):.1f}"
        return name, str(len(self.took)), str(len(self.refused)), *ends


async def _made(client: httpx2.AsyncClient, path: str, body: object = None) -> dict[str, str]:
    answer = await client.post(f"/api{path}", json=body)
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found


async def prepared(url: str) -> list[tuple[str, str]]:
    """Applications of repositories, each with the secret of its webhooks: pairs of a repository's name and a secret."""
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        await _made(client, "/auth/register", {"username": "owner", "email": "owner@example.com", "password": PASSWORD})
        login = await _made(client, "/auth/login", {"username": "owner", "password": PASSWORD})
        client.headers["Authorization"] = f"Bearer {login['token']}"
        project = await _made(client, "/projects", {"name": "Bench"})
        found = []
        for number in range(APPLICATIONS):
            source = {"repoUrl": f"https://github.com/user/app{number}"}
            application = await _made(client, "/applications", {"name": f"app{number}", "projectId": project["id"], "gitSource": source})
            secret = (await _made(client, f"/applications/{application['id']}/webhook-secret"))["secret"]
            found.append((f"user/app{number}", secret))
        return found


def deliveries(applications: Sequence[tuple[str, str]], number: int, share: int = 1) -> list[Sending]:
    """So many deliveries to the applications in turn; one in `share` is a push that deploys, the others are of what else GitHub sends."""
    texts = {name: json.dumps(GITHUB.payload(name)) for name in ("push", *OTHERS)}
    found = []
    for at in range(number):
        name, secret = applications[at % len(applications)]
        kind = "push" if at // len(applications) % share == 0 else list(OTHERS)[at % len(OTHERS)]
        payload = json.loads(texts[kind].replace("user/myapp", name).replace(GITHUB.commit, f"{at + 1:040x}"))
        found.append(sending(GITHUB, payload, secret=secret, event=OTHERS.get(kind)))
    return found


async def loaded(gateway: Gateway, requests: Sequence[Sending], rate: float) -> Load:
    """Send requests at a steady rate, however long the answers take."""
    load = Load()
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=30, limits=limits) as client:
        began = perf_counter()

        async def send(at: int, request: Sending) -> None:
            due = began + at / rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            try:
                answer = await client.post(f"/api{request.path}", content=request.body, headers=request.headers)
            except httpx2.HTTPError as error:
                load.refused.append(repr(error))
                return
            load.took.append((perf_counter() - due) * 1000)
            if answer.status_code != 202:
                load.refused.append(answer.text)

        await asyncio.gather(*[send(at, request) for at, request in enumerate(requests)])
    return load


async def main(rate: float, seconds: int) -> int:
    """Measure, print, and say whether the bounds hold."""
    async with AsyncExitStack() as exit_stack:
        directory = Path(exit_stack.enter_context(tempfile.TemporaryDirectory(prefix="dk-bench-")))
        stack = await exit_stack.enter_async_context(Stack(directory))
        migrating = await asyncio.create_subprocess_exec(*migrate_argv(CLI), env={**os.environ, **stack.environment})
        if await migrating.wait():
            raise SystemExit("the database could not be migrated")
        (gateway,) = await exit_stack.enter_async_context(gateways(stack, 1, DOKPLOY_RATE_LIMITS="off"))
        applications = await prepared(gateway.url)
        await loaded(gateway, deliveries(applications, 200), PUSHES / 2)
        mixed = await loaded(gateway, deliveries(applications, round(rate * seconds), SHARE), rate)
        pushed = await loaded(gateway, deliveries(applications, PUSHES * seconds), PUSHES)
        busy = await asyncio.create_subprocess_exec(sys.executable, "-c", BUSY)
        try:
            beside = await loaded(gateway, deliveries(applications, ALONE * seconds), ALONE)
        finally:
            busy.kill()
            await busy.wait()
    heading = ("deliveries", "answered", "refused", "p50 ms", "p99 ms", "longest ms")
    rows = {
        f"{rate:.0f} a second, one in {SHARE} a push": mixed,
        f"{PUSHES} pushes a second": pushed,
        f"{ALONE} beside a busy core": beside,
    }
    table([heading, *(load.row(name) for name, load in rows.items())])
    holds = [
        verdict(f"{rate:.0f} deliveries a second without an error", len(mixed.refused), 0, "errors"),
        verdict("a push is answered while something is built, p99", beside.p99, P99, "ms"),
    ]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.rate, given.seconds)))
