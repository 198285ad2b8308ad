"""The line: positions and times that are true and move in the event stream, superseding, deliveries, and a queue that is full."""

import asyncio
from typing import Any

import pytest

import models
import workers
from models import DeploymentStatus, StageName
from models.database import database
from models.settings import settings
from tests.services.asking import Transport, ask
from tests.services.conftest import Api
from workers import line, wishes
from workers.line import Place
from workers.states import Change, Event
from workers.transitions import apply

GIT = {"repoUrl": "https://example.com/a.git"}


async def application(api: Api) -> models.Application:
    made = await api.application(gitSource=GIT)
    return await models.Application.get(id=made["id"])


async def started(row: models.Deployment) -> None:
    assert await apply(Change(Event.start, row.id, worker="w", stage=StageName.cloning))


async def ended(row: models.Deployment, event: Event = Event.fail) -> None:
    assert await apply(Change(event, row.id, 1, "w"))


async def positions(*rows: models.Deployment) -> list[int | None]:
    return [place.position for place in await line.places([row.id for row in rows])]


async def told(row: models.Deployment) -> list[tuple[int | None, int | None]]:
    """What the followers of a deployment heard of its place, in order."""
    events = await models.Event.filter(deployment_id=row.id, kind=models.EventKind.queue).order_by("seq")
    return [(event.queue_position, event.estimated_time) for event in events]


async def test_one_is_next_also_behind_one_that_runs(api: Api) -> None:
    app = await application(api)
    first, second, third = [await wishes.start_deployment(app) for _ in range(3)]
    assert await positions(first, second, third) == [1, 2, 3]
    await started(first)
    assert await positions(first, second, third) == [None, 1, 2]


async def test_applications_start_in_the_order_in_which_they_could(api: Api) -> None:
    one, other = await application(api), await application(api)
    running = await wishes.start_deployment(one)
    await started(running)
    behind, free = await wishes.start_deployment(one), await wishes.start_deployment(other)
    assert await positions(behind, free) == [2, 1]
    await ended(running)
    assert await positions(behind, free) == [1, 2]


async def test_the_time_counts_what_is_left_of_the_one_that_runs(api: Api) -> None:
    app = await application(api)
    first, second = [await wishes.start_deployment(app) for _ in range(2)]
    await started(first)
    await database().execute_query("update deployment set started_at = now() - interval '40 seconds' where id = $1", [first.id])
    assert await line.places([first.id, second.id]) == [Place(None, 20), Place(1, 80)]
    await database().execute_query("update deployment set started_at = now() - interval '100 seconds' where id = $1", [first.id])
    assert await line.places([first.id, second.id]) == [Place(None, 0), Place(1, 60)]


async def test_what_has_ended_and_what_does_not_exist_has_no_place(api: Api) -> None:
    app = await application(api)
    first, second = [await wishes.start_deployment(app) for _ in range(2)]
    await wishes.cancel(first)
    assert await line.places([first.id, app.id, second.id]) == [Place(), Place(), Place(1, 60)]


async def test_followers_are_told_when_their_place_moves_and_only_then(api: Api) -> None:
    app = await application(api)
    first, second, third = [await wishes.start_deployment(app) for _ in range(3)]
    await started(first)
    assert [await told(row) for row in (first, second, third)] == [[(1, 60)], [(2, 120), (1, 120)], [(3, 180), (2, 180)]]
    await ended(first)
    await line.told(database())
    assert (await told(third))[2:] == []
    await wishes.cancel(second)
    assert (await told(third))[2:] == [(1, 60)]
    events = await models.Event.filter(deployment_id=third.id).order_by("seq")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_whoever_waits_in_another_application_is_told_by_the_leader(api: Api) -> None:
    first, second = [await wishes.start_deployment(await application(api)) for _ in range(2)]
    await started(first)
    assert await told(second) == [(2, 120)]
    assert await line.told(database()) == [second.id]
    assert await told(second) == [(2, 120), (1, 60)]
    assert await line.told(database()) == []


async def test_the_event_stream_has_position_and_time(api: Api) -> None:
    row = await wishes.start_deployment(await application(api))
    await wishes.cancel(row)
    answer = await api.owner.get(f"/deployments/{row.id}/events")
    assert '"kind":"queue"' in answer.text
    assert '"queuePosition":1,"estimatedTime":60' in answer.text


async def test_the_same_delivery_fifty_times_at_once_is_one_deployment(api: Api) -> None:
    app = await application(api)
    rows = await asyncio.gather(*(wishes.start_pushed(app.id, "github:1") for _ in range(50)))
    assert len({row.id for row in rows}) == 1
    assert await models.Deployment.filter(application_id=app.id).count() == 1
    assert (await wishes.start_pushed(app.id, "github:2")).id != rows[0].id


async def test_a_storm_of_pushes_leaves_one_that_runs_and_one_that_waits(api: Api) -> None:
    app = await application(api)
    running = await wishes.start_pushed(app.id, "0")
    await started(running)
    manual, forced = await wishes.start_deployment(app), await wishes.start_pushed(app.id, "f")
    await models.Deployment.filter(id=forced.id).update(force=True)
    await asyncio.gather(*(wishes.start_pushed(app.id, f"push {n}") for n in range(40)))
    waiting = await models.Deployment.filter(application_id=app.id, status=DeploymentStatus.pending).order_by("id")
    assert [row.id for row in waiting[:2]] == [manual.id, forced.id]
    assert len(waiting) == 3
    superseded = await models.Deployment.filter(application_id=app.id, status=DeploymentStatus.cancelled)
    assert len(superseded) == 39
    followers = {row.id: row.superseded_by for row in superseded}
    for row in superseded:
        newest = row.superseded_by
        while newest in followers:
            newest = followers[newest]
        assert newest == waiting[2].id
    shown = (await api.owner.get(f"/deployments/{superseded[0].id}")).json()
    assert (shown["status"], shown["trigger"], shown["supersededBy"]) == ("cancelled", "webhook", str(superseded[0].superseded_by))
    assert (await models.Deployment.get(id=running.id)).status is DeploymentStatus.cloning


@pytest.mark.parametrize("over", ["rest", "graphql"])
async def test_a_full_queue_says_come_back_later(api: Api, over: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    app = await application(api)
    monkeypatch.setattr(settings(), "queue_limit", 2)
    outcomes: list[Any] = [await ask(over, api.owner, "applications.deploy", str(app.id), {}) for _ in range(3)]
    assert [outcome.code for outcome in outcomes] == [None, None, "SERVICE_UNAVAILABLE"]
    assert await models.Deployment.all().count() == 2
    refused = await api.owner.post(f"/applications/{app.id}/deploy", {})
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
    await wishes.cancel(await models.Deployment.all().order_by("id").first())
    assert (await api.owner.post(f"/applications/{app.id}/deploy", {})).status_code == 202


async def test_a_push_that_takes_the_place_of_another_finds_room_in_a_full_queue(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    app, other = await application(api), await application(api)
    first = await wishes.start_pushed(app.id, "1")
    monkeypatch.setattr(settings(), "queue_limit", 1)
    second = await wishes.start_pushed(app.id, "2")
    await first.refresh_from_db()
    assert (first.status, first.superseded_by) == (DeploymentStatus.cancelled, second.id)
    with pytest.raises(workers.Busy):
        await wishes.start_pushed(other.id, "3")
