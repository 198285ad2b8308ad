"""Logging in by an OpenID provider: the way of the browser, and what binds a login to it (DECISIONS 16)."""

import asyncio
import base64
import json
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote_plus, urlsplit

import pytest
from redis.exceptions import ConnectionError as RedisAway
from starlette.requests import Request
from starlette.responses import Response

import models
from gateway.oidc import documents
from gateway.oidc.attempt import cookie_of
from models import valkey
from models.secrets import cipher
from models.settings import settings
from tests.services.asking import Transport, ask
from tests.services.hostile_provider import CLIENT, SECRET, hostile
from tests.services.oidc import PAGE, House, house, provider, refusal

__all__ = ["house", "provider"]

BOTH = pytest.mark.parametrize("over", ["rest", "graphql"])


async def test_somebody_new_logs_in_and_is_answered_as_after_a_login_by_password(house: House) -> None:
    answer = await house.login()
    assert answer.status_code == 200
    body = answer.json()
    assert body["expiresIn"] == 604800
    assert body["user"] == {"id": body["user"]["id"], "username": "alice", "email": "alice@corp.example", "roles": ["member"]}
    me = await house.api.anonymous.get("/users/me", headers={"Authorization": f"Bearer {body['token']}"})
    assert me.json()["username"] == "alice"


async def test_whoever_comes_again_is_the_same_person_whatever_else_has_changed(house: House) -> None:
    first = (await house.login()).json()
    house.provider.person |= {"email": "alice@elsewhere.example", "preferred_username": "alicia"}
    again = (await house.login()).json()
    assert again["user"] == first["user"]
    assert again["token"] != first["token"]


async def test_an_account_of_a_provider_has_no_password(house: House) -> None:
    await house.login()
    for password in ("", "None", "correct horse battery"):
        answer = await house.api.anonymous.post("/auth/login", {"username": "alice", "password": password})
        assert refusal(answer) == (401, "UNAUTHORIZED")


async def test_the_provider_is_asked_for_what_the_settings_say(house: House) -> None:
    house.configure(scopes=["openid", "email", "groups"])
    answer = await house.browser().get("/api/auth/oidc/login", provider="corp")
    asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert (asked["scope"], asked["client_id"]) == ("openid email groups", CLIENT)
    assert asked["redirect_uri"] == "http://test/api/auth/oidc/callback"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert "code_verifier" not in asked


async def test_the_public_url_is_where_the_provider_sends_browsers_back_to(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "public_url", "http://dokploy.example")
    answer = await house.browser().get("/api/v1/auth/oidc/login", provider="corp")
    assert dict(parse_qsl(urlsplit(answer.headers["location"]).query))["redirect_uri"] == "http://dokploy.example/api/auth/oidc/callback"


async def test_the_cookie_is_out_of_reach_of_scripts_and_tells_nothing(house: House) -> None:
    answer = await house.browser().get("/api/auth/oidc/login", provider="corp")
    asked = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    (cookie,) = answer.headers.get_list("set-cookie")
    pair, *attributes = cookie.split("; ")
    assert {each.lower() for each in attributes} >= {"httponly", "samesite=lax", "path=/api/auth/oidc", "max-age=600"}
    assert "Secure" not in attributes
    name, _, value = pair.partition("=")
    assert name == cookie_of(asked["state"], secure=False)
    padded = value.strip('"').encode()
    assert asked["nonce"].encode() not in base64.urlsafe_b64decode(padded)
    assert b"verifier" not in base64.urlsafe_b64decode(padded)


async def test_under_https_the_cookie_is_sent_by_https_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.oidc.is_secure", lambda scope: True)
    answer = await house.browser().get("/api/auth/oidc/login", provider="corp")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name.startswith("__Host-dokploy_oidc_")
    assert {each.lower() for each in rest.split("; ")} >= {"secure", "path=/", "httponly", "samesite=lax"}
    assert "domain" not in rest.lower()


async def test_nothing_is_stored_on_the_way_and_nobody_is_told_where_one_comes_from(house: House) -> None:
    browser = house.browser()
    begun = await browser.get("/api/auth/oidc/login", provider="corp")
    good = await browser.back(**house.provider.authorized(begun.headers["location"]))
    bad = await browser.back(code="x", state="y")
    for answer in (begun, good, bad):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers.get_list("referrer-policy") == ["no-referrer"]


@pytest.mark.parametrize("denied", [False, True])
async def test_the_cookie_is_gone_after_the_callback(house: House, denied: bool) -> None:
    browser = house.browser()
    back = await browser.begin()
    assert len(browser.client.cookies) == 1
    await browser.back(**({"state": back["state"], "error": "access_denied"} if denied else back))
    assert len(browser.client.cookies) == 0


