"""The routes that a browser is led along to log in by a provider: no operations of the schema, since they answer with redirects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.oidc import CALLBACK, LOGIN
from gateway.openapi.errors import shared
from gateway.openapi.headers import COUNTED, referred
from schema.auth import auth
from schema.surface import PREFIX

_URL: Final = {"type": "string", "format": "uri"}
_TEXT: Final = {"type": "string"}


@dataclass(frozen=True)
class BrowserRoute:
    """A GET that is answered with a redirect."""

    verb: str
    path: str
    summary: str
    description: str
    parameters: Mapping[str, tuple[str, Mapping[str, Any], bool]]
    """What each means, its schema, and whether it is required."""
    status: int
    redirect: str
    """Where the redirect leads."""
    fails: tuple[int, ...]
    """The statuses of its errors."""

    def described(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """The operation as OpenAPI has it; `more` are further answers, by status."""
        moved = {"description": self.redirect, "headers": referred((*COUNTED, "Location"))}
        return {
            "operationId": f"{auth.plural}.{self.verb}",
            "tags": [auth.plural],
            "summary": self.summary,
            "description": self.description,
            "parameters": [
                {"name": name, "in": "query", "required": required, "description": text, "schema": dict(schema)}
                for name, (text, schema, required) in self.parameters.items()
            ],
            "responses": {**more, str(self.status): moved, **shared(*self.fails)},
            "security": [],
        }


_LOGIN: Final = BrowserRoute(
    "oidc_login",
    LOGIN,
    "Begin a login by an OpenID provider",
    "For a browser. What it needs to come back is in a cookie, which is good for ten minutes and for one login.",
    {
        "provider": ("The `name` of a provider.", {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"}, True),
        "redirect": ("The page that the login ends at, one of those that the administrator allows; none answers with JSON.", _URL, False),
    },
    302,
    "On to the provider.",
    (400, 401, 404, 429, 500, 503),
)
_CALLBACK: Final = BrowserRoute(
    "oidc_callback",
    CALLBACK,
    "Take a browser back from an OpenID provider",
    "Answers as a login by password does, or leads to the page that the login was begun for. Its fragment then holds `token` and "
    "`expiresIn`, or the code of an `error`.",
    {
        "state": ("What the provider was given for this login.", _TEXT, True),
        "code": ("What the provider gives for it.", _TEXT, False),
        "error": ("Why the provider gives nothing.", _TEXT, False),
        "iss": ("Who the provider is (RFC 9207).", _TEXT, False),
    },
    303,
    "On to the page that the login was begun for.",
    (401, 403, 429, 500, 503),
)


def paths(login: Mapping[str, Any]) -> dict[str, Any]:
    """The routes by path; `login` is the answer to a login by password."""
    return {PREFIX + route.path: {"get": route.described(more)} for route, more in ((_LOGIN, {}), (_CALLBACK, {"200": login}))}
