"""The chapter Authentication, and users/me (DECISIONS 14 and 16)."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

import models
from models.secrets import token_key
from models.settings import settings
from schema.context import Context
from schema.users import UpdateMeInput, update_me
from tests.services.asking import Transport, ask
from tests.services.conftest import PASSWORD, Api

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


async def test_the_first_user_becomes_owner_and_later_ones_are_plain_members(api: Api) -> None:
    first = (await api.owner.get("/users/me")).json()
    second = (await (await api.person()).get("/users/me")).json()
    assert first["roles"] == ["owner"]
    assert second["roles"] == ["member"]
    assert second["teams"] == []


async def test_only_one_of_many_first_users_becomes_owner(api: Api) -> None:
    await models.User.all().delete()
    accounts = [{"username": f"racer{n}", "email": f"racer{n}@example.com", "password": PASSWORD} for n in range(8)]
    answers = await asyncio.gather(*(api.anonymous.post("/auth/register", account) for account in accounts))
    assert {answer.status_code for answer in answers} == {201}
    assert await models.User.filter(role=models.GlobalRole.owner).count() == 1


async def test_registering_answers_to_the_letter(api: Api) -> None:
    answer = await api.anonymous.post("/auth/register", {"username": "Ada", "email": "Ada@Example.com", "password": PASSWORD})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"id", "username", "email", "createdAt"}
    assert (body["username"], body["email"]) == ("ada", "ada@example.com")
    assert body["createdAt"].endswith("Z")


@pytest.mark.parametrize("name", ["owner", "OWNER", "owner@example.com", "Owner@Example.COM"])
async def test_login_takes_the_user_name_or_the_email_address(api: Api, name: str) -> None:
    answer = await api.anonymous.post("/auth/login", {"username": name, "password": PASSWORD})
    assert answer.status_code == 200
    body = answer.json()
    assert body["expiresIn"] == 604800
    assert set(body["user"]) == {"id", "username", "email", "roles"}
    assert body["user"]["email"] == "owner@example.com"


@BOTH
async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(api: Api, over: Transport) -> None:
    wrong = await ask(over, api.anonymous, "auth.login", input={"username": "owner", "password": "not this one"})
    unknown = await ask(over, api.anonymous, "auth.login", input={"username": "nobody", "password": "not this one"})
    assert wrong == unknown
    assert wrong.code == "UNAUTHORIZED"


@BOTH
@pytest.mark.parametrize("name", ["x" * 33, "\U0001d54b" * 40, "x" * 250 + "@example.com", "x" * 100_000])
async def test_a_name_longer_than_any_is_an_unknown_user(api: Api, over: Transport, name: str) -> None:
    outcome = await ask(over, api.anonymous, "auth.login", input={"username": name, "password": PASSWORD})
    assert outcome.code == "UNAUTHORIZED"


@BOTH
async def test_an_email_address_is_measured_as_it_is_stored(api: Api, over: Transport) -> None:
    grows = "\u0130" * 200 + "@example.com"
    assert len(grows) < 254 < len(grows.lower())
    outcome = await ask(over, api.anonymous, "auth.register", input={"username": "ada", "email": grows, "password": PASSWORD})
    assert outcome.fields == {"email": "length"}
    outcome = await ask(over, api.owner, "users.update_me", input={"email": grows})
    assert outcome.fields == {"email": "length"}


@BOTH
async def test_a_taken_name_is_a_conflict(api: Api, over: Transport) -> None:
    input = {"username": "OWNER", "email": "other@example.com", "password": PASSWORD}
    outcome = await ask(over, api.anonymous, "auth.register", input=input)
    assert (outcome.code, outcome.details) == ("CONFLICT", {"reason": "NAME_TAKEN"})


async def test_registration_can_be_closed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "registration", "closed")
    answer = await api.anonymous.post("/auth/register", {"username": "late", "email": "late@example.com", "password": PASSWORD})
    assert answer.status_code == 403


@BOTH
async def test_logout_ends_the_session_at_once(api: Api, over: Transport) -> None:
    assert (await ask(over, api.owner, "auth.logout")).code is None
    answer = await api.owner.get("/users/me")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "INVALID_TOKEN"
    assert "invalid_token" in answer.headers["WWW-Authenticate"]


async def test_a_new_password_ends_all_other_sessions(api: Api) -> None:
    other = api.anonymous
    other.token = (await other.made("/auth/login", {"username": "owner", "password": PASSWORD}))["token"]
    answer = await api.owner.patch("/users/me", {"password": "another long one", "currentPassword": PASSWORD})
    assert answer.status_code == 200
    assert (await api.owner.get("/users/me")).status_code == 200
    assert (await other.get("/users/me")).status_code == 401
    assert (await other.post("/auth/login", {"username": "owner", "password": PASSWORD})).status_code == 401


@BOTH
async def test_a_password_changes_only_with_the_current_one(api: Api, over: Transport) -> None:
    outcome = await ask(over, api.owner, "users.update_me", input={"password": "another long one"})
    assert outcome.fields == {"currentPassword": "required"}
    input = {"password": "another long one", "currentPassword": "wrong"}
    assert (await ask(over, api.owner, "users.update_me", input=input)).code == "FORBIDDEN"


async def test_an_email_change_over_an_old_context_keeps_the_new_password(api: Api) -> None:
    stale = Context(user=await models.User.get(username="owner"))
    await api.owner.patch("/users/me", {"password": "another long one", "currentPassword": PASSWORD})
    await models.User.filter(username="owner").update(role=models.GlobalRole.member)
    assert update_me.handler is not None
    await update_me.handler(stale, UpdateMeInput.model_validate({"email": "new@example.com"}))
    row = await models.User.get(username="owner")
    assert (row.email, row.role) == ("new@example.com", models.GlobalRole.member)
    answer = await api.anonymous.post("/auth/login", {"username": "owner", "password": "another long one"})
    assert answer.status_code == 200


def claims(**changed: object) -> dict[str, object]:
    now = datetime.now(UTC)
    return {"sub": "", "jti": "", "iat": now, "exp": now + timedelta(hours=1), "aud": "dokploy", "iss": "dokploy"} | changed


def decoded(token: str) -> dict[str, object]:
    payload: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return payload


async def test_forged_tokens_are_refused(api: Api) -> None:
    real, key = decoded(api.owner.token), token_key()
    header, payload, signature = api.owner.token.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    past = datetime.now(UTC) - timedelta(days=1)
    forged = [
        f"{none}.{payload}.",
        f"{none}.{payload}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-2]}xx",
        jwt.encode(real, "another key that is long enough for it", algorithm="HS256"),
        jwt.encode(real, key, algorithm="HS512"),
        *(jwt.encode({k: v for k, v in real.items() if k != missing}, key, algorithm="HS256") for missing in real),
        jwt.encode(real | {"exp": past}, key, algorithm="HS256"),
        jwt.encode(real | {"aud": "other"}, key, algorithm="HS256"),
        jwt.encode(real | {"iss": "other"}, key, algorithm="HS256"),
        jwt.encode(real | {"jti": "01900000-0000-7000-8000-000000000000"}, key, algorithm="HS256"),
        jwt.encode(real | {"sub": "01900000-0000-7000-8000-000000000000"}, key, algorithm="HS256"),
        jwt.encode(real | {"jti": "no id"}, key, algorithm="HS256"),
        "x" * 5000,
        "",
        "a.b.c",
    ]
    for token in forged:
        answer = await api.anonymous.get("/users/me", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_TOKEN"), token[:80]
    again = await api.anonymous.get("/users/me", headers={"Authorization": f"Bearer {jwt.encode(real, key, algorithm='HS256')}"})
    assert again.status_code == 200


async def test_without_a_token_or_with_another_scheme_it_is_401(api: Api) -> None:
    for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearerabc"}):
        answer = await api.anonymous.get("/projects", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_bad_token_is_401_for_graphql_too(api: Api) -> None:
    answer = await api.anonymous.post("/graphql", {"query": "{ __typename }"}, headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
