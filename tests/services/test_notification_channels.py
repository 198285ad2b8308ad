"""Notification channels: what each type takes, what is never shown, and who is told when it is tried."""

import asyncio
import base64
from typing import Any

import pytest

import models
from models import NotificationEvent
from models.database import fetch
from models.settings import settings
from tests.services.asking import Transport, ask
from tests.services.conftest import Api

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])
HOOK = "https://hooks.example.com/services/T0/B0/hidden"
SHOWN = "https://hooks.example.com/***"


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server is configured; nobody asks it anything."""
    monkeypatch.setattr(settings(), "smtp_url", "smtp://localhost:2525")


async def made(api: Api, **more: Any) -> dict[str, Any]:
    project = more.pop("projectId", None) or (await api.project())["id"]
    return await api.owner.made("/notification-channels", {"name": "pager", "projectId": project, "type": "webhook", "url": HOOK} | more)


@BOTH
async def test_a_channel_shows_nothing_that_opens_a_door(api: Api, over: Transport) -> None:
    input = {"name": "pager", "projectId": (await api.project())["id"], "type": "slack", "url": HOOK}
    outcome = await ask(over, api.owner, "notification_channels.create", (), input)
    wanted = {
        "name": "pager",
        "projectId": input["projectId"],
        "type": "slack",
        "url": SHOWN,
        "recipients": [],
        "events": ["alert_raised", "alert_resolved", "deployment_failed"],
        "enabled": True,
    }
    assert {name: outcome.data[name] for name in wanted} == wanted
    got = await ask(over, api.owner, "notification_channels.get", outcome.data["id"])
    assert got.data["url"] == SHOWN
    [[stored]] = await fetch("select target from notification_channel where id = $1", outcome.data["id"])
    assert "hooks" not in stored


@pytest.mark.parametrize(
    ("given", "field", "constraint"),
    [
        ({"type": "webhook"}, "url", "required"),
        ({"type": "slack", "url": HOOK, "recipients": ["a@example.com"]}, "recipients", "unknown"),
        ({"type": "email"}, "recipients", "required"),
        ({"type": "email", "recipients": ["a@example.com"], "url": HOOK}, "url", "unknown"),
        ({"type": "email", "recipients": ["nobody"]}, "recipients[0]", "regex"),
        ({"type": "email", "recipients": ["a,b@example.com"]}, "recipients[0]", "regex"),
        ({"type": "email", "recipients": ["a@example.com", "v@x.com>(@b.com"]}, "recipients[1]", "regex"),
        ({"type": "email", "recipients": ['"a"@example.com']}, "recipients[0]", "regex"),
        ({"type": "slack", "url": "ftp://example.com/x"}, "url", "regex"),
        ({"type": "slack", "url": "https://user:password@example.com/x"}, "url", "regex"),
        ({"type": "slack", "url": "https://[::1"}, "url", "regex"),
        ({"type": "slack", "url": "https://a]b/x"}, "url", "regex"),
        ({"type": "slack", "url": "https://[zz]/x"}, "url", "regex"),
        ({"type": "slack", "url": "https://example.com:65536/x"}, "url", "regex"),
        ({"type": "slack", "url": SHOWN}, "url", "secret"),
        ({"type": "webhook", "url": "https://hooks.example.com:8443/***?x#y"}, "url", "secret"),
        ({"type": "slack", "url": HOOK, "events": []}, "events", "length"),
        ({"type": "slack", "url": HOOK, "events": ["test"]}, "events", "enum"),
        ({"type": "pigeon", "url": HOOK}, "type", "enum"),
    ],
)
async def test_what_no_channel_can_be_is_refused(api: Api, mails: None, given: dict[str, Any], field: str, constraint: str) -> None:
    answer = await api.owner.post("/notification-channels", {"name": "pager", "projectId": (await api.project())["id"]} | given)
    assert answer.status_code == 400, answer.text
    assert [(each["field"], each["constraint"]) for each in answer.json()["error"]["details"]["errors"]] == [(field, constraint)]


async def test_mails_take_a_server_that_sends_them(api: Api) -> None:
    given = {"name": "mails", "projectId": (await api.project())["id"], "type": "email", "recipients": ["oncall@example.com"]}
    answer = await api.owner.post("/notification-channels", given)
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "SMTP_NOT_CONFIGURED")


async def test_mails_have_recipients(api: Api, mails: None) -> None:
    channel = await made(api, type="email", url=None, recipients=["oncall@example.com", "Other@example.com"])
    assert (channel["recipients"], channel["url"]) == (["oncall@example.com", "other@example.com"], None)


async def test_a_change_leaves_alone_what_it_does_not_name(api: Api) -> None:
    id = (await made(api))["id"]
    before = (await models.NotificationChannel.get(id=id)).target
    answer = await api.owner.patch(f"/notification-channels/{id}", {"name": "other", "url": SHOWN, "enabled": False})
    assert (answer.json()["name"], answer.json()["enabled"], answer.json()["url"]) == ("other", False, SHOWN)
    assert (await models.NotificationChannel.get(id=id)).target == before, "a URL that comes back as it was shown is none"
    answer = await api.owner.patch(
        f"/notification-channels/{id}", {"url": "https://other.example.com/x", "events": ["deployment_succeeded"]}
    )
    assert (answer.json()["url"], answer.json()["events"]) == ("https://other.example.com/***", ["deployment_succeeded"])
    after = (await models.NotificationChannel.get(id=id)).target
    assert after == before | {"url": "https://other.example.com/x"}


@pytest.mark.parametrize("change", [{"recipients": ["a@example.com"]}, {"url": None}, {"type": "slack"}, {"events": ["test"]}])
async def test_a_change_that_no_channel_of_its_type_can_have_is_refused(api: Api, change: dict[str, Any]) -> None:
    answer = await api.owner.patch(f"/notification-channels/{(await made(api))['id']}", change)
    assert answer.status_code == 400
    assert next(iter(change)) in answer.json()["error"]["details"]["errors"][0]["field"]


@pytest.mark.parametrize("url", ["https://other.example.com/***", f"{SHOWN}?x", "http://hooks.example.com/***"])
@BOTH
async def test_a_masked_url_that_is_not_the_one_which_was_shown_is_refused(api: Api, over: Transport, url: str) -> None:
    id = (await made(api))["id"]
    outcome = await ask(over, api.owner, "notification_channels.update", id, {"url": url})
    assert outcome.fields == {"url": "secret"}
    assert (await models.NotificationChannel.get(id=id)).target["url"] == HOOK


async def test_the_secret_of_a_webhook_is_shown_and_made_anew(api: Api) -> None:
    id = (await made(api))["id"]
    first = (await api.owner.get(f"/notification-channels/{id}/secret")).json()
    assert first["channelId"] == id
    assert len(base64.b64decode(first["secret"].removeprefix("whsec_"))) == 32
    second = (await api.owner.post(f"/notification-channels/{id}/secret")).json()
    assert second["secret"] != first["secret"]
    assert (await api.owner.get(f"/notification-channels/{id}/secret")).json() == second
    assert (await models.NotificationChannel.get(id=id)).target["url"] == HOOK


async def test_what_is_not_signed_has_no_secret(api: Api) -> None:
    id = (await made(api, type="slack"))["id"]
    assert (await api.owner.get(f"/notification-channels/{id}/secret")).json()["secret"] is None
    answer = await api.owner.post(f"/notification-channels/{id}/secret")
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "NOT_SIGNED")


@BOTH
async def test_a_channel_can_be_tried(api: Api, over: Transport) -> None:
    channel = await made(api)
    outcome = await ask(over, api.owner, "notification_channels.test", channel["id"])
    assert (outcome.data["event"], outcome.data["status"], outcome.data["channelId"]) == ("test", "pending", channel["id"])
    listed = (await api.owner.get(f"/notifications?channelId={channel['id']}")).json()["data"]
    assert [each["id"] for each in listed] == [outcome.data["id"]]
    row = await models.Notification.get(id=outcome.data["id"])
    assert row.due_at is not None
    assert row.data == {"channelId": channel["id"], "channelName": "pager"}


async def test_a_channel_that_is_disabled_cannot_be_tried(api: Api) -> None:
    answer = await api.owner.post(f"/notification-channels/{(await made(api, enabled=False))['id']}/test")
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "CHANNEL_DISABLED")


async def test_a_channel_is_tried_once_at_a_time(api: Api) -> None:
    path = f"/notification-channels/{(await made(api))['id']}/test"
    other = f"/notification-channels/{(await made(api))['id']}/test"
    answers = await asyncio.gather(*[api.owner.post(path) for _ in range(5)])
    assert sorted(each.status_code for each in answers) == [202, 409, 409, 409, 409]
    assert {each.json()["error"]["details"]["reason"] for each in answers if each.status_code == 409} == {"TEST_PENDING"}
    assert (await api.owner.post(other)).status_code == 202
    for end in (models.NotificationStatus.sent, models.NotificationStatus.failed):
        await models.Notification.all().update(status=end, due_at=None)
        assert (await api.owner.post(path)).status_code == 202


async def test_what_else_a_channel_is_still_to_be_told_keeps_nobody_from_trying_it(api: Api) -> None:
    channel = await models.NotificationChannel.get(id=(await made(api))["id"])
    await models.notifications.queue_for(channel, NotificationEvent.alert_raised, {})
    assert (await api.owner.post(f"/notification-channels/{channel.id}/test")).status_code == 202


async def test_what_was_still_to_be_told_goes_with_its_channel(api: Api) -> None:
    id = (await made(api))["id"]
    told = (await api.owner.post(f"/notification-channels/{id}/test")).json()["id"]
    assert (await api.owner.delete(f"/notification-channels/{id}")).status_code == 204
    assert (await api.owner.get(f"/notifications/{told}")).status_code == 404
    assert (await api.owner.delete(f"/notification-channels/{id}")).status_code == 404


async def test_a_project_has_so_many_channels_at_most(api: Api) -> None:
    project = await models.Project.get(id=(await api.project())["id"])
    for number in range(20):
        await models.NotificationChannel.create(project=project, name=str(number), type=models.ChannelType.slack, target={"url": HOOK})
    given = {"name": "pager", "projectId": str(project.id), "type": "slack", "url": HOOK}
    answer = await api.owner.post("/notification-channels", given)
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "TOO_MANY")


async def test_nor_more_when_several_are_made_at_once(api: Api) -> None:
    project = await models.Project.get(id=(await api.project())["id"])
    for number in range(18):
        await models.NotificationChannel.create(project=project, name=str(number), type=models.ChannelType.slack, target={"url": HOOK})
    given = {"name": "pager", "projectId": str(project.id), "type": "slack", "url": HOOK}
    answers = await asyncio.gather(*[api.owner.post("/notification-channels", given) for _ in range(6)])
    assert sorted(each.status_code for each in answers) == [201, 201, 409, 409, 409, 409]
    assert await models.NotificationChannel.filter(project_id=project.id).count() == 20


async def test_only_admins_of_a_project_see_and_change_where_its_news_go(api: Api) -> None:
    team = (await api.owner.made("/teams", {"name": "Pagers"}))["id"]
    developer = await api.person()
    await api.owner.made(f"/teams/{team}/members", {"userId": developer.id, "role": "developer"})
    project = (await api.project(teamId=team))["id"]
    id = (await made(api, projectId=project))["id"]
    assert (await developer.get(f"/notification-channels/{id}")).json()["url"] == SHOWN
    refused = [
        await developer.get(f"/notification-channels/{id}/secret"),
        await developer.patch(f"/notification-channels/{id}", {"enabled": False}),
        await developer.post(f"/notification-channels/{id}/test"),
        await developer.delete(f"/notification-channels/{id}"),
        await developer.post("/notification-channels", {"name": "mine", "projectId": project, "type": "slack", "url": HOOK}),
    ]
    assert [each.status_code for each in refused] == [403] * 5


async def test_notifications_are_filtered(api: Api) -> None:
    channel = await made(api)
    about = {"channel_id": channel["id"], "project_id": channel["projectId"], "data": {"deploymentId": channel["id"]}}
    await models.Notification.create(event=NotificationEvent.deployment_failed, status=models.NotificationStatus.failed, **about)
    await models.Notification.create(event=NotificationEvent.alert_raised, **about)
    for query, found in (("status=failed", 1), ("event=alert_raised", 1), (f"projectId={channel['projectId']}", 2), ("status=sent", 0)):
        listed = (await api.owner.get(f"/notifications?channelId={channel['id']}&{query}")).json()["data"]
        assert len(listed) == found, query
    assert listed == []