async def test_both_routes_answer_under_v1_too(house: House) -> None:
    browser = house.browser()
    answer = await browser.get("/api/v1/auth/oidc/login", provider="corp")
    back = house.provider.authorized(answer.headers["location"])
    (cookie,) = browser.client.cookies.jar
    found = await browser.client.get("/api/v1/auth/oidc/callback", params=back, headers={"Cookie": f"{cookie.name}={cookie.value}"})
    assert found.json()["user"]["username"] == "alice"


async def test_several_logins_at_once_in_one_browser_all_succeed(house: House) -> None:
    browser = house.browser()
    begun = [await browser.begin() for _ in range(3)]
    assert [(await browser.back(**each)).status_code for each in reversed(begun)] == [200, 200, 200]
    assert await house.sessions() == 3


@pytest.mark.parametrize(
    ("methods", "posts"),
    [
        (None, False),
        (["client_secret_post", "client_secret_basic"], False),
        (["private_key_jwt", "client_secret_post"], True),
        ("x", False),
    ],
)
async def test_the_client_says_who_it_is_in_the_way_that_the_provider_takes(house: House, methods: Any, posts: bool) -> None:
    house.provider.metadata = {"token_endpoint_auth_methods_supported": methods}
    await house.login()
    basic = base64.b64encode(f"{CLIENT}:{quote_plus(SECRET)}".encode()).decode()
    assert house.provider.clients == [SECRET if posts else f"Basic {basic}"]


async def test_a_public_client_has_no_secret_to_tell(house: House) -> None:
    house.configure(clientSecret=None)
    assert (await house.login()).status_code == 200
    assert house.provider.clients == ["nothing"]


async def test_a_provider_may_be_known_by_the_url_of_its_metadata_alone(house: House) -> None:
    given = house.provider.settings(metadataUrl=f"{house.provider.url}/.well-known/openid-configuration")
    del given["issuer"]
    house.set(given)
    assert (await house.login()).status_code == 200
    assert (await models.Identity.get()).issuer == house.provider.url


async def test_a_page_that_is_allowed_gets_the_token_in_its_fragment(house: House) -> None:
    answer = await house.login(redirect=PAGE)
    assert answer.status_code == 303
    page, _, fragment = answer.headers["location"].partition("#")
    given = parse_qs(fragment)
    assert (page, given["expiresIn"]) == (PAGE, ["604800"])
    me = await house.api.anonymous.get("/users/me", headers={"Authorization": f"Bearer {given['token'][0]}"})
    assert me.status_code == 200


async def test_a_page_that_is_allowed_is_told_why_a_login_failed(house: House) -> None:
    browser = house.browser()
    back = await browser.begin(redirect=PAGE)
    answer = await browser.back(state=back["state"], error="access_denied")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}#error=UNAUTHORIZED")
    house.provider.person["email_verified"] = False
    assert (await house.login(redirect=PAGE)).headers["location"] == f"{PAGE}#error=FORBIDDEN"


@pytest.mark.parametrize(
    "page", ["https://evil.example/", PAGE + "/", PAGE + "?x=1", PAGE + "#x", PAGE.upper(), "//app.example/signed-in", ""]
)
async def test_no_other_page_is_gone_to(house: House, page: str) -> None:
    answer = await house.browser().get("/api/auth/oidc/login", provider="corp", redirect=page)
    assert refusal(answer) == (400, "VALIDATION_ERROR")
    assert [each["field"] for each in answer.json()["error"]["details"]["errors"]] == ["redirect"]
    assert "set-cookie" not in answer.headers


async def test_an_unknown_provider_is_not_found_and_none_at_all_is_an_error(house: House) -> None:
    assert refusal(await house.browser().get("/api/auth/oidc/login", provider="other")) == (404, "RESOURCE_NOT_FOUND")
    assert refusal(await house.browser().get("/api/auth/oidc/login")) == (400, "VALIDATION_ERROR")


async def refused(house: House, answer: Any, words: str) -> None:
    """A login came to nothing: no session, no account, and an entry in the audit trail."""
    assert refusal(answer) == (401, "UNAUTHORIZED")
    assert words in answer.json()["error"]["message"]
    assert await house.sessions() == 0
    assert await house.accounts() == []
    entry = await models.AuditEntry.filter(action="auth.oidc").order_by("-id").first()
    assert entry is not None and (entry.outcome, entry.user_id) == ("UNAUTHORIZED", None)


async def test_the_state_of_another_browser_is_worth_nothing(house: House) -> None:
    begun = await house.browser().begin()
    victim = house.browser()
    await victim.begin()
    await refused(house, await victim.back(**begun), "not begun in this browser")


