"""Backups and restores as they are followed, over server-sent events and over a subscription, up to their end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

import models
from models import DatabaseBackup, DatabaseRestore, TaskStatus, bell
from models.bell import wake
from tests.services.conftest import Api, Person
from tests.services.place import running
from tests.services.test_database_tasks import KINDS, again, happens, held, made
from tests.services.test_following import SOON, member
from tests.services.test_websocket import opened
from workers.databases import hold as holding
from workers.databases.hold import Hold, hold
from workers.databases.tasks import Event, Kind
from workers.publishing import Publishing
from workers.runtime import Runtime

BOTH = pytest.mark.parametrize("over", ["stream", "subscription"])
NAMES: dict[Kind, str] = {DatabaseBackup: "backup", DatabaseRestore: "restore"}
PROGRESS = """subscription ($database: ID!, $id: ID!) {
    answer: %sProgress(databaseId: $database, %sId: $id) { status step transferred size errorCode errorMessage timestamp }
}"""
AT_ONCE = 2.0
"""Seconds within which whoever was woken has looked, also on a busy machine."""


class Follower:
    """Somebody who follows a backup or a restore from now on."""

    def __init__(self, over: str, server: str, row: Any, person: Person) -> None:
        self.server, self.row, self.person = server, row, person
        self.name = NAMES[type(row)]
        self.items: list[dict[str, Any]] = []
        self.failed: str | None = None
        """The code that it was refused or ended with: by an error, or by the end of the socket, which a session's end closes."""
        self.task = asyncio.create_task(getattr(self, f"_{over}")())

    async def _stream(self) -> None:
        path = f"databases/{self.row.database_id}/{self.name}s/{self.row.id}/progress"
        url = f"{self.server.replace('ws', 'http', 1).removesuffix('graphql')}{path}"
        async with httpx2.AsyncClient(timeout=30) as client, client.stream("GET", url, headers=self.person.headers) as answer:
            if answer.status_code != 200:
                self.failed = json.loads(await answer.aread())["error"]["code"]
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    self.items.append(json.loads(line.removeprefix("data: ")))

    async def _subscription(self) -> None:
        async with opened(self.server, self.person.token) as socket:
            text = PROGRESS % (self.name, self.name)
            await socket.subscribe("1", text, database=str(self.row.database_id), id=str(self.row.id))
            try:
                while (frame := await socket.receive())["type"] == "next":
                    self.items.append(frame["payload"]["data"]["answer"])
            except ConnectionClosed as closed:
                self.failed = closed.rcvd.reason
                return
            if frame["type"] == "error":
                self.failed = frame["payload"][0]["extensions"]["code"]

    async def sees(self, seconds: float = 5.0, **wanted: Any) -> None:
        """Wait until the last item says so."""
        async with asyncio.timeout(seconds):
            while not (self.items and wanted.items() <= self.items[-1].items()):
                await asyncio.sleep(0.01)

    async def ends(self, seconds: float = 5.0) -> list[dict[str, Any]]:
        """Everything there was, once it has ended."""
        await asyncio.wait_for(self.task, seconds)
        return self.items


Follow = Callable[[Any, Person], Follower]


@pytest.fixture
async def database(api: Api) -> models.Database:
    """One that runs, with nothing under way."""
    project = await models.Project.get(id=(await api.project())["id"])
    return await running(project, "orders")


