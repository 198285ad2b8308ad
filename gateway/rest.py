"""REST: one route per path, made of the operations declared for it."""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType, NoneType, UnionType
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
import structlog
from pydantic import BaseModel
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.body import content, json_body
from gateway.downloads import downloaded
from gateway.errors import fact
from gateway.event_stream import EventStream
from gateway.graphql_answers import EVENTS
from gateway.idempotency import HEADER, once
from gateway.items import encoded
from gateway.negotiation import accepted, ranges
from gateway.peers import socket_origin
from models.database import AWAY
from schema.context import Context
from schema.errors import ApiError, InvalidInput, Problem, ValidationFailed
from schema.inputs import Input, decoded, parameter, problem
from schema.names import api_name
from schema.operation import Deprecation, Operation
from schema.page import DEFAULT_SIZE, Direction, Limit, Search, SortOrder, rest_window
from schema.perform import Ask, Asked, admit, perform
from schema.scalars import Id, Instant
from schema.surface import Bound, Surface

log = structlog.get_logger()

PREFIXES = ("/api", "/api/v1")
LAST_EVENT_ID = "Last-Event-ID"
FOLLOW = "follow"
FOLLOWED: Mapping[str, Any] = MappingProxyType({FOLLOW: bool})
"""What a query takes that a stream goes on from."""
_encode = msgspec.json.Encoder().encode
_PAGING: dict[str, Any] = {"limit": Limit, "cursor": str, "order": SortOrder}
_STRICT: dict[type, Any] = {datetime: Instant, UUID: Id}
"""What reads a value where its type alone would take too much."""


def query_types(operation: Operation[Any]) -> dict[str, Any]:
    """The query parameters of an operation, by the names that clients use, with their types."""
    found = {api_name(each.name): _given(each.annotation) for each in operation.signature.parameters}
    if operation.listing is not None:
        found |= _PAGING | {"sort": str}
        found |= {api_name(name): _STRICT.get(each.type, each.type) for name, each in operation.listing.filters.items()}
        found |= {"search": Search} if operation.listing.search else {}
    return found


def _given(annotation: Any) -> Any:
    """The type of a parameter where it is given: a URL has no null."""
    among = [each for each in get_args(annotation) if each is not NoneType] if get_origin(annotation) is UnionType else [annotation]
    return _STRICT.get(among[0], among[0]) if len(among) == 1 else annotation


def _many(annotation: Any) -> bool:
    """Whether a parameter is a list."""
    return get_origin(annotation) is list


def _parameter(annotation: Any, name: str, given: list[str]) -> Any:
    """The value of a parameter; one that is a list is named once for each item. Raises `ValidationFailed`."""
    if _many(annotation):
        return [parameter(get_args(annotation)[0], name, each) for each in given]
    return parameter(annotation, name, given[0])


@dataclass(frozen=True)
class Query:
    """The query parameters of an operation, read off it once, when the routes are made."""

    types: dict[str, Any]
    required: tuple[str, ...]
    sorts: tuple[str, ...]

    @classmethod
    def of(cls, operation: Operation[Any], more: Mapping[str, Any] = MappingProxyType({})) -> "Query":
        """Read them off an operation; there may be more that are the transport's."""
        required = tuple(api_name(each.name) for each in operation.signature.parameters if each.required)
        sorts = tuple(map(api_name, operation.listing.sort)) if operation.listing else ()
        return cls({**query_types(operation), **more}, required, sorts)

    def values(self, request: HTTPConnection) -> dict[str, Any]:
        """What a request gives for them. Raises `ValidationFailed`."""
        if not request.scope["query_string"] and not self.required:
            return {}
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
            found.setdefault(name, []).append(value)
        values: dict[str, Any] = {}
        wrong: list[Problem] = []
        for name, given in found.items():
            type_ = self.types.get(name)
            if type_ is None:
                wrong.append(problem([name], "unknown", "is not a known parameter"))
            elif len(given) > 1 and not _many(type_):
                wrong.append(problem([name], "unique", "may be given once"))
            else:
                try:
                    values[name] = _parameter(type_, name, given)
                except ValidationFailed as error:
                    wrong += error.problems
        wrong += [problem([name], "required", "is required") for name in self.required if name not in found]
        if self.sorts and values.get("sort", self.sorts[0]) not in self.sorts:
            wrong.append(problem(["sort"], "enum", f"must be one of {', '.join(self.sorts)}", values["sort"]))
        if wrong:
            raise ValidationFailed(wrong)
        return values


def asked(operation: Operation[Any], query: Query, request: HTTPConnection, body: bytes = b"") -> Asked:
    """What a request says beside its ids; where nothing is taken, a body says nothing. Raises `ValidationFailed`, `InvalidInput`."""
    signature, wrong = operation.signature, list[Problem]()
    values: dict[str, Any] = {}
    input: BaseModel | None = None
    try:
        values = query.values(request)
    except ValidationFailed as error:
        wrong += error.problems
    try:
        input = decoded(signature.input or Input, body)
    except ValidationFailed as error:
        wrong += error.problems
    if operation.uploads and HEADER in request.headers:
        wrong.append(problem([HEADER], "unknown", "is not taken with a file"))
    if wrong:
        raise ValidationFailed(wrong)
    given = {each.name: values[api_name(each.name)] for each in signature.parameters if api_name(each.name) in values}
    uploaded = content(request) if operation.uploads and isinstance(request, Request) else None
    return Asked(input if signature.input else None, given, uploaded)


