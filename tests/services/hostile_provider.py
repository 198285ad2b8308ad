"""An OpenID provider that does everything right, until it is told to do something wrong."""

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT = "dokploy"
SECRET = "a secret of the client: 100% + more"
ALICE = {"sub": "alice-1", "email": "Alice@Corp.example", "email_verified": True, "preferred_username": "alice"}

Answer = Callable[[Request], Awaitable[Response]]
Signer = Callable[[dict[str, Any]], Any]


@functools.cache
def key(kind: str = "RSA", kid: str = "one") -> Key:
    """A key, made once for all tests."""
    parameters: Any = {"kid": kid}
    match kind:
        case "RSA":
            return RSAKey.generate_key(2048, parameters)
        case "EC":
            return ECKey.generate_key("P-256", parameters)
    return OKPKey.generate_key("Ed25519", parameters)


def segment(value: bytes | dict[str, Any]) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hmac(secret: bytes) -> Signer:
    """Signs with HS256, which joserfc would refuse to do with such keys."""

    def sign(claims: dict[str, Any]) -> str:
        signed = f"{segment({'alg': 'HS256', 'kid': 'one'})}.{segment(claims)}"
        return f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"

    return sign


def signed_by(signer: Key, alg: str = "RS256", **header: Any) -> Signer:
    """Signs with a key, and with a header of one's own, of which None leaves something out."""
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    named = {name: value for name, value in {"alg": alg, "kid": signer.kid, **header}.items() if value is not None}
    return lambda claims: jwt.encode(named, claims, signer, registry=registry)


def half_hash(text: str) -> str:
    return segment(hashlib.sha256(text.encode()).digest()[:16])


@dataclass
class Hostile:
    """What the provider says, to be changed by a test."""

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [key().as_dict(private=False)])
    sign: Signer = field(default_factory=lambda: signed_by(key()))
    person: dict[str, Any] = field(default_factory=lambda: dict(ALICE))
    """What it says of whoever logs in, in the ID token."""
    info: dict[str, Any] = field(default_factory=dict)
    """What it says of them at the userinfo endpoint."""
    wrong: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that replace the right ones; None leaves one out."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Metadata that replace the right ones; None leaves some out."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """What is answered at a path instead."""
    wrapped: dict[str, Callable[[bytes], Response]] = field(default_factory=dict)
    """What is made of the right answer at a path."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each path was asked for."""
    clients: list[str] = field(default_factory=list)
    """How the client has said who it is at the token endpoint."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def renew(self) -> None:
        """Do everything right again."""
        vars(self).update(vars(Hostile(self.url)))

    def says(self, **claims: Any) -> None:
        """Say something else in the ID token."""
        self.wrong |= claims

    def authorized(self, location: str) -> dict[str, str]:
        """What a browser that was sent here brings back, once its user has logged in."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query, strict_parsing=True).items()}
        assert location.startswith(f"{self.url}/authorize?")
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = token_urlsafe(8)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def _document(self) -> dict[str, Any]:
        endpoints = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        found = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        found |= {f"{name}_endpoint": f"{self.url}/{path}" for name, path in endpoints.items()}
        return {name: value for name, value in (found | self.metadata).items() if value is not None}

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self._codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "").encode()
        if asked is None or segment(hashlib.sha256(verifier).digest()) != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        assert form["redirect_uri"] == asked["redirect_uri"] and form["grant_type"] == "authorization_code"
        self.clients.append(request.headers.get("authorization") or form.get("client_secret", "nothing"))
        now, access_token = int(time.time()), "an access token"
        right = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], "at_hash": half_hash(access_token)}
        claims = {name: value for name, value in (right | self.person | self.wrong).items() if value is not None}
        return JSONResponse({"access_token": access_token, "token_type": "Bearer", "expires_in": 300, "id_token": self.sign(claims)})

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.asked[path] += 1
        answer = await self.answers.get(path, self._right)(request)
        return self.wrapped[path](bytes(answer.body)) if path in self.wrapped else answer

    async def _right(self, request: Request) -> Response:
        match path := request.url.path:
            case "/.well-known/openid-configuration":
                return JSONResponse(self._document())
            case "/keys":
                return JSONResponse({"keys": self.keys})
            case "/token":
                return await self._token(request)
            case "/userinfo":
                assert request.headers["authorization"] == "Bearer an access token"
                return JSONResponse({"sub": self.person["sub"]} | self.info)
        raise AssertionError(path)

    def settings(self, **more: Any) -> dict[str, Any]:
        """The provider as it stands in DOKPLOY_OIDC."""
        return {"name": "corp", "issuer": self.url, "clientId": CLIENT, "clientSecret": SECRET, "insecure": True} | more


@asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    """A provider behind a real server."""
    provider = Hostile()
    app = Starlette(routes=[Route("/{path:path}", provider._answer, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    provider.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.should_exit = True
        await task
