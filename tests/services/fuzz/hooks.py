"""What schemathesis calls while it runs (`hooks` in schemathesis.toml): living ids, a session that lasts, and a count of it all."""

import asyncio
import atexit
import json
import os
import random
import re
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import schemathesis
from schemathesis import AuthContext, Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

from models.database import connected
from tests.services.fuzz.world import KINDS, PASSWORD, World

SHARE_LIVING = 0.9
"""How many of the requests that are well-formed are brought to be about living rows."""
SHARE_PLAIN = 0.7
"""How many databases are asked for without what depends on their type."""
PERIOD = 40
"""Calls after which the world grows."""
UNSAID = {
    "certificate",
    "cron",
    "cursor",
    "different",
    "international",
    "metric",
    "repository",
    "reserved",
    "secret",
    "text",
    "time_zone",
    "token",
    "unique",
}
"""What can be wrong with a request that the document allows: JSON Schema has no words for it, or would need them at every text."""
TRUE = {"true", "1", "on", "t", "y", "yes"}
"""What follows a log, which has no end."""
OF_THE_TYPE = re.compile(r"version|configuration\..+|resources\.memoryLimit")
"""Fields of a database that may be more in the document than for a database of one type."""

TARGETS: dict[str, Any] = {"url": "https://hooks.example.com/x", "recipients": ["oncall@example.com"]}
"""What channels are told by."""

_BEGAN = time.time_ns() // 1_000_000
_runner = asyncio.Runner()
_connection = connected(most=2)
_world = World(seed=20)
_sent: set[str] = set()
"""Names and keys that requests have used up."""
_tally: Counter[tuple[str, str, int]] = Counter()
"""Calls by operation, phase and status."""


async def _begin() -> None:
    await _connection.__aenter__()
    await _world.begin()


async def _end() -> None:
    await _connection.__aexit__(None, None, None)


def _report() -> None:
    _runner.run(_end())
    rows = [{"operation": operation, "phase": phase, "status": status, "calls": n} for (operation, phase, status), n in _tally.items()]
    Path(os.environ["DOKPLOY_TALLY"]).write_text(json.dumps(rows))


_runner.run(_begin())
atexit.register(_report)