def _listed(bound: Bound, given: dict[str, Any]) -> dict[str, Any]:
    """The values of the variables of a list's canned document. Raises `ValidationFailed`."""
    window = rest_window(given.pop("limit", DEFAULT_SIZE), given.pop("cursor", None))
    size, cursor = ("first", "after") if window.direction is Direction.forward else ("last", "before")
    sort = {"sort": bound.sorts[given["sort"]]} if "sort" in given else {}
    return given | sort | {size: window.size, cursor: window.cursor}


def _resumed(operation: Operation[Any], request: Request, said: Asked) -> Asked:
    """A stream that goes on after the event which a browser names, whatever the URL says. Raises `ValidationFailed`."""
    given = request.headers.get(LAST_EVENT_ID)
    if operation.resumes is None or not given:
        return said
    after = parameter(operation.resumes.annotation, LAST_EVENT_ID, given)
    return Asked(said.input, {**said.arguments, operation.resumes.name: after})


async def _events(bound: Bound, context: Context, rows: tuple[Any, ...], said: Asked) -> AsyncGenerator[bytes]:
    """The server-sent events of a stream, up to its end or to what ends it."""
    operation = bound.operation
    if operation.handler is None:
        raise TypeError(f"{operation.id} is not a stream")
    try:
        async for item in operation.handler(context, *rows, **said.arguments):
            id = b"id: %d\n" % item.seq if operation.resumes else b""
            yield id + b"data: " + await encoded(bound, item, context) + b"\n\n"
    except (ApiError, *AWAY) as error:
        log.info("rest.stream_ended", request_id=context.request_id, code=fact(error, context.request_id).code)


def _sunset(deprecation: Deprecation) -> list[tuple[bytes, bytes]]:
    """The headers of an operation that will go (specification, "Deprecation Header")."""
    found = {
        "x-deprecated": "true",
        "x-deprecated-version": deprecation.version,
        "x-sunset": deprecation.sunset.isoformat(),
        "x-migration-guide": deprecation.guide,
    }
    return [(name.encode(), value.encode()) for name, value in found.items()]


async def _answer(bound: Bound, query: Query, request: Request) -> Response:
    operation, view = bound.operation, bound.view
    if operation.carries_file:
        request.scope["untimed"] = True
    if operation.deprecation is not None:
        request.scope["answer_headers"] += _sunset(operation.deprecation)
    context: Context = request.scope["context"]
    body = b"" if request.method in ("GET", "HEAD") or operation.uploads else await json_body(request)
    ids = tuple(request.path_params.values())
    if operation.kind == "subscription":
        rows = await admit(bound, context, ids)
        return EventStream(_events(bound, context, rows, _resumed(operation, request, asked(operation, query, request, body))))
    if view is not None and view.document is not None:
        context.require(operation.needs)
        given = query.values(request)
        shown = await view.read({"id": ids[0] if ids else ""} | (_listed(bound, given) if operation.listing else {}), context)
        return Response(_encode(shown), operation.status, media_type="application/json")

    async def performed() -> tuple[Response, bool]:
        value = await perform(bound, context, Ask(ids, lambda: asked(operation, query, request, body)))
        if operation.downloads:
            return await downloaded(request, value), False
        if view is None:
            return Response(status_code=operation.status), True
        shown = await view.show(value, context)
        if bound.links.by_path:
            shown["_links"] = _by_path(bound, request, ids)
        return Response(_encode(shown), operation.status, media_type="application/json"), True

    return await once(request, context, body, performed) if operation.repeatable else (await performed())[0]


def _by_path(bound: Bound, request: Request, ids: tuple[str, ...]) -> dict[str, str]:
    """The links of an answer that is no row; one to a WebSocket is a whole URL (DECISIONS 25)."""
    found = {}
    for link in bound.links.by_path:
        path = link.path
        for id in ids:
            path = re.sub(r"{\w+}", id, path, count=1)
        found[link.name] = f"{socket_origin(request.scope)}{path}?{FOLLOW}=true" if link.streams else path
    return found


def _endpoint(by_method: dict[str, Bound], following: Mapping[str, Bound]) -> Callable[[Request], Awaitable[Response]]:
    streams = {method: following[bound.operation.id] for method, bound in by_method.items() if bound.operation.id in following}
    queries = {method: Query.of(bound.operation, FOLLOWED if method in streams else {}) for method, bound in by_method.items()}
    followed = {method: Query.of(bound.operation, FOLLOWED) for method, bound in streams.items()}

    async def endpoint(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if method in streams and FOLLOW in request.query_params and parameter(bool, FOLLOW, request.query_params[FOLLOW]):
            if not any(each.type == EVENTS for each in ranges(accepted(request.headers))):
                raise InvalidInput(f"{FOLLOW}=true takes a WebSocket, or server-sent events (Accept: {EVENTS}).")
            return await _answer(streams[method], followed[method], request)
        if method in streams:
            _resumed(streams[method].operation, request, Asked())  # by which a query is not followed, but which must be sound
        return await _answer(by_method[method], queries[method], request)

    return endpoint


def paths(operations: Iterable[Bound]) -> dict[str, dict[str, Bound]]:
    """The operations by path and HTTP method, in the order of their declaration; a stream that follows a query is reached by that."""
    found: dict[str, dict[str, Bound]] = defaultdict(dict)
    for bound in (each for each in operations if each.operation.follows is None):
        method = "GET" if bound.operation.kind == "subscription" else bound.operation.method
        found[bound.operation.path][method] = bound
    return found


def routes(surface: Surface) -> list[Route]:
    """Every route of the surface, under `/api` and, identically, under `/api/v1` (DECISIONS 1)."""
    return [
        Route(prefix + path, _endpoint(by_method, surface.following), methods=list(by_method))
        for prefix in PREFIXES
        for path, by_method in paths(surface.operations).items()
    ]
