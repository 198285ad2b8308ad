"""Settlers: one at a time is at a service, for as long as it keeps its claim, and none goes on without it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from structlog.testing import capture_logs

import models
from models.settings import settings
from tests.services.conftest import Api
from tests.services.place import running
from workers import claims
from workers import settle as of_applications
from workers.claims import Claim
from workers.databases import settle as of_databases
from workers.publishing import Publishing
from workers.runtime import Runtime

SOON = 10.0
LEASE = 0.3


@dataclass
class Settler:
    """A settler whose work stands still where it first touches something."""

    settle: Callable[[Runtime, UUID], Awaitable[None]]
    row: Any
    runtime: Runtime
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str = ""

    async def work(self, *_: object) -> bool:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return False

    async def now(self) -> Any:
        return await type(self.row).get(id=self.row.id)

    async def taken(self, settler: str = "another", **ahead: float) -> None:
        """Have somebody else claim the service."""
        until = datetime.now(UTC) + timedelta(**ahead or {"seconds": 30})
        await type(self.row).filter(id=self.row.id).update(settler=settler, settle_until=until)


@pytest.fixture(params=["application", "database"])
async def settler(api: Api, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settler:
    monkeypatch.setattr(settings(), "data", tmp_path)
    monkeypatch.setattr(claims, "RENEWAL", 0.05)
    runtime = Runtime(cast("Any", None), cast("Any", None), publishing=Publishing.host, name="alpha")
    if request.param == "application":
        row: Any = await models.Application.get(id=(await api.application())["id"])
        found = Settler(of_applications.settle, row, runtime)
        monkeypatch.setattr(of_applications, "restore", found.work)
    else:
        row = await running(await models.Project.get(id=(await api.project())["id"]), "orders")
        found = Settler(of_databases.settle, row, runtime)
        monkeypatch.setattr(of_databases, "_granted", found.work)
    await type(row).filter(id=row.id).update(wished=row.granted + 1)
    return found


async def test_one_settler_at_a_time_is_at_a_service_and_keeps_its_claim(settler: Settler) -> None:
    settling = asyncio.ensure_future(settler.settle(settler.runtime, settler.row.id))
    await asyncio.wait_for(settler.begun.wait(), SOON)
    before = await settler.now()
    assert before.settler.startswith("alpha/")
    await settler.settle(settler.runtime, settler.row.id)
    assert not settling.done()
    await asyncio.sleep(0.3)
    assert (await settler.now()).settle_until > before.settle_until
    settler.go.set()
    await asyncio.wait_for(settling, SOON)
    after = await settler.now()
    assert (settler.ended, after.settler, after.settle_until) == ("done", None, None)


async def test_a_settler_that_has_lost_its_claim_stops_and_leaves_the_service_to_the_other(settler: Settler) -> None:
    with capture_logs() as logs:
        settling = asyncio.ensure_future(settler.settle(settler.runtime, settler.row.id))
        await asyncio.wait_for(settler.begun.wait(), SOON)
        await settler.taken()
        await asyncio.wait_for(settling, SOON)
    assert settler.ended == "cancelled"
    after = await settler.now()
    assert (after.settler, after.wished - after.granted) == ("another", 1)
    assert [each["event"] for each in logs if each["event"].endswith("lease_lost")]


async def test_a_settler_stops_when_the_database_is_away_for_as_long_as_its_claim_lasts(
    settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Claim) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(claims, "LEASE", LEASE)
    monkeypatch.setattr(Claim, "still_held", away)
    await asyncio.wait_for(settler.settle(settler.runtime, settler.row.id), SOON)
    assert settler.ended == "cancelled"


async def test_nobody_settles_what_is_another_s_until_that_claim_has_run_out(settler: Settler) -> None:
    await settler.taken()
    await settler.settle(settler.runtime, settler.row.id)
    assert not settler.begun.is_set()
    await settler.taken(seconds=-1)
    settler.go.set()
    await settler.settle(settler.runtime, settler.row.id)
    assert settler.ended == "done"


async def test_a_settler_that_is_stopped_gives_its_claim_up(settler: Settler) -> None:
    settling = asyncio.ensure_future(settler.settle(settler.runtime, settler.row.id))
    await asyncio.wait_for(settler.begun.wait(), SOON)
    settling.cancel()
    await asyncio.wait([settling], timeout=SOON)
    assert (settler.ended, (await settler.now()).settler) == ("cancelled", None)