@pytest.fixture
async def follow(over: str, server: str) -> AsyncIterator[Follow]:
    """What begins to follow; whoever still does is gone before the server stops, which waits for them."""
    followers: list[Follower] = []

    def begin(row: Any, person: Person) -> Follower:
        followers.append(Follower(over, server, row, person))
        return followers[-1]

    yield begin
    for each in followers:
        each.task.cancel()
    await asyncio.gather(*[each.task for each in followers], return_exceptions=True)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers do not look unless they are woken."""
    monkeypatch.setattr(bell, "PATIENCE", 60.0)


def states(items: list[dict[str, Any]]) -> list[str]:
    return [item["status"] for item in items]


@BOTH
@KINDS
@pytest.mark.parametrize("status", [TaskStatus.completed, TaskStatus.failed, TaskStatus.cancelled])
async def test_what_has_ended_is_told_once(api: Api, database: models.Database, kind: Kind, follow: Follow, status: TaskStatus) -> None:
    failed = {"error_code": "BACKUP_DAMAGED", "error_message": "It is damaged."} if status is TaskStatus.failed else {}
    ended = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    row = await made(kind, database, status=status, step="verifying", transferred=2**40, finished_at=ended, **failed)
    follower = follow(row, api.owner)
    (item,) = await follower.ends()
    assert item.pop("checksum", None) is None
    assert (follower.failed, item) == (
        None,
        {
            "status": status.value,
            "step": "verifying",
            "transferred": 2**40,
            "size": 1024,
            "errorCode": failed.get("error_code"),
            "errorMessage": failed.get("error_message"),
            "timestamp": "2026-01-02T03:04:05Z",
        },
    )


@BOTH
@KINDS
async def test_whoever_comes_sees_how_it_stands_and_then_what_becomes_of_it(
    api: Api, database: models.Database, kind: Kind, follow: Follow, unhurried: None
) -> None:
    row = await made(kind, database)
    early = follow(row, api.owner)
    await early.sees(status="pending", step=None)
    await happens(row, Event.start)
    await early.sees(AT_ONCE, status="running")
    row = await again(row)
    late = follow(row, api.owner)
    await late.sees(status="running")
    assert await happens(row, Event.fail, error_code="WORKER_LOST", error_message="It was lost.")
    seen = await early.ends(AT_ONCE)
    assert states(seen) == ["pending", "running", "failed"]
    assert (seen[-1]["errorCode"], seen[-1]["errorMessage"]) == ("WORKER_LOST", "It was lost.")
    assert await late.ends(AT_ONCE) == [late.items[0], seen[-1]]


@BOTH
async def test_a_worker_tells_its_steps_and_what_has_passed(
    api: Api, database: models.Database, follow: Follow, unhurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "LOOK", 0.05)
    row = await made(DatabaseBackup, database, size=None)
    follower = follow(row, api.owner)
    await follower.sees(status="pending")

    async def work(held: Hold[DatabaseBackup]) -> Mapping[str, Any]:
        meter = await held.step("dumping")
        await follower.sees(AT_ONCE, step="dumping", transferred=0)
        for n in (1, 2):
            assert list(meter.through([b"x" * 10]))
            await follower.sees(AT_ONCE, step="dumping", transferred=10 * n)
        meter = await held.step("verifying")
        assert list(meter.through([b"x" * 20]))
        return {"size": 20, "checksum": "f00"}

    runtime = Runtime(cast("Any", None), cast("Any", None), publishing=Publishing.host, name="alpha")
    await hold(runtime, DatabaseBackup, row.id, work)
    last = (await follower.ends(AT_ONCE))[-1]
    assert (last["status"], last["transferred"], last["size"]) == ("completed", 20, 20)
    assert (await DatabaseBackup.get(id=row.id)).finished_at.isoformat().replace("+00:00", "Z") == last["timestamp"]


@BOTH
@KINDS
async def test_what_is_cancelled_midway_ends_as_cancelled(api: Api, database: models.Database, kind: Kind, follow: Follow) -> None:
    row = await held(kind, database)
    follower = follow(row, api.owner)
    await follower.sees(status="running")
    answer = await api.owner.post(f"/databases/{database.id}/{NAMES[kind]}s/{row.id}/cancel")
    assert answer.status_code == 202
    assert await happens(row, Event.stop)
    assert states(await follower.ends()) == ["running", "cancelled"]


@BOTH
async def test_what_is_cancelled_before_its_turn_ends_at_once(api: Api, database: models.Database, follow: Follow, unhurried: None) -> None:
    row = await made(DatabaseBackup, database)
    follower = follow(row, api.owner)
    await follower.sees(status="pending")
    await api.owner.post(f"/databases/{database.id}/backups/{row.id}/cancel")
    assert states(await follower.ends(AT_ONCE)) == ["pending", "cancelled"]


@BOTH
@KINDS
async def test_what_changes_often_is_told_a_few_times_and_as_it_is_at_last(
    api: Api, database: models.Database, kind: Kind, follow: Follow
) -> None:
    row = await held(kind, database)
    follower = follow(row, api.owner)
    await follower.sees(status="running")
    began = asyncio.get_running_loop().time()
    for n in range(1, 51):
        await kind.filter(id=row.id).update(transferred=n)
        await wake(row.id)
        await asyncio.sleep(0.01)
    await follower.sees(transferred=50)
    lasted = asyncio.get_running_loop().time() - began
    assert len(follower.items) <= 2 + lasted / 0.3
    assert [item["transferred"] for item in follower.items] == sorted({item["transferred"] for item in follower.items})
    assert await happens(row, Event.complete)
    assert states(await follower.ends())[-1] == "completed"


@BOTH
async def test_whoever_is_woken_by_nobody_looks_within_a_second(api: Api, database: models.Database, follow: Follow) -> None:
    row = await held(DatabaseBackup, database)
    follower = follow(row, api.owner)
    await follower.sees(status="running")
    await DatabaseBackup.filter(id=row.id).update(status=TaskStatus.completed)
    assert states(await follower.ends(bell.PATIENCE + AT_ONCE)) == ["running", "completed"]


@BOTH
@KINDS
async def test_whatever_happens_to_another_one_is_not_told(api: Api, database: models.Database, kind: Kind, follow: Follow) -> None:
    row, other = await held(kind, database), await held(kind, await running(await models.Project.get(id=database.project_id), "sales"))
    follower = follow(row, api.owner)
    await follower.sees(status="running")
    await happens(other, Event.complete)
    await happens(row, Event.fail)
    assert states(await follower.ends()) == ["running", "failed"]


@BOTH
@KINDS
async def test_what_is_gone_is_followed_no_more(api: Api, database: models.Database, kind: Kind, follow: Follow) -> None:
    row = await held(kind, database)
    follower = follow(row, api.owner)
    await follower.sees(status="running")
    await row.delete()
    assert states(await follower.ends()) == ["running"]
    assert follower.failed is None


@BOTH
@KINDS
async def test_a_viewer_of_another_project_finds_nothing_to_follow(api: Api, kind: Kind, follow: Follow) -> None:
    team, other = [(await api.owner.made("/teams", {"name": name}))["id"] for name in ("Crew", "Others")]
    row = await made(kind, await running(await models.Project.get(id=(await api.project(teamId=team))["id"]), "orders"))
    await api.project(teamId=other)
    follower = follow(row, await member(api, other))
    assert await follower.ends() == []
    assert follower.failed == "RESOURCE_NOT_FOUND"


@BOTH
@KINDS
async def test_what_belongs_to_another_database_is_not_found(api: Api, database: models.Database, kind: Kind, follow: Follow) -> None:
    row = await made(kind, database)
    row.database_id = (await running(await models.Project.get(id=database.project_id), "sales")).id
    follower = follow(row, api.owner)
    assert await follower.ends() == []
    assert follower.failed == "RESOURCE_NOT_FOUND"


@BOTH
@KINDS
async def test_it_ends_with_the_session_and_with_the_right_to_see(api: Api, kind: Kind, over: str, follow: Follow) -> None:
    team = (await api.owner.made("/teams", {"name": "Crew"}))["id"]
    row = await made(kind, await running(await models.Project.get(id=(await api.project(teamId=team))["id"]), "orders"))
    losing, leaving = await member(api, team), await member(api, team)
    followers = [follow(row, person) for person in (losing, leaving, api.owner)]
    for follower in followers:
        await follower.sees(status="pending")
    assert (await leaving.post("/auth/logout")).status_code == 204
    assert (await api.owner.delete(f"/teams/{team}/members/{losing.id}")).status_code == 204
    async with asyncio.timeout(SOON):
        await asyncio.gather(*[follower.ends(SOON) for follower in followers[:2]])
    failed = [follower.failed for follower in followers[:2]]
    assert failed == ([None, None] if over == "stream" else ["RESOURCE_NOT_FOUND", "INVALID_TOKEN"])
    assert await happens(row, Event.cancel)
    assert states(await followers[2].ends()) == ["pending", "cancelled"], "whoever may still see it goes on"
    assert [states(follower.items) for follower in followers[:2]] == [["pending"], ["pending"]]