async def test_the_cookie_of_another_login_under_the_right_name_is_worth_nothing(house: House) -> None:
    browser = house.browser()
    begun = await browser.begin()
    (other,) = browser.client.cookies.jar
    victim = house.browser()
    wanted = await victim.begin()
    victim.client.cookies.clear()
    answer = await victim.client.get(
        "/api/auth/oidc/callback", params=wanted, headers={"Cookie": f"{cookie_of(wanted['state'], secure=False)}={other.value}"}
    )
    await refused(house, answer, "not begun in this browser")
    assert begun["state"] != wanted["state"]


@pytest.mark.parametrize("value", ["", "x", "gAAAAA", "é"])
async def test_a_cookie_that_is_none_of_ours_is_worth_nothing(house: House, value: str) -> None:
    begun = await house.browser().begin()
    header = f"{cookie_of(begun['state'], secure=False)}={value}".encode()
    answer = await house.browser().client.get("/api/auth/oidc/callback", params=begun, headers={b"Cookie": header})
    await refused(house, answer, "not begun in this browser")


async def test_what_else_this_installation_has_encrypted_is_no_cookie(house: House) -> None:
    browser = house.browser()
    begun = await browser.begin()
    (cookie,) = browser.client.cookies.jar
    right = json.loads(cipher().decrypt(str(cookie.value)))
    purpose = right.pop("purpose")
    for other in ({}, right, right | {"purpose": "another"}, right | {"purpose": purpose, "state": 7}):
        value = cipher().encrypt(json.dumps(other).encode()).decode()
        header = {"Cookie": f"{cookie.name}={value}"}
        answer = await house.browser().client.get("/api/auth/oidc/callback", params=begun, headers=header)
        await refused(house, answer, "not begun in this browser")


@pytest.mark.parametrize(
    "query", [{}, {"state": ""}, {"code": "x"}, {"state": "x" * 5000, "code": "x"}, {"state": "\N{GRINNING FACE}", "code": "x"}]
)
async def test_without_a_state_that_is_known_nothing_happens(house: House, query: dict[str, str]) -> None:
    await refused(house, await house.browser().back(**query), "not begun in this browser")


@pytest.mark.parametrize(("age", "good"), [(590, True), (610, False)])
async def test_a_login_may_take_ten_minutes(house: House, age: int, good: bool) -> None:
    browser = house.browser()
    begun = await browser.begin()
    (cookie,) = browser.client.cookies.jar
    old = cipher().encrypt_at_time(cipher().decrypt(str(cookie.value)), int(time.time()) - age).decode()
    answer = await house.browser().client.get("/api/auth/oidc/callback", params=begun, headers={"Cookie": f"{cookie.name}={old}"})
    if good:
        assert answer.status_code == 200
    else:
        await refused(house, answer, "too long ago")


async def test_a_state_is_good_for_one_callback_also_with_a_fresh_code(house: House) -> None:
    browser = house.browser()
    answer = await browser.get("/api/auth/oidc/login", provider="corp")
    cookies = {cookie.name: str(cookie.value) for cookie in browser.client.cookies.jar}
    header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    codes = [house.provider.authorized(answer.headers["location"]) for _ in range(2)]
    first, second = [await house.browser().client.get("/api/auth/oidc/callback", params=code, headers=header) for code in codes]
    assert first.status_code == 200
    assert refusal(second) == (401, "UNAUTHORIZED") and "used already" in second.json()["error"]["message"]
    assert await house.sessions() == 1


async def test_of_many_callbacks_at_the_same_moment_one_succeeds(house: House) -> None:
    browser = house.browser()
    begun = await browser.begin()
    answers = await asyncio.gather(*(browser.back(**begun) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [200, *[401] * 7]
    assert await house.sessions() == 1


async def test_a_code_that_was_used_is_refused_by_the_provider(house: House) -> None:
    browser = house.browser()
    used, fresh = await browser.begin(), await browser.begin()
    assert (await browser.back(**used)).status_code == 200
    answer = await browser.back(code=used["code"], state=fresh["state"])
    assert refusal(answer) == (401, "UNAUTHORIZED")
    assert "does not accept the code" in answer.json()["error"]["message"]
    assert await house.sessions() == 1


async def test_the_code_of_another_browser_is_of_no_use_without_its_verifier(house: House) -> None:
    stolen, browser = await house.browser().begin(), house.browser()
    begun = await browser.begin()
    await refused(house, await browser.back(code=stolen["code"], state=begun["state"]), "does not accept the code")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"error": "access_denied"}, "access was denied"),
        ({"error": "server_error", "error_description": "<script>"}, "ended the login with an error"),
        ({}, "sent no code"),
        ({"code": ""}, "sent no code"),
    ],
)
async def test_without_a_code_there_is_no_login(house: House, query: dict[str, str], words: str) -> None:
    browser = house.browser()
    begun = await browser.begin()
    answer = await browser.back(state=begun["state"], **query)
    await refused(house, answer, words)
    assert "script" not in answer.text


