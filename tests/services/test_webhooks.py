"""Webhooks: one suite over every provider. What is sent is what each of them sends, signed as it signs."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

import models
from tests.services.conftest import Api
from tests.services.webhooks import deployments, hooked, sent
from tests.webhooks.senders import SECRET, SENDERS, Sender, Sending, sending


def of(senders: Sequence[Sender]) -> pytest.MarkDecorator:
    """A test for each of some senders."""
    return pytest.mark.parametrize("sender", senders, ids=lambda sender: sender.name)


every_sender = of(SENDERS)


@every_sender
async def test_a_signed_push_deploys_its_commit(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    answer = await sent(api, sending(sender, sender.payload("push")))
    (deployment,) = await deployments(application)
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "deploymentId": str(deployment.id),
            "status": "queued",
            "deployments": [{"applicationId": application["id"], "deploymentId": str(deployment.id)}],
        },
    )
    assert (deployment.branch, deployment.commit_sha, deployment.trigger) == ("main", sender.commit, models.DeploymentTrigger.webhook)


@every_sender
async def test_a_push_is_listed_with_what_became_of_it(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    answer = await sent(api, sending(sender, sender.payload("push"), name="delivery-1"))
    (listed,) = (await api.owner.get(f"/applications/{application['id']}/webhook-deliveries")).json()["data"]
    expected = {
        "provider": sender.name,
        "delivery": "delivery-1",
        "event": sender.push,
        "outcome": "queued",
        "reason": None,
        "branch": "main",
        "commitSha": sender.commit,
        "deploymentId": answer.json()["deploymentId"],
    }
    assert {name: listed[name] for name in expected} == expected
    document = "query($id: ID!) { application(id: $id) { webhookDeliveries { nodes { outcome deployment { id } } } } }"
    (node,) = (await api.owner.graphql(document, id=application["id"]))["data"]["application"]["webhookDeliveries"]["nodes"]
    assert node == {"outcome": "queued", "deployment": {"id": answer.json()["deploymentId"]}}


@every_sender
async def test_everything_else_is_ignored_and_listed_with_its_reason(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    for name, (event, reason) in sender.others.items():
        answer = await sent(api, sending(sender, sender.payload(name), event=event))
        assert (answer.status_code, answer.json()) == (202, {"status": "ignored", "reason": reason}), name
    listed = (await api.owner.get(f"/applications/{application['id']}/webhook-deliveries?order=asc")).json()["data"]
    assert [(each["event"], each["reason"], each["deploymentId"]) for each in listed] == [(*each, None) for each in sender.others.values()]
    assert await deployments(application) == []


@every_sender
@pytest.mark.parametrize("secret", ["", "another secret", SECRET + " ", SECRET[:-1]])
async def test_who_does_not_know_the_secret_is_not_heard(api: Api, sender: Sender, secret: str) -> None:
    application = await hooked(api, sender)
    answer = await sent(api, sending(sender, sender.payload("push"), secret=secret))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert await deployments(application) == []
    assert await models.WebhookDelivery.all().count() == 0


@every_sender
async def test_an_empty_secret_verifies_nothing(api: Api, sender: Sender) -> None:
    await hooked(api, sender, secret="")
    assert (await sent(api, sending(sender, sender.payload("push"), secret=""))).status_code == 401


@every_sender
async def test_an_application_without_a_secret_is_deployed_by_nobody(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    await models.Application.filter(id=application["id"]).update(webhook_secret=None)
    assert (await sent(api, sending(sender, sender.payload("push")))).status_code == 401


@every_sender
async def test_a_request_without_the_proof_is_not_heard(api: Api, sender: Sender) -> None:
    await hooked(api, sender)
    request = sending(sender, sender.payload("push"))
    bare = {name: value for name, value in request.headers.items() if name not in ("X-Hub-Signature", "X-Hub-Signature-256")}
    bare = {name: value for name, value in bare.items() if name not in ("X-Gitlab-Token", "X-Gitea-Signature")}
    assert (await sent(api, Sending(sender, request.body, bare))).status_code == 401


@of([each for each in SENDERS if each.signs])
async def test_a_body_that_was_tampered_with_is_not_heard(api: Api, sender: Sender) -> None:
    await hooked(api, sender)
    request = sending(sender, sender.payload("push"))
    for position in (0, len(request.body) // 2, len(request.body) - 1):
        body = bytearray(request.body)
        body[position] ^= 1
        assert (await sent(api, Sending(sender, bytes(body), request.headers))).status_code == 401
    assert (await sent(api, Sending(sender, request.body + b" ", request.headers))).status_code == 401


@every_sender
async def test_the_proof_of_one_provider_is_none_to_another(api: Api, sender: Sender) -> None:
    await hooked(api, sender)
    request = sending(sender, sender.payload("push"))
    for other in SENDERS:
        if other is not sender:
            answer = await api.anonymous.call("POST", f"/webhooks/{other.name}", content=request.body, headers=request.headers)
            assert answer.status_code == 401, other.name


@every_sender
async def test_the_same_delivery_is_answered_as_at_first_and_done_once(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    request = sending(sender, sender.payload("push"))
    first, second = [(await sent(api, request)).json() for _ in range(2)]
    assert first == second
    assert len(await deployments(application)) == 1
    others = [await sent(api, sending(sender, sender.payload("tag"), event=sender.others["tag"][0], name="t")) for _ in range(2)]
    assert [each.json()["reason"] for each in others] == ["tag", "tag"]
    assert await models.WebhookDelivery.all().count() == 2


@every_sender
async def test_the_same_delivery_fifty_times_at_once_is_one_deployment(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    request = sending(sender, sender.payload("push"))
    answers = await asyncio.gather(*[sent(api, request) for _ in range(50)])
    (deployment,) = await deployments(application)
    assert {(each.status_code, each.json()["deploymentId"]) for each in answers} == {(202, str(deployment.id))}
    assert await models.WebhookDelivery.all().count() == 1


@every_sender
async def test_a_delivery_without_a_name_is_known_by_its_body_for_a_day(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    request = sending(sender, sender.payload("push"), nameless=True)
    first, second = [(await sent(api, request)).json()["deploymentId"] for _ in range(2)]
    assert first == second
    (row,) = await models.WebhookDelivery.all()
    before = f"{row.delivery.partition('@')[0]}@1"
    await models.WebhookDelivery.all().update(created_at=datetime.now(UTC) - timedelta(hours=25), delivery=before)
    await models.Deployment.all().update(delivery=f"{sender.name}:{before}")
    third = (await sent(api, request)).json()["deploymentId"]
    assert third != first
    assert len(await deployments(application)) == 2


@every_sender
async def test_every_matching_application_whose_own_secret_fits_is_deployed(api: Api, sender: Sender) -> None:
    mine = [await hooked(api, sender) for _ in range(2)]
    stranger = await hooked(api, sender, secret="another secret")
    elsewhere = await hooked(api, sender, gitSource={"repoUrl": "https://example.com/other/repository"})
    answer = (await sent(api, sending(sender, sender.payload("push")))).json()
    assert [each["applicationId"] for each in answer["deployments"]] == [each["id"] for each in mine]
    assert answer["deploymentId"] == answer["deployments"][0]["deploymentId"]
    assert [len(await deployments(each)) for each in (*mine, stranger, elsewhere)] == [1, 1, 0, 0]


@every_sender
async def test_host_and_path_are_compared_without_regard_to_case_or_form(api: Api, sender: Sender) -> None:
    host, path = sender.repo_url.removeprefix("https://").removesuffix(".git").split("/", 1)
    for url in (f"git@{host}:{path}.git", f"https://{host.upper()}/{path.upper()}", f"ssh://git@{host}:2222/{path}"):
        application = await hooked(api, sender, gitSource={"repoUrl": url})
        await sent(api, sending(sender, sender.payload("push")))
        assert len(await deployments(application)) == 1, url


@every_sender
async def test_verified_but_no_application_has_the_repository(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender, gitSource={"repoUrl": "https://example.com/other/repository"})
    answer = await sent(api, sending(sender, sender.payload("push")))
    assert (answer.status_code, answer.json()) == (202, {"status": "ignored", "reason": "no_application"})
    assert await deployments(application) == []


@every_sender
async def test_another_branch_is_ignored(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender, gitSource={"branch": "production"})
    assert (await sent(api, sending(sender, sender.payload("push")))).json() == {"status": "ignored", "reason": "other_branch"}
    assert await deployments(application) == []


def with_message(sender: Sender, message: str) -> dict[str, Any]:
    """The recorded push with another message of its commit."""
    text = json.dumps(sender.payload("push"))
    old = "Fix bug in authentication" if sender.name != "github" else "Fix bug in authentication\\n\\nIt was there since the beginning."
    assert old in text
    found: dict[str, Any] = json.loads(text.replace(old, message))
    return found


@every_sender
@pytest.mark.parametrize("message", ["[skip ci] words", "words [ci skip]", "Words [Skip Deploy]", "a\\n\\n[deploy skip]"])
async def test_a_commit_that_asks_to_be_skipped_is(api: Api, sender: Sender, message: str) -> None:
    await hooked(api, sender)
    assert (await sent(api, sending(sender, with_message(sender, message)))).json()["reason"] == "skip_requested"


@every_sender
@pytest.mark.parametrize(("paths", "deploys"), [(["src/**"], True), (["docs/**", "*.toml"], False), (["docs/**", "src/login.py"], True)])
async def test_only_files_that_are_watched_count_where_files_are_told(api: Api, sender: Sender, paths: list[str], deploys: bool) -> None:
    application = await hooked(api, sender, watchPaths=paths)
    answer = (await sent(api, sending(sender, sender.payload("push")))).json()
    expected = deploys or not sender.tells_files
    assert answer.get("reason") == (None if expected else "paths_unchanged")
    assert len(await deployments(application)) == int(expected)


@every_sender
async def test_a_document_that_makes_no_sense_is_refused(api: Api, sender: Sender) -> None:
    await hooked(api, sender)
    for body in (
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"ref": 1}',
        b'{"repository": 1, "project": 1}',
        b"\xff",
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
    ):
        answer = await sent(api, sending(sender, body))
        assert answer.status_code == 400, body[:20]
        assert answer.json()["error"]["code"] == "INVALID_INPUT"


async def sent_until_answered(server: str, sender: Sender, *headers: str) -> tuple[bytes, int]:
    """What a body of 25 MiB is answered, and how many MiB of it were sent until then."""
    url = urlsplit(server)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    lines = [f"POST /api/webhooks/{sender.name} HTTP/1.1", f"Host: {url.netloc}", *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answering, sent_so_far = asyncio.create_task(reader.read(65536)), 0
    block = b" " * 1024 * 1024
    with contextlib.suppress(ConnectionError):
        while sent_so_far < 25 and not answering.done():
            writer.write(block if "Content" in headers[0] else b"100000\r\n" + block + b"\r\n")
            await writer.drain()
            sent_so_far += 1
            await asyncio.sleep(0.05)
    writer.close()
    return await answering, sent_so_far


@every_sender
@pytest.mark.parametrize(("header", "most"), [("Content-Length: 26214400", 8), ("Transfer-Encoding: chunked", 16)])
async def test_a_body_beyond_the_cap_is_refused_without_being_read_whole(server: str, sender: Sender, header: str, most: int) -> None:
    answer, mebibytes = await sent_until_answered(server, sender, header)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert mebibytes <= most


@every_sender
async def test_a_repository_is_known_by_its_ssh_url_on_another_host(api: Api, sender: Sender) -> None:
    if sender.name == "bitbucket":
        return
    application = await hooked(api, sender, gitSource={"repoUrl": "ssh://git@ssh.example.com:2222/user/myapp.git"})
    text = json.dumps(sender.payload("push"))
    for url in ("git@github.com:user/myapp.git", "git@gitlab.com:group/sub/myapp.git", "ssh://git@codeberg.org/user/myapp.git"):
        text = text.replace(url, "ssh://git@ssh.example.com:2222/user/myapp.git")
    assert (await sent(api, sending(sender, json.loads(text)))).json()["status"] == "queued"
    assert len(await deployments(application)) == 1


@of([each for each in SENDERS if each.sends_forms])
async def test_a_form_is_read_like_json(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    body = urlencode({"payload": json.dumps(sender.payload("push"))}).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await sent(api, sending(sender, body), **form)).json()["status"] == "queued"
    assert len(await deployments(application)) == 1
    assert (await sent(api, sending(sender, b"other=1"), **form)).status_code == 400


@every_sender
async def test_it_answers_under_v1_too_and_to_no_other_method(api: Api, sender: Sender) -> None:
    await hooked(api, sender)
    request = sending(sender, sender.payload("push"))
    assert (await api.anonymous.call("POST", f"/v1{request.path}", content=request.body, headers=request.headers)).status_code == 202
    assert (await api.anonymous.get(request.path)).status_code == 405


@every_sender
async def test_what_was_deleted_is_deployed_by_nobody(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    await api.owner.delete(f"/applications/{application['id']}")
    assert (await sent(api, sending(sender, sender.payload("push")))).status_code == 401


@every_sender
async def test_newer_pushes_take_the_place_of_those_that_wait(api: Api, sender: Sender) -> None:
    application = await hooked(api, sender)
    for _ in range(5):
        await sent(api, sending(sender, sender.payload("push")))
    rows = await deployments(application)
    assert [row.status for row in rows] == [models.DeploymentStatus.cancelled] * 4 + [models.DeploymentStatus.pending]
    assert [row.superseded_by for row in rows[:4]] == [row.id for row in rows[1:]]
