"""Logging in by an OpenID provider: the authorization code flow with PKCE, for a browser (SECURITY, "OIDC login tricks").

A browser asks for `login` and is sent to the provider; what it has to bring back is sealed in a cookie. It comes back to `callback` with
a code, which is exchanged for an ID token; `schema.sign_in` then decides whose account that is. The answer is the one of a login by
password, or, where the frontend has named a page of its own that is on the list, a redirect there with the token in the fragment, which
browsers send to nobody.
"""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import fact
from gateway.oidc.attempt import LIFETIME, Attempt, cookie_of, remembered, spend
from gateway.oidc.exchange import authorization_url, vouched
from gateway.peers import is_secure
from gateway.rest import PREFIXES, Query
from models.database import AWAY
from models.oidc import Provider
from models.settings import settings
from schema import auth
from schema.auth import Login
from schema.context import Context
from schema.errors import ApiError, Forbidden, NotFound, Unauthorized
from schema.inputs import refuse
from schema.plan.view import View
from schema.sign_in import entered, refused
from schema.surface import PREFIX, Surface

LOGIN: Final = f"{auth.auth.path}{auth.OIDC_LOGIN}"
CALLBACK: Final = f"{auth.auth.path}/oidc/callback"
COOKIE_PATH: Final = f"{PREFIX}{auth.auth.path}/oidc"
_PRIVATE: Final = [(b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")]
_QUERY: Final = Query({"provider": str, "redirect": str}, ("provider",), ())
_encode = msgspec.json.Encoder().encode


def _provider(name: str) -> Provider | None:
    return next((each for each in settings().oidc if each.name == name), None)


def _callback_url(request: Request) -> str:
    """Where the provider sends a browser back to."""
    scheme = "https" if is_secure(request.scope) else "http"
    return f"{settings().public_url or f'{scheme}://{request.url.netloc}'}{PREFIX}{CALLBACK}"


async def _login(request: Request) -> Response:
    """Send a browser to the provider."""
    request.scope["answer_headers"] += _PRIVATE
    given = _QUERY.values(request)
    redirect = given.get("redirect")
    if redirect is not None and redirect not in settings().oidc_redirects:
        refuse("redirect", "enum", "must be one of the pages that are allowed", redirect)
    provider = _provider(given["provider"])
    if provider is None:
        raise NotFound("There is no login provider of this name.")
    attempt = Attempt.begun(provider.name, _callback_url(request), redirect)
    response = RedirectResponse(await authorization_url(provider, attempt), 302)
    path = cookie_path(secure=attempt.secure)
    response.set_cookie(attempt.cookie, attempt.sealed(), LIFETIME, path=path, secure=attempt.secure, httponly=True, samesite="lax")
    return response


async def _logged_in(request: Request, attempt: Attempt) -> Login:
    """Whoever comes back from the provider, logged in. Raises `ApiError`."""
    context: Context = request.scope["context"]
    provider = _provider(attempt.provider)
    try:
        if provider is None:
            raise Unauthorized("There is no login provider of this name any more.")
        await spend(attempt)
        error, issuer = request.query_params.get("error"), request.query_params.get("iss")
        person = await vouched(provider, attempt, request.query_params.get("code"), error, issuer)
        return await entered(context, provider, person)
    except (Unauthorized, Forbidden) as error:
        await refused(context, provider, error)
        raise


def cookie_path(*, secure: bool) -> str:
    """Where a browser sends the cookie of a login; the name that it has by https wants it everywhere."""
    return "/" if secure else COOKIE_PATH


def _forget(response: Response, state: str, *, secure: bool) -> None:
    """Have the browser delete the cookie of a login."""
    name, path = cookie_of(state, secure=secure), cookie_path(secure=secure)
    response.delete_cookie(name, path=path, secure=secure, httponly=True, samesite="lax")


def _returning(view: View) -> Callable[[Request], Awaitable[Response]]:
    async def callback(request: Request) -> Response:
        """Take a browser back from the provider."""
        context: Context = request.scope["context"]
        state = request.query_params.get("state", "")
        secure = _callback_url(request).startswith("https:")
        forgotten = Response()
        _forget(forgotten, state, secure=secure)
        request.scope["answer_headers"] += [*_PRIVATE, *(each for each in forgotten.raw_headers if each[0] == b"set-cookie")]
        try:
            attempt = remembered(request.cookies, state, secure=secure)
        except Unauthorized as error:
            await refused(context, None, error)
            raise
        try:
            login = await _logged_in(request, attempt)
        except (ApiError, *AWAY) as error:
            if attempt.redirect is None:
                raise
            return RedirectResponse(f"{attempt.redirect}#{urlencode({'error': fact(error, context.request_id).code})}", 303)
        if attempt.redirect is not None:
            fragment = urlencode({"token": login.token, "expiresIn": login.expires_in})
            return RedirectResponse(f"{attempt.redirect}#{fragment}", 303)
        return Response(_encode(await view.show(login, context)), media_type="application/json")

    return callback


def routes(found: Surface) -> list[Route]:
    """The two routes, also under `/api/v1`; a browser that was sent to a provider comes back to the one under `/api`."""
    (view,) = (bound.view for bound in found.operations if bound.operation is auth.login and bound.view is not None)
    endpoints = ((LOGIN, _login), (CALLBACK, _returning(view)))
    made = [Route(prefix + path, endpoint, methods=["GET"]) for prefix in PREFIXES for path, endpoint in endpoints]
    for route in made:
        route.methods = {"GET"}  # HEAD, which Starlette adds, would use a login up and show it to nobody
    return made
