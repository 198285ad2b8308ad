"""The middlewares by themselves."""

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from gateway.middleware import Errors


async def test_a_client_that_goes_away_is_neither_answered_nor_an_error() -> None:
    async def gone(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await Errors(gone)({"type": "http", "request_id": "x"}, receive, send)
    assert sent == []
