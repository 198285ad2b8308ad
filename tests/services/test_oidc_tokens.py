"""What a hostile OpenID provider, or somebody between, may answer: nobody is let in, and nothing hangs or breaks (DECISIONS 16)."""

import asyncio
import gzip
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from gateway.oidc import documents, id_token
from tests.services.hostile_provider import CLIENT, SECRET, Answer, Hostile, by_hmac, key, segment, signed_by
from tests.services.oidc import House, house, provider, refusal

__all__ = ["house", "provider"]

NOW = int(time.time())
FOREIGN = key(kid="foreign")


def says(**claims: Any) -> Callable[[Hostile], None]:
    """The provider says something else in the ID token."""
    return lambda provider: provider.says(**claims)


def signs(sign: Callable[[dict[str, Any]], Any]) -> Callable[[Hostile], None]:
    """The provider signs in another way."""

    def change(provider: Hostile) -> None:
        provider.sign = sign

    return change


def altered(change: Callable[[list[str]], list[str]]) -> Callable[[Hostile], None]:
    """The parts of a good token are changed."""
    return signs(lambda claims: ".".join(change(signed_by(key())(claims).split("."))))


def publishes(*keys: Any, by: Callable[[dict[str, Any]], Any]) -> Callable[[Hostile], None]:
    """The provider publishes other keys."""

    def change(provider: Hostile) -> None:
        provider.keys, provider.sign = list(keys), by

    return change


def speaks_of(**info: Any) -> Callable[[Hostile], None]:
    """The ID token says nothing of the e-mail address, and the userinfo endpoint this."""

    def change(provider: Hostile) -> None:
        provider.says(email=None)
        provider.info = info

    return change


PUBLIC: Any = key().as_dict(private=False)
PEM = key().as_pem(private=False)
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
OCT = {"kty": "oct", "k": segment(SECRET.encode()), "kid": "one", "alg": "HS256"}

