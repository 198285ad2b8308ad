"""graphql-sse in its single connection mode: one stream of events with the results of whatever its client asks for.

One gateway holds the stream. An operation may come to any of them; Valkey takes it to the one that runs it, and knows which streams and
operations there are.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import GRAPHQL, problem
from gateway.event_stream import EventStream
from gateway.graphql import Asking, Runner, refused
from models import valkey
from models.database import AWAY
from schema import tokens
from schema.context import Context
from schema.documents.refused import Refused
from schema.errors import ApiError, Conflict, InvalidInput, NotFound, ServiceUnavailable

log = structlog.get_logger()

HEADER = "X-GraphQL-Event-Stream-Token"
RESERVED = 60
"""Seconds within which a stream must be opened, and for which it is remembered when its gateway says nothing any more."""
CHECK = 4.0
"""Seconds between looks whether the session still lives (DECISIONS 16)."""
MOST_OPERATIONS = 50
WAITING = 100
"""Frames that wait for a slow client before its operations do."""

_encode = msgspec.json.Encoder().encode


class StreamNotFound(NotFound):
    """There is no such stream of events."""


class Message(msgspec.Struct):
    """What a stream's gateway is told: to run an operation, or to end it."""

    id: str
    asked: Asking | None = None


def token_of(request: Request) -> str | None:
    """Which stream a request speaks of."""
    return request.headers.get(HEADER) or request.query_params.get("token")


def _key(token: str) -> str:
    return f"dokploy:stream:{token}"


def _operations(token: str) -> str:
    return f"dokploy:stream:{token}:operations"


