"""Queries that are followed over a WebSocket: `follow=true`, and an item of the view in each frame (DECISIONS 25)."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Final

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.items import encoded
from gateway.rest import FOLLOWED, PREFIXES, Query, asked
from gateway.wire import TOKEN, Wire, entered, refuse
from models.database import AWAY
from schema.context import Context
from schema.errors import ApiError
from schema.perform import Asked, admit
from schema.surface import Bound, Surface

OF_SOCKETS: Final[Mapping[str, Any]] = MappingProxyType({**FOLLOWED, TOKEN: str})
"""The parameters that are not the operation's."""


async def _deafly(wire: Wire) -> None:
    """Read what nobody has asked for, until the client goes."""
    while True:
        await wire.receive()


async def _followed(wire: Wire, bound: Bound, context: Context, rows: tuple[Any, ...], said: Asked) -> None:
    """Send the items of a stream, up to its end."""
    if bound.operation.handler is None:
        raise TypeError(f"{bound.operation.id} is not a stream")
    async with aclosing(bound.operation.handler(context, *rows, **said.arguments)) as items:
        async for item in items:
            await wire.send((await encoded(bound, item, context)).decode())


async def _served(wire: Wire, bound: Bound, context: Context, rows: tuple[Any, ...], said: Asked) -> None:
    sending = asyncio.create_task(_followed(wire, bound, context, rows, said))
    reading = asyncio.create_task(_deafly(wire))
    try:
        await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, reading):
            task.cancel()
        await asyncio.gather(sending, reading, return_exceptions=True)
    if not sending.done() or sending.cancelled():
        raise WebSocketDisconnect


def _endpoint(bound: Bound) -> Any:
    query = Query.of(bound.operation, OF_SOCKETS)

    async def endpoint(socket: WebSocket) -> None:
        try:
            context = await entered(socket)
            rows = await admit(bound, context, tuple(socket.path_params.values()))
            said = asked(bound.operation, query, socket)
        except (ApiError, *AWAY) as error:
            await refuse(socket, error)
            return
        wire = Wire(socket)
        async with wire.held(context):
            await _served(wire, bound, context, rows, said)

    return endpoint


def routes(surface: Surface) -> list[WebSocketRoute]:
    """The sockets of all streams that go on from a query."""
    return [WebSocketRoute(prefix + each.operation.path, _endpoint(each)) for prefix in PREFIXES for each in surface.following.values()]
