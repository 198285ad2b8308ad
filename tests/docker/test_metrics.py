"""What the monitor stores of a container that burns a known share of a processor and holds known memory, held against `docker stats`."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from statistics import mean
from typing import Any
from uuid import uuid4

import pytest

from tests.docker.installation import Installation, eventually

pytestmark = pytest.mark.docker

SHARE, MEMORY = 0.4, 48
"""Cores that the container may use, and MiB that it holds."""
HOLD_AND_BURN = f"dd if=/dev/zero of=/hold/filler bs=1048576 count={MEMORY} 2>/dev/null; while :; do :; done"
WITHIN = 0.10
LOOKS = 12
"""Looks at `docker stats`, each of which takes some two seconds and is of one: so they cover several rounds of the monitor."""
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


MONITOR = "monitor-metrics"


@dataclass
class Burning:
    """An application whose container burns and holds."""

    id: str
    container: str


@pytest.fixture
async def burning(installation: Installation) -> AsyncIterator[Burning]:
    """A row, and a service with its label, as a deployment makes it."""
    name = f"dokploy-test-{uuid4().hex[:12]}"
    project = await installation.owner.made("/projects", {"name": f"Burning{name[-4:]}"})
    made = await installation.owner.made("/applications", {"name": name[-12:], "projectId": project["id"], "image": "busybox:1"})
    label = f"dokploy.application={made['id']}"
    given = ("--detach", "--name", name, "--container-label", label, "--limit-cpu", str(SHARE), "--no-resolve-image")
    tmpfs = ("--mount", "type=tmpfs,target=/hold", "--stop-grace-period", "1s")
    await installation.command("service", "create", *given, *tmpfs, installation.base_image, "sh", "-c", HOLD_AND_BURN)
    (container,) = await eventually(lambda: installation.command("ps", "--quiet", "--no-trunc", "--filter", f"label={label}"), within=60)
    yield Burning(made["id"], container)
    await installation.command("service", "rm", name)

    async def gone() -> bool:
        return await installation.command("ps", "--all", "--quiet", "--filter", f"label={label}") == []

    await eventually(gone, within=60)
    await installation.database.execute("delete from application where id = $1", made["id"])


@pytest.fixture
async def monitor(installation: Installation) -> AsyncIterator[None]:
    async with installation.monitor(MONITOR):
        yield


async def stats(installation: Installation, container: str) -> tuple[float, float]:
    """Cores and MiB, as `docker stats` prints them."""
    printed = "".join(await installation.command("stats", "--no-stream", "--format", "{{json .}}", container))
    told = json.loads(printed)
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", told["MemUsage"].partition("/")[0].strip()).groups()  # type: ignore[union-attr]
    return float(told["CPUPerc"].rstrip("%")) / 100, float(number) * UNITS[unit] / (1 << 20)


@pytest.mark.usefixtures("monitor")
async def test_what_a_container_burns_and_holds_is_what_docker_stats_says(installation: Installation, burning: Burning) -> None:
    owner, path = installation.owner, f"/applications/{burning.id}"

    async def measured() -> Any:
        found = (await owner.get(path)).json()["resources"]
        return found if found["currentCpu"] is not None and found["currentMemory"] >= MEMORY else None

    begun = datetime.fromisoformat((await eventually(measured, within=60))["sampledAt"])
    seen = [await stats(installation, burning.container) for _ in range(LOOKS)]
    cpu, memory = (mean(each) for each in zip(*seen, strict=True))

    async def covered() -> Any:
        series = (await owner.get(f"{path}/metrics?step=10")).json()["metrics"]
        found = {name: [each["value"] for each in values if datetime.fromisoformat(each["timestamp"]) >= begun]
                 for name, values in series.items()}  # fmt: skip
        return found if len(found["cpu"]) >= 3 else None

    during = await eventually(covered, within=60)
    assert mean(during["cpu"]) == pytest.approx(cpu, rel=WITHIN)
    assert mean(during["memory"]) == pytest.approx(memory, rel=WITHIN)
    assert SHARE / 2 < mean(during["cpu"]) < SHARE * (1 + WITHIN), "no more than it may, and less where others want the processor"
    assert MEMORY <= mean(during["memory"]) < MEMORY * (1 + WITHIN)

    now = (await owner.get(path)).json()["resources"]
    assert now["currentCpu"] == pytest.approx(cpu, rel=2 * WITHIN), "a single round is of ten seconds"
    system = (await owner.get("/metrics")).json()["system"]
    assert 0 < system["cpu"] <= 1 and system["memory"] > MEMORY and system["disk"] > 0
    assert await restful(installation)


async def restful(installation: Installation) -> bool:
    """Whether the monitor had nothing to complain of."""
    events = [json.loads(line) for line in installation.log(MONITOR).read_text().splitlines()]
    return not [each for each in events if each["event"].endswith(("unexpected", "away"))]
