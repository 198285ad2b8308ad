"""Deliveries and secrets as those see them who own the application: listed, looked at once more, made anew, and counted."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import models
from gateway.webhooks import route
from gateway.webhooks.patience import Refused
from models.database import database
from models.settings import settings
from schema import receiving
from schema.pushes import Change, Notice
from tests.services.conftest import Api, Person
from tests.services.test_line import started
from tests.services.webhooks import deployments, hooked, sent
from tests.webhooks.senders import SENDERS, sending
from workers import reconcile

GITHUB = SENDERS[0]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A gateway that has refused nobody yet."""
    monkeypatch.setattr(route, "refused", Refused())
    yield


async def listed(api: Api, application: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.owner.get(f"/applications/{application['id']}/webhook-deliveries{query}")).json()["data"]
    return found


async def test_a_secret_is_made_shown_and_made_anew(api: Api) -> None:
    application = await api.application(gitSource={"repoUrl": GITHUB.repo_url})
    path = f"/applications/{application['id']}/webhook-secret"
    assert (await api.owner.get(path)).json()["secret"] is None
    first = (await api.owner.post(path)).json()
    assert len(first["secret"]) >= 43
    providers = ("github", "gitlab", "gitea", "bitbucket")
    assert first["urls"] == {name: f"/api/webhooks/{name}?application={application['id']}" for name in providers}
    assert (await api.owner.get(path)).json() == first
    data = (await api.owner.graphql("query($id: ID!) { webhookSecret(id: $id) { secret } }", id=application["id"]))["data"]
    assert data["webhookSecret"] == {"secret": first["secret"]}
    second = (await api.owner.graphql("mutation($id: ID!) { rotateWebhookSecret(id: $id) { secret } }", id=application["id"]))["data"]
    assert second["rotateWebhookSecret"]["secret"] not in ("", first["secret"])
    push = GITHUB.payload("push")
    assert (await sent(api, sending(GITHUB, push, secret=first["secret"]))).status_code == 401
    assert (await sent(api, sending(GITHUB, push, secret=second["rotateWebhookSecret"]["secret"]))).status_code == 202


async def test_the_urls_are_those_of_the_installation(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "public_url", "http://dokploy.example.com")
    application = await api.application()
    answer = await api.owner.get(f"/applications/{application['id']}/webhook-secret")
    assert answer.json()["urls"]["github"] == f"http://dokploy.example.com/api/webhooks/github?application={application['id']}"


async def test_whoever_sees_a_secret_is_entered_in_the_audit_trail(api: Api) -> None:
    application = await api.application()
    path = f"/applications/{application['id']}/webhook-secret"
    secret = (await api.owner.post(path)).json()["secret"]
    await api.owner.get(path)
    await api.owner.graphql("query($id: ID!) { webhookSecret(id: $id) { secret } }", id=application["id"])
    entries = await models.AuditEntry.filter(action__startswith="webhook_secrets.").order_by("id")
    seen = [(each.action, str(each.resource_id), each.username) for each in entries]
    assert seen == [(f"webhook_secrets.{verb}", application["id"], "owner") for verb in ("rotate", "get", "get")]
    assert secret not in str([each.fields_given for each in entries])


async def test_a_secret_is_kept_for_no_key_and_stored_for_nobody_to_read(api: Api) -> None:
    application = await api.application()
    path = f"/applications/{application['id']}/webhook-secret"
    first, second = [(await api.owner.post(path, headers={"Idempotency-Key": "the-same"})).json()["secret"] for _ in range(2)]
    assert first != second
    assert await models.KeptAnswer.all().count() == 0
    row = await models.Application.get(id=application["id"]).values("webhook_secret")
    assert row["webhook_secret"] == {"secret": second}


