"""The forms of an answer to GraphQL: one JSON document, or results that follow each other in one answer.

The media types are those of GraphQL over HTTP, of graphql-sse in its distinct connections mode, and of Apollo's multipart subscriptions.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
from starlette.responses import Response

from gateway.event_stream import COMMENT, EventStream
from gateway.negotiation import preferred, ranges
from schema.errors import ApiError, NotAcceptable

JSON: Final = "application/json"
RESULT: Final = "application/graphql-response+json"
EVENTS: Final = "text/event-stream"
PARTS: Final = "multipart/mixed"

VARY: Final = MappingProxyType({"Vary": "Accept"})

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Framing:
    """How results stand in one answer: what is around each, what is sent in silence, and what comes after the last one."""

    content_type: str
    before: bytes
    after: bytes
    beat: bytes
    end: bytes

    def frame(self, result: bytes) -> bytes:
        """A result in its frame."""
        return self.before + result + self.after


_PART = b"\r\n--graphql\r\nContent-Type: application/json\r\n\r\n"
FRAMINGS: Final = MappingProxyType(
    {
        EVENTS: Framing(EVENTS, before=b"event: next\ndata: ", after=b"\n\n", beat=COMMENT, end=b"event: complete\ndata: \n\n"),
        PARTS: Framing(
            'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
            before=_PART + b'{"payload":',
            after=b"}",
            beat=_PART + b"{}",
            end=b"\r\n--graphql--\r\n",
        ),
    }
)
ONCE: Final = (JSON, RESULT, EVENTS)
"""What a query or mutation can be answered as, best first for whom all are alike."""
FOLLOWING: Final = (EVENTS, PARTS)
"""What a subscription can be answered as."""


def chosen(accept: str, offered: Sequence[str]) -> str:
    """The media type of an answer. Raises `NotAcceptable`."""
    found = preferred(accept, offered)
    if found is None:
        raise NotAcceptable(f"The answer is one of {', '.join(offered)}.")
    return found


def result(content: dict[str, Any], error: type[ApiError] | None = None) -> Response:
    """A result, with the status of an error when nothing was done because of it."""
    return Response(_encode(content), error.status if error else 200, {**VARY, **(error.headers if error else {})}, media_type=JSON)


def shaped(answer: Response, media_type: str) -> Response:
    """An answer in another form; what stands in a frame has come to its end, whatever it says."""
    framing = FRAMINGS.get(media_type)
    if framing is None:
        answer.headers["Content-Type"] = media_type
        return answer
    return Response(framing.frame(bytes(answer.body)) + framing.end, headers={**VARY, "Content-Type": framing.content_type})


def refusal(errors: list[dict[str, Any]], accept: str, media_type: str) -> Response:
    """The answer to a document that cannot be run: a 400, or a 200 for those who ask for `application/json` by its name.

    To them, older clients, any other status says that no GraphQL server has answered (GraphQL over HTTP, section 6.4.1).
    """
    lenient = media_type == JSON and any(each.type == JSON for each in ranges(accept))
    return shaped(Response(_encode({"errors": errors}), 200 if lenient else 400, VARY, media_type=JSON), media_type)


def following(results: AsyncIterator[dict[str, Any]], media_type: str) -> Response:
    """Results as they come, each in its frame."""
    framing = FRAMINGS[media_type]

    async def frames() -> AsyncIterator[bytes]:
        async for each in results:
            yield framing.frame(_encode(each))
        yield framing.end

    return EventStream(frames(), framing.beat, framing.content_type)