@schemathesis.auth(refresh_interval=None)
class Session:
    """The session of whoever asks at present."""

    def get(self, case: Case, context: AuthContext) -> str | None:
        return _world.token if list(context.operation.security.iter_parameters()) else None

    def set(self, case: Case, data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def _made_up(value: Any) -> bool:
    """Whether an id is none of this run: those are UUIDs of version 7, which begin with the time in milliseconds."""
    try:
        id = UUID(str(value))
    except ValueError:
        return True
    return id.version != 7 or id.int >> 80 < _BEGAN


def _kind(name: str) -> str:
    """Whose id a name is: `projectId` → `projects`."""
    return re.sub("Id$", "s", name)


async def _path_ids(path: str, given: dict[str, Any]) -> dict[str, str]:
    """Living ids in place of those made up: of what the segment before says, or else the name."""
    found: dict[str, str] = {}
    segments = path.split("/")
    for before, segment in pairwise(segments):
        name = segment.strip("{}")
        kind = before if before in KINDS else _kind(name)
        if name in given and kind in KINDS and _made_up(given[name]):
            found[name] = await _world.some(kind, within=(given | found).get("id"))
    if segments[-1] == "cancel" and "id" in given:  # whatever the id is of, by now it has ended
        found |= await _world.waiting(next(kind for kind in ("backups", "restores", "deployments") if kind in segments))
    return found


async def _named_ids(given: dict[str, Any]) -> dict[str, str]:
    """Living ids in place of those made up, for what is called `projectId` and the like; all that is made goes into one project."""
    names = [name for name, value in given.items() if isinstance(value, str) and _kind(name) in KINDS and _made_up(value)]
    return {name: await (_world.oldest if _kind(name) == "projects" else _world.some)(_kind(name)) for name in names}


def _account(path: str, body: dict[str, Any]) -> dict[str, str]:
    """What a body must say of an account to be accepted."""
    name = _world.name()
    if path.endswith("/auth/login"):
        return {"username": _world.owner.username, "password": PASSWORD}
    if path.endswith("/auth/register"):
        return {"username": name, "email": f"{name}@example.com"}
    return {"currentPassword": PASSWORD} if "currentPassword" in body else {}


def _database(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What a body should not say of a database to be accepted: it is seldom what a database of its type can have."""
    names = [name for name in ("version", "configuration") if name in body]
    return dict.fromkeys(names) if "/databases" in path and _world.dice.random() < SHARE_PLAIN else {}


def _channel(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A body without what a channel of its type does not have, and with what it is told by. Those there are are webhooks."""
    if "/notification-channels" not in path:
        return body
    wanted, other = ("recipients", "url") if body.get("type") == "email" else ("url", "recipients")
    kept = {name: value for name, value in body.items() if name != other}
    if "test" in kept.get("events", ()):  # which the enum has, and nobody listens to
        kept["events"] = ["alert_raised"]
    return kept | {wanted: TARGETS[wanted]} if "type" in kept and not kept.get(wanted) else kept


def _storable(value: Any) -> Any:
    """A value without the NUL characters that no text may hold."""
    if isinstance(value, dict):
        return {key: _storable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_storable(each) for each in value]
    return value.replace("\0", "0") if isinstance(value, str) else value


def _unused(value: str) -> str:
    """What may be sent only once: the value itself, or when it has been, one that has not."""
    found = _world.name() if value in _sent else value
    _sent.add(found)
    return found


def _well_formed(case: Case, location: ParameterLocation) -> bool:
    return case.meta is None or not case.meta.is_negative_at(location)


async def _bring_to_life(case: Case) -> None:
    """Let a well-formed request be about what there is."""
    if case.path_parameters and _well_formed(case, ParameterLocation.PATH):
        case.path_parameters = case.path_parameters | await _path_ids(case.path, case.path_parameters)
    if case.query and _well_formed(case, ParameterLocation.QUERY):
        case.query = _storable(case.query) | await _named_ids(case.query)
    if "Idempotency-Key" in case.headers and _well_formed(case, ParameterLocation.HEADER):
        case.headers["Idempotency-Key"] = _unused(case.headers["Idempotency-Key"])
    if isinstance(case.body, dict) and _well_formed(case, ParameterLocation.BODY):
        case.body = _storable(case.body) | await _named_ids(case.body) | _account(case.path, case.body) | _database(case.path, case.body)
        if isinstance(case.body.get("name"), str):
            case.body["name"] = _unused(case.body["name"])
        if case.body.get("ports"):
            await _world.free_ports()


def _chosen(case: Case) -> bool:
    """Whether a request is to be about living rows: the same for the same request, as scenarios are played again."""
    return random.Random(f"{case.operation.label} {case.path_parameters} {case.query} {case.body}").random() < SHARE_LIVING


def _streams(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """What the document says of the streams of events that an operation is answered by."""
    contents = [response.get("content", {}) for response in operation["responses"].values()]
    return [content["text/event-stream"] for content in contents if "text/event-stream" in content]


async def _prepare(case: Case) -> None:
    if _tally.total() % PERIOD == 0:
        await _world.grow()
    if case.query and str(case.query.get("follow")).lower() in TRUE:
        del case.query["follow"]
    if isinstance(case.body, dict) and _well_formed(case, ParameterLocation.BODY):
        case.body = _channel(case.path, case.body)
    if _chosen(case):
        await _bring_to_life(case)
    if _streams(case.operation.definition.raw):
        await _world.end()


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """In OpenAPI 3.1 the schema of a stream is that of its whole text; schemathesis takes it for that of each event."""
    for operation in [operation for path in raw_schema["paths"].values() for operation in path.values()]:
        for stream in _streams(operation):
            data = {"type": "string", "contentMediaType": "application/json", "contentSchema": stream["schema"]["contentSchema"]}
            stream["schema"] = {"type": "object", "properties": {"data": data}, "required": ["data"]}


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    _runner.run(_prepare(case))


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    if case.method.upper() == case.operation.method.upper():
        phase = case.meta.phase.name.value if case.meta else "none"
        _tally[case.operation.definition.raw["operationId"], phase, response.status_code] += 1
    if case.method.upper() != "GET" and re.search("/(auth|users)(/|$)", case.path):
        _runner.run(_world.renew())


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Drop the refusal of a request that is wrong only in what the document does not say."""
    if isinstance(failure, RejectedPositiveData) and response.status_code == 304:
        return False  # which is what was asked for
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    errors = response.json()["error"]["details"].get("errors", [])
    return not errors or any(each["constraint"] not in UNSAID and not OF_THE_TYPE.fullmatch(each["field"]) for each in errors)