async def test_a_push_that_was_ignored_is_looked_at_once_more(api: Api) -> None:
    application = await hooked(api, GITHUB, watchPaths=["docs/**"])
    await sent(api, sending(GITHUB, GITHUB.payload("push"), name="first"))
    (first,) = await listed(api, application)
    assert first["reason"] == "paths_unchanged"
    await api.owner.patch(f"/applications/{application['id']}", {"watchPaths": ["src/**"]})
    answer = await api.owner.post(f"/applications/{application['id']}/webhook-deliveries/{first['id']}/redeliver")
    (deployment,) = await deployments(application)
    assert (answer.status_code, answer.json()["outcome"], answer.json()["deploymentId"]) == (202, "queued", str(deployment.id))
    assert (deployment.branch, deployment.commit_sha) == ("main", GITHUB.commit)
    assert [each["outcome"] for each in await listed(api, application)] == ["queued", "ignored"]
    assert answer.json()["delivery"].startswith("first~")


async def test_each_redelivery_is_one_of_its_own(api: Api) -> None:
    application = await hooked(api, GITHUB)
    await sent(api, sending(GITHUB, GITHUB.payload("push")))
    for _ in range(2):
        newest = (await listed(api, application))[0]
        await api.owner.post(f"/applications/{application['id']}/webhook-deliveries/{newest['id']}/redeliver")
    assert len(await deployments(application)) == 3


async def test_nothing_follows_from_what_was_no_push(api: Api) -> None:
    application = await hooked(api, GITHUB)
    await sent(api, sending(GITHUB, GITHUB.payload("ping"), event="ping"))
    (ping,) = await listed(api, application)
    answer = await api.owner.post(f"/applications/{application['id']}/webhook-deliveries/{ping['id']}/redeliver")
    assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "NO_PUSH")


async def test_a_delivery_of_another_application_is_not_found(api: Api) -> None:
    mine, other = await hooked(api, GITHUB), await hooked(api, GITHUB, secret="another secret")
    await sent(api, sending(GITHUB, GITHUB.payload("push")))
    (delivery,) = await listed(api, mine)
    answer = await api.owner.post(f"/applications/{other['id']}/webhook-deliveries/{delivery['id']}/redeliver")
    assert answer.status_code == 404


async def test_deliveries_are_filtered(api: Api) -> None:
    application = await hooked(api, GITHUB)
    await sent(api, sending(GITHUB, GITHUB.payload("push")))
    await sent(api, sending(GITHUB, GITHUB.payload("tag")))
    assert [each["reason"] for each in await listed(api, application, "?outcome=ignored")] == ["tag"]
    assert [each["reason"] for each in await listed(api, application, "?outcome=queued&provider=github")] == [None]
    assert await listed(api, application, "?provider=gitlab") == []


async def test_deliveries_are_kept_for_thirty_days(api: Api) -> None:
    application = await hooked(api, GITHUB)
    for days in (29, 31):
        await sent(api, sending(GITHUB, GITHUB.payload("tag"), name=f"{days}-days"))
        await models.WebhookDelivery.filter(delivery=f"{days}-days").update(created_at=datetime.now(UTC) - timedelta(days=days))
    await reconcile._clear_away(None)  # type: ignore[arg-type]
    assert [each["delivery"] for each in await listed(api, application)] == ["29-days"]


async def test_of_two_hundred_pushes_one_runs_and_one_waits(api: Api, tell: Callable[[str], None]) -> None:
    application = await hooked(api, GITHUB)
    await sent(api, sending(GITHUB, GITHUB.payload("push")))
    await started((await deployments(application))[0])
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*[sent(api, sending(GITHUB, GITHUB.payload("push"))) for _ in range(199)])
    tell(f"199 pushes at once: answered within {asyncio.get_running_loop().time() - began:.1f} s.")
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "queued")}
    assert Counter(row.status.value for row in await deployments(application)) == {"cloning": 1, "pending": 1, "cancelled": 198}


