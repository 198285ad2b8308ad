"""Notifications: what is queued arrives, in its order, however long a receiver does not listen; and deployments queue how they ended."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from standardwebhooks import Webhook
from tortoise.exceptions import OperationalError
from tortoise.transactions import in_transaction

import models
import workers
from models import ChannelType, NotificationEvent, NotificationStatus, StageName
from models.database import database
from models.notifications import KEPT, Notification, NotificationChannel, queue, queue_for
from models.settings import settings
from models.smtp import smtp
from tests.services.conftest import Api
from tests.workers.notifications.receivers import Mailbox, Receiver, mailing, receiving
from workers import outgoing, reconcile
from workers.notifications import CARRIERS, outbox
from workers.notifications.contract import Carrier, Message
from workers.states import Change, Event
from workers.transitions import apply

SECRET = f"whsec_{b64encode(bytes(range(32))).decode()}"
RAISED, RESOLVED = NotificationEvent.alert_raised, NotificationEvent.alert_resolved
EVERYTHING = [event.value for event in NotificationEvent]
PATIENCE = 0.5
"""Seconds that a receiver is waited for in these tests."""


@pytest.fixture
async def receiver(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    monkeypatch.setattr(outgoing, "SECONDS", PATIENCE)
    async with receiving(Receiver()) as found:
        monkeypatch.setitem(settings().__dict__, "notification_allowed_hosts", frozenset({found.host}))
        yield found


async def channel(
    project: dict[str, Any], receiver: Receiver | None = None, type: ChannelType = ChannelType.webhook, **target: Any
) -> NotificationChannel:
    """A channel that hears everything."""
    given = target or {"url": receiver.url if receiver else "", "secret": SECRET}
    return await NotificationChannel.create(project_id=project["id"], name="ops", type=type, target=given, events=EVERYTHING)


async def look() -> None:
    await outbox.send(None)  # type: ignore[arg-type]


async def is_due(row: Notification | None = None) -> None:
    """Let the time pass until what was tried is tried again."""
    rows = Notification.filter(due_at__isnull=False)
    await (rows.filter(id=row.id) if row else rows).update(due_at=datetime.now(UTC))


async def again(row: Notification) -> Notification:
    return await Notification.get(id=row.id)


async def test_what_is_queued_arrives_signed_and_once(api: Api, receiver: Receiver) -> None:
    told = await channel(await api.project(), receiver)
    row = await queue_for(told, RAISED, {"applicationName": "web"})
    await look()
    await look()
    [(headers, body)] = receiver.heard
    assert Webhook(SECRET).verify(body, headers)["data"] == {"applicationName": "web"}
    assert (headers["webhook-id"], headers["content-type"], headers["host"]) == (str(row.id), "application/json", receiver.host)
    assert json.loads(body)["timestamp"] == row.created_at.isoformat().replace("+00:00", "Z")
    row = await again(row)
    assert (row.status, row.tries, row.due_at, row.error) == (NotificationStatus.sent, 1, None, None)
    assert row.sent_at is not None


async def test_all_channels_hear_that_listen_to_it(api: Api, receiver: Receiver) -> None:
    project = await api.project()
    first, second, deaf, foreign = [await channel(each, receiver) for each in (project, project, project, await api.project())]
    await NotificationChannel.filter(id=deaf.id).update(events=[RESOLVED.value])
    await queue(project["id"], RAISED, {"applicationName": "web"})
    await look()
    assert len(receiver.heard) == 2
    assert {row.channel_id for row in await Notification.all()} == {first.id, second.id}
    assert foreign.id not in {row.channel_id for row in await Notification.all()}


async def test_slack_and_people_hear_the_same_in_their_ways(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await api.project()
    async with mailing(Mailbox()) as mailbox:
        monkeypatch.setitem(settings().__dict__, "smtp_url", smtp(f"smtp://127.0.0.1:{mailbox.port}"))
        monkeypatch.setitem(settings().__dict__, "smtp_from", "dokploy@example.com")
        await channel(project, type=ChannelType.slack, url=receiver.url)
        await channel(project, type=ChannelType.email, recipients=["ada@example.com"])
        await queue(project["id"], RESOLVED, {"applicationName": "web", "metric": "memory", "message": "It is 12 %."})
        await look()
    assert json.loads(receiver.heard[0][1]) == {
        "text": "web: memory alert is over",
        "attachments": [{"color": "#2eb67d", "text": "It is 12 %."}],
    }
    assert (mailbox.letters[0]["Subject"], mailbox.recipients) == ("web: memory alert is over", [["ada@example.com"]])
    assert {row.status for row in await Notification.all()} == {NotificationStatus.sent}


async def test_whom_a_letter_did_not_reach_is_written_down(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(Mailbox(refused=frozenset({"bob@example.com"}))) as mailbox:
        monkeypatch.setitem(settings().__dict__, "smtp_url", smtp(f"smtp://127.0.0.1:{mailbox.port}"))
        monkeypatch.setitem(settings().__dict__, "smtp_from", "dokploy@example.com")
        told = await channel(await api.project(), type=ChannelType.email, recipients=["ada@example.com", "bob@example.com"])
        row = await again(await queue_for(told, NotificationEvent.test, {}))
        await look()
    row = await again(row)
    assert (row.status, row.error) == (NotificationStatus.sent, "The SMTP server refused 1 of 2 recipients.")


async def test_what_was_not_taken_is_sent_again_the_same(api: Api, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    row = await queue_for(await channel(await api.project(), receiver), RAISED, {"b": 1, "a": [None, 2.5, "ü"]})
    receiver.status = 500
    await look()
    await look()
    failed = await again(row)
    assert len(receiver.heard) == 1, "not before it is due"
    assert (failed.status, failed.tries, failed.sent_at) == (NotificationStatus.pending, 1, None)
    assert failed.error == "The receiver answered with the status 500."
    receiver.status = 200
    await is_due()
    await look()
    assert (await again(row)).status is NotificationStatus.sent
    assert len({(headers["webhook-id"], body) for headers, body in receiver.heard}) == 1 and len(receiver.heard) == 2
    assert not {"token=secret", SECRET} & set("".join(capsys.readouterr()).split())


async def test_the_pauses_grow_and_end(api: Api, receiver: Receiver) -> None:
    row, receiver.status = await queue_for(await channel(await api.project(), receiver), RAISED, {}), 503
    pauses = []
    for _ in range(outbox.MOST_TRIES):
        await is_due()
        await look()
        due = (await again(row)).due_at
        pauses.append(round((due - datetime.now(UTC)).total_seconds()) if due else None)
    assert pauses[:4] == [5, 10, 20, 40] and pauses[-2:] == [3600, None]
    row = await again(row)
    assert (row.status, row.tries, row.error) == (
        NotificationStatus.failed,
        outbox.MOST_TRIES,
        "The receiver answered with the status 503.",
    )
    await look()
    assert len(receiver.heard) == outbox.MOST_TRIES


@pytest.mark.parametrize("status", [404, 410, 302])
async def test_what_never_will_be_taken_is_given_up_soon(api: Api, receiver: Receiver, status: int) -> None:
    row, receiver.status = await queue_for(await channel(await api.project(), receiver), RAISED, {}), status
    receiver.head = f"Location: http://{receiver.host}/elsewhere\r\n"
    for _ in range(outbox.MOST_IN_VAIN + 2):
        await is_due()
        await look()
    assert len(receiver.heard) == outbox.MOST_IN_VAIN
    assert (await again(row)).status is NotificationStatus.failed


@pytest.mark.parametrize(("asked", "seconds"), [(300, 300), (1, 5), (1_000_000, 3600)])
async def test_a_receiver_is_left_alone_as_long_as_it_asks_for_within_bounds(
    api: Api, receiver: Receiver, asked: int, seconds: int
) -> None:
    row, receiver.status = await queue_for(await channel(await api.project(), receiver), RAISED, {}), 429
    receiver.head = f"Retry-After: {asked}\r\n"
    await look()
    due = (await again(row)).due_at
    assert due is not None and abs((due - datetime.now(UTC)).total_seconds() - seconds) < 2


async def test_a_channel_hears_in_the_order_in_which_it_happened(api: Api, receiver: Receiver) -> None:
    told = await channel(await api.project(), receiver)
    rows = [await queue_for(told, event, {}) for event in (RAISED, RESOLVED, RAISED, RESOLVED)]
    await look()
    assert receiver.ids == [str(row.id) for row in rows]


async def test_nothing_overtakes_what_is_to_be_tried_again(api: Api, receiver: Receiver) -> None:
    told, receiver.status = await channel(await api.project(), receiver), 500
    rows = [await queue_for(told, RAISED, {})]
    await look()
    rows.append(await queue_for(told, RESOLVED, {}))
    await look()
    assert receiver.ids == [str(rows[0].id)]
    receiver.status = 200
    await is_due(rows[0])
    await look()
    assert receiver.ids == [str(rows[0].id), str(rows[0].id), str(rows[1].id)]


async def test_what_waited_behind_one_that_is_given_up_follows(api: Api, receiver: Receiver) -> None:
    told, receiver.status = await channel(await api.project(), receiver), 410
    first, second = [await queue_for(told, event, {}) for event in (RAISED, RESOLVED)]
    for _ in range(outbox.MOST_IN_VAIN):
        await is_due(first)
        await look()
    receiver.status = 200
    await look()
    assert ((await again(first)).status, (await again(second)).status) == (NotificationStatus.failed, NotificationStatus.sent)


async def test_a_receiver_that_was_away_for_long_does_not_keep_new_ones_waiting(api: Api, receiver: Receiver) -> None:
    told, receiver.status = await channel(await api.project(), receiver), 500
    old = [await queue_for(told, RAISED, {}) for _ in range(3)]
    await look()
    await Notification.all().update(created_at=datetime.now(UTC) - outbox.LONGEST_WAIT - timedelta(minutes=1))
    new, receiver.status = await queue_for(told, RESOLVED, {}), 200
    await look()
    assert receiver.ids == [str(old[0].id), str(new.id)]
    rows = [await again(row) for row in old]
    assert [(row.status, row.due_at) for row in rows] == [(NotificationStatus.failed, None)] * 3
    too_old = "It was too old when it could be sent."
    assert [row.error for row in rows] == ["The receiver answered with the status 500.", too_old, too_old], (
        "the last failure, if it was tried"
    )


async def test_what_was_pending_in_a_backup_is_not_sent_long_afterwards(api: Api, receiver: Receiver) -> None:
    told = await channel(await api.project(), receiver)
    old, recent = await queue_for(told, RAISED, {}), await queue_for(told, RESOLVED, {})
    await Notification.filter(id=old.id).update(created_at=datetime.now(UTC) - timedelta(days=14))
    await Notification.filter(id=recent.id).update(created_at=datetime.now(UTC) - outbox.LONGEST_WAIT + timedelta(minutes=1))
    await look()
    assert receiver.ids == [str(recent.id)]
    row = await again(old)
    assert (row.status, row.tries, row.error) == (NotificationStatus.failed, 0, "It was too old when it could be sent.")


async def test_a_silent_receiver_holds_up_nobody_else(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await api.project()
    async with receiving(Receiver(silent=True)) as silent:
        monkeypatch.setitem(settings().__dict__, "notification_allowed_hosts", frozenset({receiver.host, silent.host}))
        hanging, good = await channel(project, silent), await channel(project, receiver)
        for each in (hanging, good):
            for _ in range(5):
                await queue_for(each, RAISED, {})
        began = asyncio.get_running_loop().time()
        await look()
        assert asyncio.get_running_loop().time() - began < 5 * PATIENCE
        assert (len(silent.heard), len(receiver.heard)) == (1, 5)
    waiting = await Notification.filter(channel_id=hanging.id).order_by("created_at")
    assert (waiting[0].error, waiting[0].tries, waiting[1].tries) == ("The receiver did not answer in time.", 1, 0)


async def test_those_that_were_never_tried_go_first(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "AT_ONCE", 1)
    project = await api.project()
    tried = [await queue_for(await channel(project, receiver), RAISED, {}) for _ in range(3)]
    await Notification.all().update(tries=4)
    new = await queue_for(await channel(project, receiver), RAISED, {})
    await look()
    assert receiver.ids[0] == str(new.id) and len(receiver.ids) == 1 + len(tried)


async def test_a_look_has_an_end(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    told = await channel(await api.project(), receiver)
    for _ in range(3):
        await queue_for(told, RAISED, {})
    monkeypatch.setattr(outbox, "LOOK", -1.0)
    await look()
    assert receiver.heard == []
    monkeypatch.setattr(outbox, "LOOK", 5.0)
    await look()
    assert len(receiver.heard) == 3


async def test_who_must_not_be_reached_is_not(api: Api, receiver: Receiver) -> None:
    row = await queue_for(await channel(await api.project(), receiver), RAISED, {})
    settings().__dict__["notification_allowed_hosts"] = frozenset()
    for _ in range(outbox.MOST_TRIES):
        await is_due()
        await look()
    assert receiver.connections == 0
    row = await again(row)
    wanted = (NotificationStatus.failed, outbox.MOST_IN_VAIN, "Plain HTTP is only for hosts that the administrator allows; use https.")
    assert (row.status, row.tries, row.error) == wanted


async def test_a_channel_that_is_disabled_hears_nothing_old_when_it_is_enabled_again(api: Api, receiver: Receiver) -> None:
    told, other = await channel(await api.project(), receiver), await channel(await api.project(), receiver)
    receiver.status = 500
    rows = [await queue_for(told, RAISED, {}), await queue_for(told, RESOLVED, {})]
    await look()
    receiver.status = 200
    heard = len(receiver.heard)
    await NotificationChannel.filter(id=told.id).update(enabled=False)
    kept = await queue_for(other, RAISED, {})
    await look()
    await NotificationChannel.filter(id=told.id).update(enabled=True)
    await is_due()
    await look()
    assert [(row.status, row.error, row.due_at) for row in [await again(row) for row in rows]] == [
        (NotificationStatus.failed, "The channel is disabled.", None)
    ] * 2
    assert receiver.ids[heard:] == [str(kept.id)]


async def test_what_a_lost_worker_had_sent_is_sent_again_with_the_same_id(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SECONDS", 30.0)
    row, receiver.silent = await queue_for(await channel(await api.project(), receiver), RAISED, {}), True
    worker = asyncio.create_task(look())
    while not receiver.heard:
        await asyncio.sleep(0.01)
    worker.cancel()
    await asyncio.wait([worker])
    receiver.silent = False
    held = await again(row)
    assert held.status is NotificationStatus.pending and held.due_at is not None and held.due_at > datetime.now(UTC)
    await look()
    assert receiver.ids == [str(row.id)], "not while it may still be under way"
    await is_due()
    await look()
    assert receiver.ids == [str(row.id)] * 2
    assert (await again(row)).status is NotificationStatus.sent


async def test_two_who_believe_to_lead_send_once(api: Api, receiver: Receiver) -> None:
    told = await channel(await api.project(), receiver)
    for _ in range(5):
        await queue_for(told, RAISED, {})
    await asyncio.gather(look(), look(), look())
    await look()
    assert len(receiver.ids) == len(set(receiver.ids)) == 5


async def test_one_that_makes_no_sense_keeps_nobody_else_from_being_told(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(message: Message, target: Any) -> None:
        raise RuntimeError("https://example.com/secret")

    monkeypatch.setattr(outbox, "CARRIERS", {**CARRIERS, ChannelType.slack: Carrier(ChannelType.slack, broken)})
    project = await api.project()
    odd = await queue_for(await channel(project, type=ChannelType.slack, url="x"), RAISED, {})
    good = await queue_for(await channel(project, receiver), RAISED, {})
    await look()
    assert ((await again(odd)).error, (await again(good)).status) == ("It could not be sent (RuntimeError).", NotificationStatus.sent)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("update notification_channel set target = 'gAAAAA' where id = $1", "UnreadableSecret"),
        ("update notification_channel set type = 'pigeon' where id = $1", "ValueError"),
        ("update notification set event = 'flood' where channel_id = $1", "ValueError"),
    ],
)
async def test_one_that_cannot_be_read_keeps_nobody_waiting_and_is_given_up(
    api: Api, receiver: Receiver, statement: str, named: str
) -> None:
    project = await api.project()
    odd, good = await channel(project, receiver), await channel(project, receiver)
    unreadable = await queue_for(odd, RAISED, {})
    told = [await queue_for(good, RAISED, {}) for _ in range(3)]
    await database().execute_query(statement, [odd.id])
    await look()
    assert receiver.ids == [str(row.id) for row in told]
    for _ in range(outbox.MOST_TRIES):
        await is_due()
        await look()
    [row] = await Notification.filter(id=unreadable.id).values("status", "tries", "due_at", "error")
    wanted = {"status": NotificationStatus.failed, "tries": outbox.MOST_TRIES, "due_at": None}
    assert row == wanted | {"error": f"It could not be sent ({named})."}


@pytest.mark.parametrize("step", ["_TAKE_UP", "_later", "_note"])
async def test_a_database_that_fails_one_channel_fails_no_other(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    project = await api.project()
    async with receiving(Receiver(status=500)) as failing:
        monkeypatch.setitem(settings().__dict__, "notification_allowed_hosts", frozenset({receiver.host, failing.host}))
        odd = await queue_for(await channel(project, failing if step == "_later" else receiver), RAISED, {})
        good = [await queue_for(await channel(project, receiver), RAISED, {}) for _ in range(3)]
        monkeypatch.setattr(outbox, "AT_ONCE", 1)
        with monkeypatch.context() as patch:
            fails_for(patch, step, odd.id)
            await look()
        assert {(await again(row)).status for row in good} == {NotificationStatus.sent}
        assert "notification.interrupted" in "".join(capsys.readouterr())
        row, failing.status = await again(odd), 200
        assert row.status is NotificationStatus.pending
        await is_due()
        await look()
    assert (await again(odd)).status is NotificationStatus.sent


def fails_for(patch: pytest.MonkeyPatch, step: str, id: UUID) -> None:
    """Let the database be away when one notification comes to a step."""
    if step == "_TAKE_UP":
        patch.setattr(outbox, step, outbox._TAKE_UP.replace("$1", f"$1 and 1 / (case when n.id = '{id}' then 0 else 1 end) = 1"))
        return
    whole = getattr(outbox, step)

    async def hiccup(one: Any, *rest: Any, **columns: Any) -> Any:
        if getattr(one, "id", one) == id:
            raise OperationalError("the connection was closed")
        return await whole(one, *rest, **columns)

    patch.setattr(outbox, step, hiccup)


async def test_what_is_old_is_listed_no_more(api: Api, receiver: Receiver) -> None:
    told = await channel(await api.project(), receiver)
    old, young = await queue_for(told, RAISED, {}), await queue_for(told, RAISED, {})
    await Notification.filter(id=old.id).update(created_at=datetime.now(UTC) - KEPT - timedelta(minutes=1))
    await reconcile._clear_away(None)  # type: ignore[arg-type]
    assert [row.id for row in await Notification.all()] == [young.id]


def test_whoever_leads_sends() -> None:
    assert outbox.send in reconcile.NOTICES


async def deployment(api: Api, project: dict[str, Any] | None = None, **columns: Any) -> models.Deployment:
    application = await api.application(project, name="web")
    made = await workers.start_deployment(await models.Application.get(id=application["id"]))
    columns = {"branch": "main", "commit_sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "commit_message": "Faster\n\nMuch.", **columns}
    await models.Deployment.filter(id=made.id).update(**columns)
    return await models.Deployment.get(id=made.id)


async def begun(row: models.Deployment) -> models.Deployment:
    await apply(Change(Event.start, row.id, worker="w", stage=StageName.deploying))
    return await models.Deployment.get(id=row.id)


async def ends(row: models.Deployment, event: Event, **store: Any) -> None:
    assert await apply(Change(event, row.id, row.epoch, "w", store=store)) is not None


async def test_how_a_deployment_ends_is_queued(api: Api) -> None:
    project = await api.project()
    await channel(project)
    row = await begun(await deployment(api, project))
    assert await Notification.all() == [], "that it has begun is no news"
    await ends(row, Event.fail, error_code="BUILD_FAILED", error_message="The build failed.")
    [told] = await Notification.all()
    assert (told.event, told.status, str(told.project_id)) == (
        NotificationEvent.deployment_failed,
        NotificationStatus.pending,
        project["id"],
    )
    shown = (await api.owner.get(f"/deployments/{row.id}")).json()
    assert told.data == {
        "deploymentId": str(row.id),
        "applicationId": str(row.application_id),
        "applicationName": "web",
        "projectId": project["id"],
        "status": "failed",
        "trigger": shown["trigger"],
        "branch": shown["branch"],
        "commitSha": shown["commitSha"],
        "commitMessage": "Faster",
        "duration": shown["duration"],
        "errorCode": shown["error"]["code"],
        "errorMessage": shown["error"]["message"],
    }


@pytest.mark.parametrize("event", [Event.succeed, Event.cancel])
async def test_other_ends_are_queued_too(api: Api, event: Event) -> None:
    project = await api.project()
    await channel(project)
    row = await deployment(api, project, branch=None, commit_sha=None, commit_message=None)
    await ends(await begun(row) if event is Event.succeed else row, event)
    [told] = await Notification.all()
    assert told.event is (NotificationEvent.deployment_succeeded if event is Event.succeed else NotificationEvent.deployment_cancelled)
    assert (told.data["commitMessage"], told.data["errorMessage"], told.data["applicationName"]) == (None, None, "web")


async def test_what_is_lost_with_its_transaction_is_told_nobody(api: Api) -> None:
    project = await api.project()
    await channel(project)
    row = await begun(await deployment(api, project))

    class Lost(Exception):
        pass

    with pytest.raises(Lost):
        async with in_transaction():
            await ends(row, Event.succeed)
            assert await Notification.all().count() == 1
            raise Lost
    assert await Notification.all().count() == 0
    assert (await models.Deployment.get(id=row.id)).status == "deploying"
    await ends(row, Event.succeed)
    assert await Notification.all().count() == 1


async def test_that_a_newer_push_takes_its_place_is_no_news(api: Api) -> None:
    project = await api.project()
    await channel(project)
    source = {"repoUrl": "https://git.example.com/app.git"}
    application = await api.application(project, image=None, gitSource=source)
    id = UUID(application["id"])
    older, newer = [await workers.start_pushed(id, f"github:{number}", commit_sha=f"{number}" * 40) for number in (1, 2)]
    older, newer = [await models.Deployment.get(id=each.id) for each in (older, newer)]
    assert (older.status, older.superseded_by, newer.status) == ("cancelled", newer.id, "pending")
    assert await Notification.all() == []


async def test_where_nobody_listens_it_costs_one_statement(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await begun(await deployment(api))
    statements: list[str] = []
    execute = asyncpg.Connection._execute

    async def counted(self: Any, query: str, *rest: Any, **more: Any) -> Any:
        statements.append(query)
        return await execute(self, query, *rest, **more)

    monkeypatch.setattr(asyncpg.Connection, "_execute", counted)
    await ends(row, Event.succeed)
    assert len([each for each in statements if "notification" in each]) == 1
    assert await Notification.all() == []


async def test_a_result_arrives(api: Api, receiver: Receiver) -> None:
    project = await api.project()
    await channel(project, receiver)
    await ends(await begun(await deployment(api, project)), Event.succeed)
    await look()
    [(headers, body)] = receiver.heard
    assert Webhook(SECRET).verify(body, headers)["type"] == "deployment.succeeded"
