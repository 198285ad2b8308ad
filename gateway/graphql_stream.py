"""graphql-sse in its single connection mode: one stream of events with the results of whatever its client asks for.

One gateway holds the stream. An operation may come to any of them; Valkey takes it to the one that holds the stream, and knows which
streams and operations there are.
"""

import asyncio
from collections.abc import AsyncGenerator
from secrets import token_hex, token_urlsafe
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import GRAPHQL
from gateway.event_stream import EventStream
from gateway.graphql import Asking, Runner
from gateway.held_stream import RESERVED, Held, Message, key_of, operations_of
from gateway.operations import MOST, TooMany
from models import background, valkey
from schema import tokens
from schema.context import Context
from schema.errors import Conflict, InvalidInput, NotFound, ServiceUnavailable

log = structlog.get_logger()

HEADER = "X-GraphQL-Event-Stream-Token"
MOST_STREAMS = 10
"""That a gateway holds for one session."""
OPEN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
TAKE = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then
    return -1
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('SCARD', KEYS[1])
"""

_encode = msgspec.json.Encoder().encode


class StreamNotFound(NotFound):
    """There is no such stream of events."""


def token_of(request: Request) -> str | None:
    """Which stream a request speaks of."""
    return request.headers.get(HEADER) or request.query_params.get("token")


class Streams:
    """The streams of this gateway, and the way to those of the others. Everything raises `ServiceUnavailable` while Valkey is away."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._channel = f"dokploy:streams:{token_hex(8)}"
        self._held: dict[str, Held] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen for what others are asked."""
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Listen no longer, and let what is done for streams that have ended come to its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, *self._ending, return_exceptions=True)

    async def reserve(self, context: Context) -> str:
        """The token of a new stream. Raises `Unauthorized`."""
        _ = context.caller
        token = token_urlsafe(24)
        await _told("set", key_of(token), f"reserved {context.session_id}", ex=RESERVED)
        return token

    async def opened(self, token: str, context: Context) -> Response:
        """The stream. Its token lets in whoever has it, since a browser's `EventSource` cannot say who it is.

        Raises `StreamNotFound`, also for somebody else, and `Conflict` when it is open already or there are too many.
        """
        _, session, _ = await self._state(token)
        if context.session_id not in (None, session):
            raise StreamNotFound
        if not self._listening.is_set():
            raise ServiceUnavailable
        owner = await tokens.present(Context(session_id=session, request_id=context.request_id, address=context.address))
        if token in self._held:
            raise Conflict("The stream is open already.")
        if sum(held.session == session for held in self._held.values()) >= MOST_STREAMS:
            raise Conflict(f"A session has {MOST_STREAMS} streams at most.")
        held = self._held[token] = Held(self._runner, token, session, owner)
        try:
            if not await _told("eval", OPEN, 1, key_of(token), f"reserved {session}", f"open {session} {self._channel}", RESERVED):
                raise Conflict("The stream is open already.")
        except BaseException:
            del self._held[token]
            raise
        frames = self._frames(held)
        await anext(frames)
        return EventStream(frames)

    async def ask(self, token: str, asked: Asking, context: Context) -> None:
        """Have an operation run whose results come over a stream.

        Raises `InvalidInput` without an id for it, `StreamNotFound`, and `Conflict` for an id that is taken, or too many operations.
        """
        id = (asked.extensions or {}).get("operationId")
        if not isinstance(id, str) or not id:
            raise InvalidInput("extensions.operationId is missing.")
        channel = await self._own(token, context)
        number = await _told("eval", TAKE, 1, operations_of(token), id, RESERVED)
        if number < 0:
            raise Conflict(f"An operation {id[:64]} is there already.")
        try:
            if number > MOST:
                raise TooMany
            await self._tell(channel, Message(token, id, context.request_id, context.address, asked))
        except BaseException:
            background.start(_told("srem", operations_of(token), id))
            raise

    async def end(self, token: str, id: str, context: Context) -> None:
        """End an operation, if it is there. Raises `StreamNotFound`."""
        await self._tell(await self._own(token, context), Message(token, id))

    async def _state(self, token: str) -> tuple[str, UUID, str]:
        """What is known of a stream: `reserved` or `open`, its session, and the channel of the gateway that holds it."""
        state, _, rest = (await _told("get", key_of(token)) or b"").decode().partition(" ")
        session, _, channel = rest.partition(" ")
        if not state:
            raise StreamNotFound
        return state, UUID(session), channel

    async def _own(self, token: str, context: Context) -> str:
        """The channel of the gateway that holds a stream of this session. Raises `StreamNotFound`."""
        state, session, channel = await self._state(token)
        if state != "open" or session != context.session_id:
            raise StreamNotFound
        return channel

    async def _tell(self, channel: str, message: Message) -> None:
        if not await _told("publish", channel, _encode(message)):
            raise StreamNotFound

    async def _listen(self) -> None:
        """Hear what is asked of streams of this gateway; without Valkey there are none."""
        while True:
            try:
                async with valkey.listener() as client, client.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    async for each in pubsub.listen():
                        if each["type"] == "subscribe":
                            self._listening.set()
                        elif each["type"] == "message":
                            self._heard(msgspec.json.decode(each["data"], type=Message))
            except valkey.AWAY as error:
                log.warning("stream.redis_away", error=str(error))
            self._listening.clear()
            for held in list(self._held.values()):
                await held.outbox.close()
            await asyncio.sleep(valkey.PATIENCE)

    def _heard(self, message: Message) -> None:
        if held := self._held.get(message.token):
            held.heard(message)

    async def _frames(self, held: Held) -> AsyncGenerator[bytes]:
        """First nothing, once the stream is open; then frames, until the session ends or Valkey goes away."""
        watching = asyncio.create_task(held.watch())
        try:
            yield b""
            while (frame := await held.outbox.get()) is not None:
                yield frame
        finally:
            self._held.pop(held.token, None)
            watching.cancel()
            self._ending.add(ending := asyncio.create_task(held.end()))  # whoever is here may be cancelled again and again
            ending.add_done_callback(self._ending.discard)


async def _told(command: str, *arguments: Any, **options: Any) -> Any:
    """What Valkey says to a command. Raises `ServiceUnavailable`."""
    try:
        return await getattr(valkey.client(), command)(*arguments, **options)
    except valkey.AWAY as error:
        log.warning("stream.redis_away", error=str(error))
        raise ServiceUnavailable from error


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
