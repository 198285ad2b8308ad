"""Schemathesis over a running gateway: no answer is an error of ours, and none lies outside the OpenAPI document.

The gateway and schemathesis are processes of their own; what the latter is told is in tests/services/fuzz/. Seeds are fixed, so
that a failure comes back; the output says how to send the request again.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.embedded.stack import Stack
from gateway.embedded.up import CLI, free_port, gateway_argv
from schema.surface import surface

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "fuzz" / "schemathesis.toml"
HOST = "127.0.0.1"
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
MANY = 20_000
"""Cases of the long form, at least."""
ENDLESS = {"applications.events", "resource_alerts.alerts"}
"""What is left out in `CONFIG`."""
LONGEST_LINE = 1000
"""Characters; bodies can be long."""


pytestmark = pytest.mark.clients


@dataclass
class Run:
    """What came of a run: the calls by operation and class of status, the exit status, what was said, and the calls by phase."""

    calls: dict[str, Counter[int]]
    status: int = 0
    output: str = ""
    phases: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> Counter[int]:
        return sum(self.calls.values(), Counter())

    def __str__(self) -> str:
        lines = [("operation", "cases", "2xx", "4xx")]
        lines += [(id, calls.total(), calls[2], calls[4]) for id, calls in [*self.calls.items(), ("total", self.total)]]
        table = [f"{id:32}{cases:>8}{good:>8}{bad:>8}" for id, cases, good, bad in lines]
        return "\n".join(["", *table, ", ".join(f"{phase} {calls}" for phase, calls in self.phases.items())])

    def holds(self) -> None:
        """Fail unless schemathesis found nothing, each operation succeeded at least once, and each phase had a part in it."""
        assert self.status == 0, "\n".join(line[:LONGEST_LINE] for line in self.output.splitlines())
        assert not [id for id, calls in self.calls.items() if not calls[2]]
        assert set(self.phases) >= PHASES


@pytest.fixture
async def address(stack: Stack) -> AsyncIterator[str]:
    """Where a gateway of its own shows its document."""
    port = free_port(HOST, 0)
    gateway = await stack.start("gateway", gateway_argv(CLI, HOST, port), {"DOKPLOY_RATE_LIMITS": "off"})
    yield f"http://{HOST}:{port}/api/openapi.json"
    await gateway.stop()


async def run(address: str, directory: Path, examples: int, *seeds: int) -> Run:
    """Run schemathesis with so many examples per operation, once for each seed."""
    tally = directory / "tally.json"
    operations = [each.operation for each in surface().operations]
    found = Run(calls={each.id: Counter() for each in operations if each.follows is None and each.id not in ENDLESS})
    for seed in seeds:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG)),
            *("run", address, "--checks=all", f"--max-examples={examples}", f"--seed={seed}"),
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "DOKPLOY_TALLY": str(tally)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        found.output += output.decode()
        found.status = found.status or await process.wait()
        for row in json.loads(tally.read_text()) if tally.exists() else ():
            found.calls[row["operation"]][row["status"] // 100] += row["calls"]
            found.phases[row["phase"]] += row["calls"]
        tally.unlink(missing_ok=True)
    return found


async def test_every_answer_is_as_the_document_says(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = await run(address, tmp_path, 6, 1)
    with capsys.disabled():
        print(found)
    found.holds()


@pytest.mark.full
async def test_twenty_thousand_answers_are_as_the_document_says(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = await run(address, tmp_path, 210, 2, 3, 4)
    with capsys.disabled():
        print(found)
    found.holds()
    assert found.total.total() >= MANY