HOSTILE: dict[str, Callable[[Hostile], None]] = {
    "another nonce": says(nonce="another"),
    "no nonce": says(nonce=None),
    "a nonce that is no text": says(nonce=["x"]),
    "another issuer": says(iss="https://other.example"),
    "an issuer that differs by a slash": lambda provider: provider.says(iss=provider.url + "/"),
    "no issuer": says(iss=None),
    "a list of issuers": lambda provider: provider.says(iss=[provider.url]),
    "another audience": says(aud="other"),
    "no audience": says(aud=None),
    "an empty audience": says(aud=[]),
    "audiences of which none is this client": says(aud=["other", "more"]),
    "several audiences and no authorized party": says(aud=[CLIENT, "other"]),
    "several audiences and another authorized party": says(aud=[CLIENT, "other"], azp="other"),
    "another authorized party": says(azp="other"),
    "an authorized party that is no text": says(azp=[CLIENT]),
    "expired": says(exp=NOW - 120),
    "never expires": says(exp=None),
    "expires at no number": says(exp="tomorrow"),
    "expires at no finite number": says(exp=float("nan")),
    "issued in the future": lambda provider: provider.says(iat=int(time.time()) + 600),
    "issued at no time": says(iat=None),
    "not good yet": lambda provider: provider.says(nbf=int(time.time()) + 600),
    "no subject": says(sub=None),
    "an empty subject": says(sub=""),
    "a subject that is no text": says(sub=7),
    "a subject that is too long": says(sub="x" * 256),
    "a subject that cannot be stored": says(sub="a\0b"),
    "the hash of another access token": says(at_hash=segment(b"0123456789abcdef")),
    "a hash that is no text": says(at_hash=[1]),
    "not signed": signs(lambda claims: f"{segment({'alg': 'none'})}.{segment(claims)}."),
    "not signed, and says so in other letters": signs(lambda claims: f"{segment({'alg': 'nOnE', 'kid': 'one'})}.{segment(claims)}."),
    "not signed, with a signature": altered(lambda parts: [segment({"alg": "none", "kid": "one"}), *parts[1:]]),
    "signed by nothing": altered(lambda parts: [*parts[:2], ""]),
    "a changed signature": altered(lambda parts: [*parts[:2], parts[2][:-8] + "AAAAAAAA"]),
    "changed claims": altered(lambda parts: [parts[0], segment({"sub": "owner"}), parts[2]]),
    "another algorithm in the header": altered(lambda parts: [segment({"alg": "RS512", "kid": "one"}), *parts[1:]]),
    "an algorithm of another kind of key": altered(lambda parts: [segment({"alg": "ES256", "kid": "one"}), *parts[1:]]),
    "an algorithm that nobody knows": altered(lambda parts: [segment({"alg": "XX256", "kid": "one"}), *parts[1:]]),
    "no algorithm": altered(lambda parts: [segment({"kid": "one"}), *parts[1:]]),
    "an algorithm that is no text": altered(lambda parts: [segment({"alg": ["RS256"], "kid": "one"}), *parts[1:]]),
    "a critical header that nobody knows": altered(lambda parts: [segment({"alg": "RS256", "kid": "one", "crit": ["x"]}), *parts[1:]]),
    "HS256 with the public key": signs(by_hmac(PEM)),
    "HS256 with the modulus": signs(by_hmac(PUBLIC["n"].encode())),
    "HS256 with the client's secret": signs(by_hmac(SECRET.encode())),
    "HS256 with a key that is published": publishes(PUBLIC, OCT, by=by_hmac(SECRET.encode())),
    "a key that is not known": signs(signed_by(FOREIGN)),
    "the key of another under a known name": signs(signed_by(OTHER)),
    "a key that the token brings along": signs(signed_by(OTHER, jwk=OTHER.as_dict(private=False))),
    "an encrypted token": signs(lambda claims: "a.b.c.d.e"),
    "no token": signs(lambda claims: None),
    "a token that is no text": signs(lambda claims: {"sub": "alice"}),
    "an empty token": signs(lambda claims: ""),
    "two dots": signs(lambda claims: ".."),
    "claims that are no object": altered(lambda parts: [parts[0], segment(b"[]"), parts[2]]),
    "a huge token": signs(lambda claims: "x" * 500_000),
    "a token that is not ASCII": signs(lambda claims: "é.é.é"),
    "userinfo of somebody else": speaks_of(sub="mallory", email="alice@corp.example", email_verified=True),
    "userinfo of nobody": speaks_of(sub=None, email="alice@corp.example", email_verified=True),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
async def test_a_token_that_is_not_good_lets_nobody_in(house: House, change: Callable[[Hostile], None]) -> None:
    change(house.provider)
    answer = await house.login()
    assert refusal(answer) == (401, "UNAUTHORIZED"), answer.text
    assert "provider" in answer.json()["error"]["message"]
    assert (await house.sessions(), await house.accounts()) == (0, [])


NAMELESS = {name: value for name, value in PUBLIC.items() if name != "kid"}
UNREADABLE = (OCT | {"kid": "two"}, {"kty": "AKP", "kid": "one"}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-0"}, 7)

GOOD: dict[str, Callable[[Hostile], None]] = {
    "clocks differ": lambda provider: provider.says(exp=int(time.time()) - 30, iat=int(time.time()) + 30),
    "one audience in a list": says(aud=[CLIENT]),
    "several audiences for this party": says(aud=["other", CLIENT], azp=CLIENT),
    "no hash of the access token": says(at_hash=None),
    "PS256": signs(signed_by(key(), "PS256")),
    "RS512": publishes(PUBLIC, by=signed_by(key(), "RS512")),
    "ES256": publishes(key("EC").as_dict(private=False), by=signed_by(key("EC"), "ES256")),
    "one key without a name": publishes(NAMELESS, by=signed_by(key(), kid=None)),
    "a key that has a name of its own, and a token without": publishes(PUBLIC, by=signed_by(key(), kid=None)),
    "keys of other kinds beside it": publishes(
        OCT | {"kid": "two"}, {"kty": "AKP", "kid": "one"}, {"kty": "RSA"}, PUBLIC, by=signed_by(key())
    ),
    "a header that nobody knows": signs(signed_by(key(), mood="good")),
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
async def test_a_token_that_is_unusual_but_good_is_taken(house: House, change: Callable[[Hostile], None]) -> None:
    change(house.provider)
    if "at_hash" not in house.provider.wrong:
        house.provider.says(at_hash=None)
    assert (await house.login()).status_code == 200


async def test_eddsa_is_taken_although_its_name_is_an_old_one(house: House) -> None:
    ed = key("OKP")
    house.provider.keys = [ed.as_dict(private=False)]

    def sign(claims: dict[str, Any]) -> str:
        signed = f"{segment({'alg': 'EdDSA', 'kid': 'one'})}.{segment(claims)}"
        private: Any = ed.private_key
        return f"{signed}.{segment(private.sign(signed.encode()))}"

    house.provider.sign = sign
    house.provider.says(at_hash=None)
    assert (await house.login()).status_code == 200


async def test_keys_that_change_are_asked_for_again_but_not_more_than_once_a_minute(house: House) -> None:
    assert (await house.login()).status_code == 200
    house.provider.keys, house.provider.sign = [FOREIGN.as_dict(private=False)], signed_by(FOREIGN)
    house.patch.setattr(documents, "AGAIN", 0.0)
    assert (await house.login()).status_code == 200
    assert house.provider.asked["/keys"] == 2
    house.patch.setattr(documents, "AGAIN", 60.0)
    house.provider.sign = signed_by(key(kid="third"))
    for _ in range(3):
        assert (await house.login()).status_code == 401
    assert house.provider.asked["/keys"] == 2


KEYS = ({}, {"keys": []}, {"keys": "x"}, {"keys": {}}, {"keys": [OCT]}, {"keys": [{"kty": "RSA", "kid": "one"}, {"kty": 7}, "x"]})


@pytest.mark.parametrize("keys", KEYS, ids=str)
async def test_without_a_key_that_can_be_read_the_provider_is_away_but_not_for_long(house: House, keys: Any) -> None:
    house.provider.answers["/keys"] = always(lambda: JSONResponse(keys))
    assert refusal(await house.login()) == (503, "SERVICE_UNAVAILABLE")
    house.provider.answers.clear()
    assert (await house.login()).status_code == 200


async def test_what_a_provider_publishes_is_kept_for_an_hour(house: House) -> None:
    for _ in range(3):
        assert (await house.login()).status_code == 200
    assert (house.provider.asked["/keys"], house.provider.asked["/.well-known/openid-configuration"]) == (1, 1)
    house.patch.setattr(documents, "KEPT", 0.0)
    assert (await house.login()).status_code == 200
    assert house.provider.asked["/keys"] == 2


async def test_the_userinfo_endpoint_says_what_the_id_token_does_not(house: House) -> None:
    house.provider.says(email=None, email_verified=None)
    house.provider.info = {"email": "alice@corp.example", "email_verified": True}
    assert (await house.login()).json()["user"]["email"] == "alice@corp.example"


async def test_an_address_and_that_it_is_verified_are_taken_from_one_place(house: House) -> None:
    house.provider.says(email="owner@example.com", email_verified=None)
    house.provider.info = {"email": "alice@corp.example", "email_verified": True}
    assert (await house.login()).json()["user"]["email"] == "alice@corp.example"
    house.provider.says(sub="other")
    house.provider.info = {"sub": "other", "email_verified": True}
    assert refusal(await house.login()) == (403, "FORBIDDEN")


async def hangs(request: Request) -> Response:
    await asyncio.sleep(3)
    return JSONResponse({})


async def trickles(request: Request) -> Response:
    async def drops() -> Any:
        for _ in range(60):
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(drops())


def always(response: Callable[[], Response]) -> Answer:
    async def answer(request: Request) -> Response:
        return response()

    return answer


BROKEN: dict[str, Answer] = {
    "an error": always(lambda: Response("no", 500)),
    "a page": always(lambda: HTMLResponse("<html>Log in to the hotel's network</html>")),
    "nothing": always(lambda: Response("")),
    "an array": always(lambda: JSONResponse([1])),
    "deeply nested": always(lambda: Response("[" * 100_000, media_type="application/json")),
    "no UTF-8": always(lambda: Response(b'{"a": "\xff"}', media_type="application/json")),
    "hangs": hangs,
    "trickles": trickles,
}
PLACES = ("/.well-known/openid-configuration", "/keys", "/token", "/userinfo")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_a_provider_that_does_not_answer_as_it_should_is_away(house: House, place: str, answer: Answer) -> None:
    house.patch.setattr(documents, "SECONDS", 0.5)
    house.provider.says(email=None)
    house.provider.answers[place] = answer
    browser = house.browser()
    begun = await browser.get("/api/auth/oidc/login", provider="corp")
    if begun.status_code == 302:
        assert place != PLACES[0]
        begun = await browser.back(**house.provider.authorized(begun.headers["location"]))
    assert refusal(begun) == (503, "SERVICE_UNAVAILABLE"), begun.text
    assert (await house.sessions(), await house.accounts()) == (0, [])


def padded(size: int) -> Callable[[bytes], Response]:
    """The right answer, and so many blanks after it, in pieces."""

    def answer(right: bytes) -> Response:
        return StreamingResponse(iter([right, *[b" " * 1000] * (size // 1000)]), media_type="application/json")

    return answer


def packed(right: bytes) -> Response:
    """The right answer in a few bytes that become many."""
    return Response(gzip.compress(right + b" " * 5_000_000), headers={"Content-Encoding": "gzip"}, media_type="application/json")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("wrap", "good"), [(padded(1_000_000), True), (padded(5_000_000), False), (packed, False)], ids=["1 MB", "5 MB", "packed"]
)
async def test_an_answer_is_read_up_to_1_mib(house: House, place: str, wrap: Callable[[bytes], Response], good: bool) -> None:
    house.provider.says(email=None)
    house.provider.info = {"email": "alice@corp.example", "email_verified": True}
    house.provider.wrapped[place] = wrap
    browser = house.browser()
    answer = await browser.get("/api/auth/oidc/login", provider="corp")
    if answer.status_code == 302:
        answer = await browser.back(**house.provider.authorized(answer.headers["location"]))
    assert answer.status_code == (200 if good else 503)


@pytest.mark.parametrize("place", PLACES)
async def test_a_provider_leads_nobody_elsewhere(house: House, place: str) -> None:
    house.provider.says(email=None)
    house.provider.answers[place] = always(lambda: RedirectResponse(f"{house.provider.url}/elsewhere", 307))
    browser = house.browser()
    answer = await browser.get("/api/auth/oidc/login", provider="corp")
    if answer.status_code == 302:
        answer = await browser.back(**house.provider.authorized(answer.headers["location"]))
    assert refusal(answer) == (503, "SERVICE_UNAVAILABLE")
    assert house.provider.asked["/elsewhere"] == 0


async def test_a_provider_where_nobody_listens_is_away(house: House) -> None:
    house.configure(issuer="http://127.0.0.1:9")
    assert refusal(await house.browser().get("/api/auth/oidc/login", provider="corp")) == (503, "SERVICE_UNAVAILABLE")


async def test_a_provider_that_was_away_is_asked_again(house: House) -> None:
    house.provider.answers[PLACES[0]] = always(lambda: Response("no", 500))
    assert refusal(await house.browser().get("/api/auth/oidc/login", provider="corp")) == (503, "SERVICE_UNAVAILABLE")
    house.provider.answers.clear()
    assert (await house.login()).status_code == 200


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"issuer": ["x"]},
        {"token_endpoint": None},
        {"token_endpoint": "ftp://other.example/token"},
        {"token_endpoint": "https://user:password@other.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "//other.example"},
        {"authorization_endpoint": "https://[other"},
        {"authorization_endpoint": "https://other.example/\r\nSet-Cookie: x=y"},
        {"jwks_uri": 7},
        {"userinfo_endpoint": "file:///etc/passwd"},
    ],
    ids=str,
)
async def test_metadata_that_may_not_be_are_not_used(house: House, metadata: dict[str, Any]) -> None:
    house.provider.metadata = metadata
    assert refusal(await house.browser().get("/api/auth/oidc/login", provider="corp")) == (503, "SERVICE_UNAVAILABLE")
    house.provider.metadata = {}
    assert (await house.login()).status_code == 200


async def test_plain_http_is_for_providers_that_are_allowed_it(house: House) -> None:
    with pytest.raises(ValueError, match="issuer must be a URL like https"):
        house.configure(insecure=False)


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "", 7])
async def test_an_error_of_the_token_endpoint_is_told_without_its_words(house: House, error: Any) -> None:
    house.provider.answers["/token"] = always(lambda: JSONResponse({"error": error, "error_description": "inner workings"}, 400))
    answer = await house.login()
    assert refusal(answer) == (401, "UNAUTHORIZED")
    assert "inner workings" not in answer.text and await house.sessions() == 0


@pytest.mark.parametrize(
    "odd", [{"expires_in": "soon"}, {"expires_in": [1]}, {"expires_at": {}}, {"token_type": 7}, {"access_token": 7}, {"access_token": "é"}]
)
async def test_odd_answers_of_the_token_endpoint_break_nothing(house: House, odd: dict[str, Any]) -> None:
    house.provider.answers["/token"] = always(lambda: JSONResponse({"access_token": "x", "id_token": "x"} | odd))
    assert (await house.login()).status_code in (401, 503)
    assert await house.sessions() == 0


def test_a_key_that_takes_long_to_make_sense_of_is_passed_over_at_once() -> None:
    modulus = segment(b"\xff" * 4096)
    heavy = {"kty": "RSA", "kid": "heavy", "n": modulus, "e": "AQAB", "d": modulus}
    small = {"kty": "RSA", "kid": "small", "n": segment(b"\xff" * 128), "e": "AQAB"}
    private = key().as_dict(private=True)
    began = time.perf_counter()
    found = id_token._keys({"keys": [heavy, small, OCT, private]})
    assert time.perf_counter() - began < 1
    assert [each.is_private for each in found.keys] == [False]
    assert len(id_token._keys({"keys": [PUBLIC] * 500}).keys) == id_token.MOST_KEYS