def _frame(kind: str, id: str, **content: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + _encode({"id": id, **content}) + b"\n\n"


class Streams:
    """The streams of this gateway, and the way to those of the others. Everything raises `ServiceUnavailable` while Valkey is away."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def reserve(self, context: Context) -> str:
        """The token of a new stream. Raises `Unauthorized`."""
        _ = context.caller
        token = token_urlsafe(24)
        await _told("set", _key(token), f"reserved {context.session_id}", ex=RESERVED)
        return token

    async def opened(self, token: str, context: Context) -> Response:
        """The stream. Its token lets in whoever has it, since a browser's `EventSource` cannot say who it is.

        Raises `StreamNotFound`, also for somebody else, and `Conflict` when it is open already.
        """
        state, _, session = (await _told("get", _key(token)) or b"").decode().partition(" ")
        if not state or context.session_id not in (None, UUID(session)):
            raise StreamNotFound
        owner = Context(session_id=UUID(session), request_id=context.request_id, address=context.address)
        frames = self._frames(token, await tokens.present(owner))
        await anext(frames)
        return EventStream(frames)

    async def ask(self, token: str, asked: Asking, context: Context) -> None:
        """Have an operation run whose results come over a stream.

        Raises `InvalidInput` without an id for it, `StreamNotFound`, and `Conflict` for an id that is taken, or too many operations.
        """
        id = (asked.extensions or {}).get("operationId")
        if not isinstance(id, str) or not id:
            raise InvalidInput("extensions.operationId is missing.")
        await self._own(token, context)
        if not await _told("sadd", _operations(token), id):
            raise Conflict(f"An operation {id[:64]} is there already.")
        if await _told("scard", _operations(token)) > MOST_OPERATIONS:
            await _told("srem", _operations(token), id)
            raise Conflict(f"A stream has {MOST_OPERATIONS} operations at most.")
        await self._tell(token, Message(id, asked))

    async def end(self, token: str, id: str, context: Context) -> None:
        """End an operation, if it is there. Raises `StreamNotFound`."""
        await self._own(token, context)
        await self._tell(token, Message(id))

    async def _own(self, token: str, context: Context) -> None:
        if await _told("get", _key(token)) != f"open {context.session_id}".encode():
            raise StreamNotFound

    async def _tell(self, token: str, message: Message) -> None:
        if not await _told("publish", _key(token), _encode(message)):
            raise StreamNotFound

    async def _frames(self, token: str, context: Context) -> AsyncGenerator[bytes]:
        """First nothing, once the stream is open; then frames, until the session ends or Valkey goes away."""
        frames: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
        async with AsyncExitStack() as resources:
            listener = await resources.enter_async_context(valkey.listener())
            pubsub = await resources.enter_async_context(listener.pubsub())
            await _opened(token, context, pubsub)
            resources.push_async_callback(_forgotten, token)
            held = _Held(self._runner, token, context, frames)
            tasks = [asyncio.create_task(work) for work in (held.listen(pubsub), held.watch())]
            resources.push_async_callback(_ended, tasks, held.running)
            yield b""
            while (frame := await frames.get()) is not None:
                yield frame


class _Held:
    """A stream that this gateway holds."""

    def __init__(self, runner: Runner, token: str, context: Context, frames: "asyncio.Queue[bytes | None]") -> None:
        self._runner, self._token, self._context, self._frames = runner, token, context, frames
        self.running: dict[str, asyncio.Task[None]] = {}

    async def listen(self, pubsub: Any) -> None:
        """Begin and end operations as other requests want it."""
        try:
            async for each in pubsub.listen():
                if each["type"] == "message":
                    self._heard(msgspec.json.decode(each["data"], type=Message))
        except valkey.AWAY as error:
            log.warning("stream.redis_away", error=str(error))
        await self._frames.put(None)

    def _heard(self, message: Message) -> None:
        if message.asked is not None:
            self.running[message.id] = asyncio.create_task(self._run(message.id, message.asked))
        elif task := self.running.get(message.id):
            task.cancel()

    async def watch(self) -> None:
        """Keep the stream known, and end it with its session."""
        while True:
            await asyncio.sleep(CHECK)
            try:
                await tokens.present(self._context)
                for key in (_key(self._token), _operations(self._token)):
                    await valkey.client().expire(key, RESERVED)
            except ApiError:
                await self._frames.put(None)
            except (*AWAY, *valkey.AWAY) as error:
                log.warning("stream.unchecked", error=str(error))

    async def _run(self, id: str, asked: Asking) -> None:
        context = self._context
        try:
            context = await tokens.present(context)
            document = self._runner.prepared(asked, context)
            async for result in self._runner.results(document, asked, context):
                await self._frames.put(_frame("next", id, payload=result))
        except Refused as error:
            await self._frames.put(_frame("next", id, payload={"errors": refused(error.errors, context.request_id)}))
        except Exception as error:
            await self._frames.put(_frame("next", id, payload={"errors": [problem(error, context.request_id)]}))
        finally:
            self.running.pop(id, None)
            await asyncio.shield(self._over(id))

    async def _over(self, id: str) -> None:
        try:
            await valkey.client().srem(_operations(self._token), id)
        except valkey.AWAY as error:
            log.warning("stream.redis_away", error=str(error))
        await self._frames.put(_frame("complete", id))


async def _told(command: str, *arguments: Any, **options: Any) -> Any:
    """What Valkey says to a command. Raises `ServiceUnavailable`."""
    try:
        return await getattr(valkey.client(), command)(*arguments, **options)
    except valkey.AWAY as error:
        log.warning("stream.redis_away", error=str(error))
        raise ServiceUnavailable from error


async def _opened(token: str, context: Context, pubsub: Any) -> None:
    """Listen, and take note that a stream is open. Raises `Conflict`, `ServiceUnavailable`."""
    try:
        await pubsub.subscribe(_key(token))
        await pubsub.get_message(timeout=valkey.PATIENCE)
    except valkey.AWAY as error:
        raise ServiceUnavailable from error
    before = await _told("set", _key(token), f"open {context.session_id}", xx=True, get=True, ex=RESERVED)
    if before != f"reserved {context.session_id}".encode():
        raise Conflict("The stream is open already.")


async def _forgotten(token: str) -> None:
    """Take note that a stream has ended."""
    try:
        await valkey.client().delete(_key(token), _operations(token))
    except valkey.AWAY as error:
        log.warning("stream.redis_away", error=str(error))


async def _ended(tasks: list[asyncio.Task[None]], running: dict[str, asyncio.Task[None]]) -> None:
    """End whatever belongs to a stream."""
    tasks = [*tasks, *running.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def routes(streams: Streams) -> list[Route]:
    """Reserving a stream, and ending an operation of it."""

    async def reserve(request: Request) -> Response:
        return Response(await streams.reserve(request.scope["context"]), 201, media_type="text/plain")

    async def end(request: Request) -> Response:
        token, id = token_of(request), request.query_params.get("operationId")
        if token is None or not id:
            raise InvalidInput("The token of a stream and an operationId are needed.")
        await streams.end(token, id, request.scope["context"])
        return Response(status_code=200)

    return [Route(path, endpoint, methods=[method]) for path in GRAPHQL for method, endpoint in (("PUT", reserve), ("DELETE", end))]
