"""A request that is sent again with its Idempotency-Key gets the first answer, and nothing is done twice."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

import models
from models import answers
from models.database import together
from tests.services.conftest import Api, Person

DEPLOY = "mutation ($id: ID!) { deployApplication(id: $id, input: {}) { id status } }"


async def sent(person: Person, path: str, json: Any = None, key: str = "k-1") -> httpx2.Response:
    return await person.post(path, json, headers={"Idempotency-Key": key})


async def test_the_first_answer_is_replayed(api: Api) -> None:
    application = await api.application()
    first, again = [await sent(api.owner, f"/applications/{application['id']}/deploy", {}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert first.headers.get("Idempotency-Replayed") is None
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await models.Deployment.all().count() == 1


async def test_both_versions_of_a_path_are_the_same_request(api: Api) -> None:
    first = await sent(api.owner, "/projects", {"name": "Boat"})
    again = await sent(api.owner, "/v1/projects", {"name": "Boat"})
    assert (again.status_code, again.content) == (201, first.content)


async def test_another_key_is_another_request(api: Api) -> None:
    path = f"/applications/{(await api.application())['id']}/deploy"
    ids = {(await sent(api.owner, path, {}, key)).json()["deploymentId"] for key in ("a", "b")}
    assert len(ids) == 2


async def test_a_key_belongs_to_one_person(api: Api) -> None:
    await sent(api.owner, "/teams", {"name": "Crew"})
    other = await api.person()
    assert (await sent(other, "/teams", {"name": "Crew"})).status_code == 403


@pytest.mark.parametrize(("path", "json"), [("/projects", {"name": "Other"}), ("/teams", {"name": "Boat"})])
async def test_the_same_key_with_another_request_is_422(api: Api, path: str, json: dict[str, str]) -> None:
    await sent(api.owner, "/projects", {"name": "Boat"})
    answer = await sent(api.owner, path, json)
    assert (answer.status_code, answer.json()["error"]["details"]) == (422, {"field": "Idempotency-Key"})
    assert await models.Project.all().count() == 1


async def test_twins_do_the_work_once(api: Api) -> None:
    path = f"/applications/{(await api.application())['id']}/deploy"
    found = await asyncio.gather(*[sent(api.owner, path, {}) for _ in range(12)])
    codes = {answer.status_code for answer in found}
    assert codes <= {202, 409}
    assert len({answer.content for answer in found if answer.status_code == 202}) == 1
    assert {answer.json()["error"]["details"]["reason"] for answer in found if answer.status_code == 409} <= {"STILL_RUNNING"}
    assert await models.Deployment.all().count() == 1


async def test_a_twin_of_a_running_request_is_409_and_is_not_kept(api: Api) -> None:
    body = {"name": "Boat"}
    first = await sent(api.owner, "/projects", body, "other")
    kept = await models.KeptAnswer.get(key="other")
    async with together():
        assert await answers.claim(answers.Asking(kept.user_id, "k-1", kept.fingerprint))
        twin = await asyncio.create_task(sent(api.owner, "/projects", body), context=contextvars.Context())
    assert first.status_code == 201
    assert (twin.status_code, twin.json()["error"]["details"]) == (409, {"reason": "STILL_RUNNING"})
    assert (await sent(api.owner, "/projects", {"name": "Ship"})).status_code == 201


async def test_a_conflict_is_an_answer_too(api: Api) -> None:
    project = await api.project()
    first = await sent(api.owner, "/projects", {"name": project["name"]})
    await api.owner.delete(f"/projects/{project['id']}")
    again = await sent(api.owner, "/projects", {"name": project["name"]})
    assert (first.status_code, again.status_code, again.content) == (409, 409, first.content)
    assert (await sent(api.owner, "/projects", {"name": project["name"]}, "later")).status_code == 201


async def test_what_was_refused_before_anything_was_done_leaves_the_key_free(api: Api) -> None:
    assert (await sent(api.owner, "/projects", {"name": "!"})).status_code == 400
    assert (await sent(await api.person(), "/projects", {"name": "Boat"})).status_code == 403
    assert (await sent(api.owner, "/applications/none/deploy", {})).status_code == 404
    assert (await sent(api.owner, "/projects", {"name": "Boat"})).status_code == 201


async def test_an_answer_is_kept_for_24_hours(api: Api) -> None:
    first = await sent(api.owner, "/teams", {"name": "Crew"})
    await models.KeptAnswer.all().update(created_at=datetime.now(UTC) - timedelta(hours=23, minutes=59))
    assert (await sent(api.owner, "/teams", {"name": "Crew"})).content == first.content
    await models.KeptAnswer.all().update(created_at=datetime.now(UTC) - timedelta(hours=24, minutes=1))
    assert (await sent(api.owner, "/teams", {"name": "Crew"})).status_code == 409


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "\x7f"])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = await sent(api.owner, "/projects", {"name": "Boat"}, key)
    assert (answer.status_code, answer.json()["error"]["details"]["errors"][0]["field"]) == (400, "Idempotency-Key")


async def test_a_query_is_not_kept(api: Api) -> None:
    found = [await sent(api.owner, "/graphql", {"query": "{ me { id } }"}) for _ in range(2)]
    assert [answer.headers.get("Idempotency-Replayed") for answer in found] == [None, None]


async def test_a_mutation_is_replayed(api: Api) -> None:
    body = {"query": DEPLOY, "variables": {"id": (await api.application())["id"]}}
    first, again = [await sent(api.owner, "/graphql", body) for _ in range(2)]
    assert first.json()["data"]["deployApplication"]["status"] == "pending"
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
    assert await models.Deployment.all().count() == 1
    other = await sent(api.owner, "/graphql", body | {"variables": {"id": (await api.application())["id"]}})
    assert (other.status_code, other.json()["errors"][0]["extensions"]["code"]) == (422, "UNPROCESSABLE_ENTITY")


async def test_a_change_that_cannot_be_stored_leaves_neither_an_answer_nor_an_entry(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ConnectionError("the database went away")

    application = await api.application()
    entries = await models.AuditEntry.all().count()
    path = f"/applications/{application['id']}/deploy"
    with monkeypatch.context() as patch:
        patch.setattr(answers, "keep", broken)
        assert (await sent(api.owner, path, {})).status_code == 503
    assert await models.Deployment.all().count() == 0
    assert await models.AuditEntry.all().count() == entries
    assert (await sent(api.owner, path, {})).status_code == 202


async def test_a_key_does_not_hide_what_was_forbidden(api: Api) -> None:
    person = await api.person()
    assert (await sent(person, "/teams", {"name": "Mine"})).status_code == 403
    assert await models.AuditEntry.filter(outcome="FORBIDDEN", username=person.username).count() == 1
    assert await models.KeptAnswer.all().count() == 0


async def test_no_login_and_no_password_is_kept(api: Api) -> None:
    login = 'mutation { login(input: {username: "owner", password: "correct horse battery"}) { token } }'
    change = 'mutation { a: updateMe(input: {email: "new@example.com"}) { id } }'
    for query in (login, change, f"{change[:-2]} {login[11:]}"):
        answer = await sent(api.owner, "/graphql", {"query": query})
        assert "errors" not in answer.json()
    assert await models.KeptAnswer.all().count() == 0


@pytest.mark.parametrize("id", ["none", None])
async def test_a_mutation_that_did_nothing_leaves_the_key_free(api: Api, id: str | None) -> None:
    application = await api.application()
    scale = "mutation ($id: ID!, $n: Int!) { scaleApplication(id: $id, input: {replicas: $n}) { status } }"
    wrong = {"query": scale, "variables": {"id": id or application["id"], "n": 2 if id else 500}}
    assert "errors" in (await sent(api.owner, "/graphql", wrong)).json()
    answer = await sent(api.owner, "/graphql", {"query": scale, "variables": {"id": application["id"], "n": 2}})
    assert "errors" not in answer.json()


async def test_a_mutation_that_did_something_is_kept_with_its_errors(api: Api) -> None:
    application = await api.application()
    query = (
        'mutation ($id: ID!) { deployApplication(id: $id, input: {}) { id } scaleApplication(id: "none", input: {replicas: 1}) { status } }'
    )
    first, again = [await sent(api.owner, "/graphql", {"query": query, "variables": {"id": application["id"]}}) for _ in range(2)]
    assert again.content == first.content
    assert await models.Deployment.all().count() == 1


async def test_an_answer_counts_what_was_just_made_with_a_key_and_without(api: Api) -> None:
    project = await api.project()
    for number, headers in enumerate(({}, {"Idempotency-Key": "counted"}), start=1):
        body = {"name": f"app{number}", "projectId": project["id"], "image": "busybox:1"}
        assert (await api.owner.post("/applications", body, headers=headers)).status_code == 201
        assert (await api.owner.get(f"/projects/{project['id']}")).json()["statistics"]["applicationCount"] == number
    document = "mutation($i: CreateApplicationInput!) { createApplication(input: $i) { project { statistics { applicationCount } } } }"
    given = {"query": document, "variables": {"i": {"name": "app3", "projectId": project["id"], "image": "busybox:1"}}}
    answer = await api.owner.post("/graphql", given, headers={"Idempotency-Key": "graphql"})
    assert answer.json()["data"]["createApplication"] == {"project": {"statistics": {"applicationCount": 3}}}
