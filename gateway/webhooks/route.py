"""`POST /api/webhooks/<provider>`: verified on the raw bytes, then read, then handed to each application that it is meant for."""

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import models
import workers
from gateway.admission import count
from gateway.auth import nobody
from gateway.body import capped, media_types
from gateway.ratelimit import limiter, whose
from gateway.webhooks import PROVIDERS
from gateway.webhooks.contract import Provider
from gateway.webhooks.patience import Refused
from models import WebhookReason
from models.repositories import key_of
from schema.errors import InvalidInput, RateLimitExceeded, ServiceUnavailable, Unauthorized
from schema.receiving import NAMELESS, Delivery, Target, known, known_anywhere, received

log = structlog.get_logger()

LARGEST: Final = 5 * 1024 * 1024
"""Bytes. Senders cut what they list of a push long before."""
PREFIX: Final = "/webhooks/"
_FORM: Final = "application/x-www-form-urlencoded"
_NAMES: Final = rb"(?:clone_url|git_http_url|html_url|web_url|href|ssh_url|git_ssh_url)"
_URL: Final = re.compile(rb'"' + _NAMES + rb'"\s{0,8}:\s{0,8}"([^"\\]{1,600})"')
_BLANK: Final = rb"(?:%20|\+){0,8}"
_ESCAPED: Final = rb"([^%]{1,80}(?:%[0-9A-Fa-f]{2}[^%]{0,80}){0,12}?)"
_URL_OF_FORM: Final = re.compile(rb"%22" + _NAMES + rb"%22" + _BLANK + rb"%3A" + _BLANK + rb"%22" + _ESCAPED + rb"%22")
MOST_NAMED: Final = 500
"""URLs of a body that are looked at to find out which secrets to try first."""


class Unverified(Unauthorized):
    """No secret of an application fits this webhook."""


refused = Refused()


def _named(body: bytes, kind: str) -> set[str]:
    """The repositories whose secrets to try first. Nothing is believed of them: they are only where to begin."""
    pattern = _URL_OF_FORM if kind == _FORM else _URL
    texts = [match[1] for match in islice(pattern.finditer(body), MOST_NAMED)]
    urls = {(unquote_to_bytes(text) if kind == _FORM else text).decode(errors="replace") for text in set(texts)}
    return {key for url in urls if (key := key_of(url)) and "\0" not in key}


async def _verified(provider: Provider, request: Request, body: bytes, named: set[str]) -> list[Target]:
    """The applications whose secret fits. Raises `Unverified`, `RateLimitExceeded` or `ServiceUnavailable`."""

    def verify(secret: bytes) -> bool:
        return provider.verifies(request.headers, body, secret)

    found = await known(verify, named, len(body))
    if found:
        return found
    anybody = nobody(request.scope)
    who = whose(anybody)
    refused.check(who)
    found = await known_anywhere(verify, len(body))
    if found:
        return found
    try:
        await count(request.scope, anybody)
    except RateLimitExceeded as error:
        refused.note(who, error)
        raise
    raise Unverified


def _document(body: bytes, kind: str) -> bytes:
    """The JSON of a body; GitHub and Gitea can be asked to send it as a form. Raises `InvalidInput`."""
    if kind != _FORM:
        return body
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=10)["payload"][0].encode()
    except (KeyError, ValueError) as error:
        raise InvalidInput("The form has no field 'payload'.") from error


async def _received(targets: Sequence[Target], delivery: Delivery) -> list[models.WebhookDelivery]:
    """What the delivery is to each of some applications, as far as they have not had too many. Raises `RateLimitExceeded`."""
    found, too_many = list[models.WebhookDelivery](), list[RateLimitExceeded]()
    for target in targets:
        try:
            found.append(await received(target, delivery, partial(limiter.take_webhook, target.id, target.tier)))
        except RateLimitExceeded as error:
            too_many.append(error)
        except workers.Busy as error:
            raise ServiceUnavailable(str(error)) from error
    if too_many and not found:
        raise too_many[0]
    return found


def _answer(found: Sequence[models.WebhookDelivery], reason: WebhookReason) -> Response:
    queued = [each for each in found if each.deployment_id is not None]
    content: dict[str, object] = {"status": "ignored", "reason": (found[0].reason if found else None) or reason}
    if queued:
        deployments = [{"applicationId": each.application_id, "deploymentId": each.deployment_id} for each in queued]
        content = {"deploymentId": queued[0].deployment_id, "status": "queued", "deployments": deployments}
    return Response(msgspec.json.encode(content), 202, media_type="application/json")


async def _answered(provider: Provider, request: Request) -> Response:
    body = await capped(request, LARGEST)
    kind = next(iter(media_types(request)), "")
    verified = await _verified(provider, request, body, _named(body, kind))
    event = provider.event_of(request.headers)
    try:
        notice = provider.parse(event, _document(body, kind))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"This is no event of {provider.title}: {error}") from error
    name = provider.delivery_of(request.headers) or NAMELESS + hashlib.sha256(body).hexdigest()
    targets = [each for each in verified if each.repository in notice.repositories]
    found = await _received(targets, Delivery(provider.name, name, event, notice))
    log.info("webhooks.received", provider=provider.name, webhook_event=event, delivery=name, applications=len(found))
    return _answer(found, notice.reason or WebhookReason.no_application)


def _route(prefix: str, provider: Provider) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _answered(provider, request)

    return Route(f"{prefix}{PREFIX}{provider.name.value}", endpoint, methods=["POST"])


def routes(prefixes: Sequence[str]) -> list[Route]:
    """One for each provider."""
    return [_route(prefix, provider) for prefix in prefixes for provider in PROVIDERS]
