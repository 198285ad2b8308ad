"""A stream of graphql-sse's single connection mode that this gateway holds: what runs for it, and what waits to be sent."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec
import structlog

from gateway.errors import problem
from gateway.graphql import Asking, Runner
from gateway.operations import Operations, TooMany
from gateway.outbox import Outbox
from models import background, valkey
from schema import tokens
from schema.context import Context
from schema.plan.document import Document
from schema.standing import standings

log = structlog.get_logger()

RESERVED = 60
"""Seconds within which a stream must be opened, and for which it is remembered when its gateway says nothing any more."""
CHECK = 4.0
"""Seconds between two times that it is said to be still there."""
LAST_WORDS = 1.0
"""Seconds within which what is followed tells why it ends, when it ends with its session."""

_encode = msgspec.json.Encoder().encode


class Message(msgspec.Struct):
    """What the gateway that holds a stream is told: to run an operation for somebody, or to end it."""

    token: str
    id: str
    request_id: str = ""
    address: str = ""
    asked: Asking | None = None


def key_of(token: str) -> str:
    """Where Valkey says what is known of a stream."""
    return f"dokploy:stream:{token}"


def operations_of(token: str) -> str:
    """Where it says which operations there are."""
    return f"dokploy:stream:{token}:operations"


def _frame(kind: str, id: str, **content: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + _encode({"id": id, **content}) + b"\n\n"


class Held:
    """One stream."""

    def __init__(self, runner: Runner, token: str, session: UUID, context: Context) -> None:
        self.token, self.session, self.outbox = token, session, Outbox()
        self._runner, self._context = runner, context
        self._operations = Operations(runner, self._tell)

    def heard(self, message: Message) -> None:
        """Begin or end an operation."""
        asked = message.asked
        if asked is None:
            if self._operations.end(message.id):
                background.start(self._complete(message.id))
            return

        async def prepare() -> tuple[Context, Document, Asking]:
            by = replace(self._context.again(), request_id=message.request_id, address=message.address)
            context = await tokens.present(by)
            return context, self._runner.prepared(asked, context), asked

        try:
            self._operations.check()
        except TooMany as error:
            background.start(self._tell("error", message.id, [problem(error, message.request_id)]))
        else:
            self._operations.begin(message.id, message.request_id, prepare)

    async def watch(self) -> None:
        """Keep the stream known, and end it with its session."""
        with standings.leave(self._context, None, lambda _: background.start(self._lose())):
            while True:
                await asyncio.sleep(CHECK)
                try:
                    await valkey.client().expire(operations_of(self.token), RESERVED)
                    if not await valkey.client().expire(key_of(self.token), RESERVED):
                        await self.outbox.close()  # nobody can reach it any more
                except valkey.AWAY as error:
                    log.warning("stream.redis_away", error=str(error))

    async def _lose(self) -> None:
        """End with the session. What is followed has lost its leave, too; without that word of it a client would try and try again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._operations.followed_out()
                await self.outbox.emptied()
        await self.outbox.close()

    async def end(self) -> None:
        """Forget the stream, and let what ends by itself do so."""
        await self.outbox.close()
        try:
            await valkey.client().delete(key_of(self.token), operations_of(self.token))
        except valkey.AWAY as error:
            log.warning("stream.redis_away", error=str(error))
        await self._operations.finish()

    async def _tell(self, kind: str, id: str, payload: Any) -> None:
        if kind == "error":
            payload = {"errors": payload}
        if payload is not None:
            await self.outbox.put(_frame("next", id, payload=payload))
        if kind != "next":
            await self._complete(id)

    async def _complete(self, id: str) -> None:
        try:
            await valkey.client().srem(operations_of(self.token), id)
        except valkey.AWAY as error:
            log.warning("stream.redis_away", error=str(error))
        await self.outbox.put(_frame("complete", id))