async def test_who_is_not_known_is_refused_up_to_the_anonymous_limit_and_then_sent_away(limited: Any, api: Api) -> None:
    await limited('{"anonymous": {"limit": 3, "burst": 3}}')
    application = await hooked(api, GITHUB)
    forged = [await sent(api, sending(GITHUB, GITHUB.payload("push"), secret="wrong")) for _ in range(5)]
    assert [each.status_code for each in forged] == [401, 401, 401, 429, 429]
    assert int(forged[4].headers["Retry-After"]) >= 1
    assert (await sent(api, sending(GITHUB, GITHUB.payload("push")))).status_code == 202, "who knows the secret is heard all the same"
    assert len(await deployments(application)) == 1


async def test_webhooks_that_are_verified_are_not_counted_against_the_address(limited: Any, api: Api) -> None:
    await limited('{"anonymous": {"limit": 1, "burst": 1}}')
    await hooked(api, GITHUB)
    assert [(await sent(api, sending(GITHUB, GITHUB.payload("tag")))).status_code for _ in range(5)] == [202] * 5


async def test_an_application_has_so_many_an_hour_by_the_tier_of_its_owner(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"webhooks": 2}, "premium": {"webhooks": 4}}')
    application, beside = await hooked(api, GITHUB), await hooked(api, GITHUB, secret="another secret")
    answers = [await sent(api, sending(GITHUB, GITHUB.payload("tag"))) for _ in range(3)]
    assert [each.status_code for each in answers] == [202, 202, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 3600
    other = await sent(api, sending(GITHUB, GITHUB.payload("tag"), secret="another secret"))
    assert other.status_code == 202, "each has its own"
    assert len(await listed(api, application)) == 2
    assert len(await listed(api, beside)) == 1


async def test_a_viewer_sees_deliveries_and_no_secret(api: Api) -> None:
    team = await api.owner.made("/teams", {"name": "Crew"})
    person: Person = await api.person()
    await api.owner.made(f"/teams/{team['id']}/members", {"userId": person.id, "role": "viewer"})
    application = await hooked(api, GITHUB, project=await api.project(teamId=team["id"]))
    await sent(api, sending(GITHUB, GITHUB.payload("tag")))
    assert len((await person.get(f"/applications/{application['id']}/webhook-deliveries")).json()["data"]) == 1
    assert (await person.get(f"/applications/{application['id']}/webhook-secret")).status_code == 403


async def test_the_same_without_a_name_is_answered_as_at_first_also_after_somebody_looked_once_more(api: Api) -> None:
    application = await hooked(api, GITHUB, watchPaths=["docs/**"])
    request = sending(GITHUB, GITHUB.payload("push"), nameless=True)
    assert (await sent(api, request)).json()["reason"] == "paths_unchanged"
    (first,) = await listed(api, application)
    await api.owner.patch(f"/applications/{application['id']}", {"watchPaths": []})
    await api.owner.post(f"/applications/{application['id']}/webhook-deliveries/{first['id']}/redeliver")
    assert (await sent(api, request)).json()["reason"] == "paths_unchanged"
    assert len(await deployments(application)) == 1


async def test_a_delivery_without_a_name_is_done_once_also_when_the_second_changes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    application = await hooked(api, GITHUB)
    request = sending(GITHUB, GITHUB.payload("push"), nameless=True)
    seconds = itertools.count(1)
    monkeypatch.setattr(receiving, "time", lambda: next(seconds))
    await asyncio.gather(*[sent(api, request) for _ in range(20)])
    assert len(await deployments(application)) == 1
    assert len(await listed(api, application)) == 1


async def test_a_delivery_that_comes_again_is_answered_beyond_the_limit_and_uses_nothing_up(limited: Any, api: Api) -> None:
    await limited('{"authenticated": {"webhooks": 1}}')
    await hooked(api, GITHUB)
    request = sending(GITHUB, GITHUB.payload("push"))
    assert [(await sent(api, request)).status_code for _ in range(3)] == [202, 202, 202]
    assert (await sent(api, sending(GITHUB, GITHUB.payload("push")))).status_code == 429


async def test_one_secret_that_cannot_be_read_is_nobodys_and_keeps_nobody_out(api: Api) -> None:
    broken, whole = await hooked(api, GITHUB), await hooked(api, GITHUB)
    await database().execute_query("update application set webhook_secret = 'garbage' where id = $1", [broken["id"]])
    assert (await sent(api, sending(GITHUB, GITHUB.payload("push"), secret="wrong"))).status_code == 401
    assert (await sent(api, sending(GITHUB, GITHUB.payload("push")))).json()["deployments"][0]["applicationId"] == whole["id"]


async def test_an_application_that_goes_in_the_middle_is_no_application(api: Api) -> None:
    application = await hooked(api, GITHUB)
    row = await models.Application.get(id=application["id"])
    notice = Notice(frozenset({str(row.repository)}), (Change("main", "a" * 40),))
    await row.delete()
    found = await receiving.received(receiving.of(row), receiving.Delivery(models.GitProvider.github, "d", "push", notice), _allowed)
    assert (found.outcome, found.reason) == (models.WebhookOutcome.ignored, models.WebhookReason.no_application)


async def _allowed() -> None:
    pass


async def test_the_networks_of_a_refused_sender_are_refused_before_all_secrets_are_tried(
    limited: Any, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limited('{"anonymous": {"limit": 1, "burst": 1}}')
    tried = 0
    everywhere = receiving.known_anywhere

    async def counted(*arguments: Any) -> Any:
        nonlocal tried
        tried += 1
        return await everywhere(*arguments)

    monkeypatch.setattr(route, "known_anywhere", counted)
    for number in range(6):
        monkeypatch.setattr("gateway.peers._peer", lambda scope, number=number: f"2001:db8:1:2::{number}")
        await sent(api, sending(GITHUB, GITHUB.payload("push"), secret="wrong"))
    assert tried == 2


async def test_files_are_not_believed_of_a_branch_that_is_new(api: Api) -> None:
    application = await hooked(api, GITHUB, watchPaths=["docs/**"])
    await sent(api, sending(GITHUB, GITHUB.payload("push") | {"before": "0" * 40, "created": True}))
    await sent(api, sending(GITHUB, GITHUB.payload("push") | {"forced": True}))
    assert len(await deployments(application)) == 2


async def test_watching_costs_little_whatever_was_pushed(api: Api) -> None:
    application = await hooked(api, GITHUB, watchPaths=["**/" + "a/" * 14 + "b"] * 20)
    push = GITHUB.payload("push")
    push["commits"][0]["added"] = ["/".join(["a"] * 70_000), *(f"{'a/' * 60}{number}" for number in range(1000))]
    await sent(api, sending(GITHUB, push))
    push["commits"][0]["added"] = [f"{'a/' * 70}{number}" for number in range(300)]
    began = asyncio.get_running_loop().time()
    pushing = asyncio.create_task(sent(api, sending(GITHUB, push)))
    late = 0.0
    while not pushing.done():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(0.01)
        late = max(late, asyncio.get_running_loop().time() - before)
    assert pushing.result().json()["reason"] == "paths_unchanged"
    assert late < 1
    assert asyncio.get_running_loop().time() - began < 10
    assert len(await deployments(application)) == 1, "of the first push it is not known what changed"


async def test_a_form_is_looked_through_without_delay(api: Api) -> None:
    await hooked(api, GITHUB)
    began = asyncio.get_running_loop().time()
    for body in (b"%" * route.LARGEST, b"%22clone_url%22%3A%22" + b"%2F" * 1_000_000, b'"clone_url"' + b" " * 4_000_000):
        request = sending(GITHUB, body, secret="wrong")
        assert (await sent(api, request, **{"Content-Type": "application/x-www-form-urlencoded"})).status_code == 401
    assert asyncio.get_running_loop().time() - began < 5