async def test_the_answer_of_another_provider_is_noticed_before_its_code_is_sent_anywhere(house: House) -> None:
    async with hostile() as other:
        house.set(house.provider.settings(), other.settings(name="evil"))
        browser = house.browser()
        begun = await browser.begin()
        await refused(house, await browser.back(**begun, iss=other.url), "from another provider")
    assert house.provider.asked["/token"] == 0


async def test_a_provider_that_names_itself_must_do_so(house: House) -> None:
    house.provider.metadata = {"authorization_response_iss_parameter_supported": True}
    browser = house.browser()
    await refused(house, await browser.back(**await browser.begin()), "from another provider")
    assert (await browser.back(**await browser.begin(), iss=house.provider.url)).status_code == 200


async def test_the_code_goes_to_the_provider_that_the_login_was_begun_with(house: House) -> None:
    async with hostile() as other:
        house.set(house.provider.settings(), other.settings(name="evil"))
        browser = house.browser()
        assert (await browser.back(**await browser.begin())).status_code == 200
    assert (house.provider.asked["/token"], other.asked["/token"]) == (1, 0)


async def test_a_provider_that_is_gone_from_the_settings_lets_nobody_in(house: House) -> None:
    browser = house.browser()
    begun = await browser.begin()
    house.set()
    await refused(house, await browser.back(**begun), "no login provider of this name any more")


async def test_while_valkey_is_away_nobody_can_tell_whether_a_login_was_used(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = house.browser()
    begun = await browser.begin()

    def away() -> Any:
        raise RedisAway

    monkeypatch.setattr(valkey, "client", away)
    assert refusal(await browser.back(**begun)) == (503, "SERVICE_UNAVAILABLE")
    assert await house.sessions() == 0


@BOTH
async def test_the_providers_are_listed_for_everybody(house: House, over: Transport) -> None:
    house.set(house.provider.settings(label="Corporate account"), house.provider.settings(name="other"))
    outcome = await ask(over, house.api.anonymous, "auth.providers")
    login = "/api/auth/oidc/login?provider="
    assert outcome.data == {
        "data": [
            {"name": "corp", "label": "Corporate account", "loginUrl": f"{login}corp"},
            {"name": "other", "label": "other", "loginUrl": f"{login}other"},
        ]
    }


async def test_the_url_of_a_login_is_below_the_public_url(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "public_url", "http://dokploy.example")
    (provider,) = (await house.api.anonymous.get("/auth/oidc/providers")).json()["data"]
    assert provider["loginUrl"] == "http://dokploy.example/api/auth/oidc/login?provider=corp"


async def test_a_head_request_uses_no_login_up(house: House) -> None:
    browser = house.browser()
    back = await browser.begin()
    answer = await browser.client.head("/api/auth/oidc/callback", params=back)
    assert (answer.status_code, answer.headers["allow"], await house.sessions()) == (405, "GET", 0)
    assert (await browser.back(**back)).status_code == 200


async def test_a_provider_that_does_not_answer_is_asked_once_for_everybody(house: House) -> None:
    async def away(request: Request) -> Response:
        await asyncio.sleep(1)
        return Response("no", 500)

    house.provider.answers["/.well-known/openid-configuration"] = away
    answers = await asyncio.gather(*[house.browser().get("/api/auth/oidc/login", provider="corp") for _ in range(20)])
    assert {answer.status_code for answer in answers} == {503}
    assert house.provider.asked["/.well-known/openid-configuration"] == 1


async def test_a_server_that_the_provider_names_must_have_a_public_address(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hostile() as inside:
        house.provider.metadata = {"jwks_uri": f"{inside.url}/keys"}
        assert (await house.login()).status_code == 503
        assert inside.asked == Counter()
        monkeypatch.setitem(settings().__dict__, "git_allowed_hosts", frozenset({urlsplit(inside.url).netloc}))
        monkeypatch.setattr(documents, "_failed", {})
        assert (await house.login()).status_code == 200
        assert inside.asked == Counter({"/keys": 1})


async def test_no_provider_can_call_itself_by_the_name_of_another(house: House) -> None:
    await house.login()
    async with hostile() as evil:
        evil.metadata = {"issuer": house.provider.url}
        evil.says(iss=house.provider.url)
        named = {"name": "evil", "issuer": "", "metadataUrl": f"{evil.url}/.well-known/openid-configuration"}
        house.set(house.provider.settings(), evil.settings(**named))
        answer = await house.browser().get("/api/auth/oidc/login", provider="evil")
        assert refusal(answer) == (503, "SERVICE_UNAVAILABLE")
    assert await house.sessions() == 1
