"""The forms of an answer to GraphQL: one JSON document, or results that follow each other in one answer.

The media types are those of GraphQL over HTTP, of graphql-sse in its distinct connections mode, and of Apollo's multipart subscriptions.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
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

PARTIAL: Final = 294
"""Partial Success: the status of a `RESULT` that holds data and errors (GraphQL over HTTP, September 2026, "Status Codes")."""
_WITH_ERRORS = b'{"errors":'
"""What a result with errors begins with: they come first (GraphQL, section 7.1)."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Framing:
    """How results stand in one answer: what it begins with, what is around each, what is sent in silence, and what it ends with."""

    content_type: str
    start: bytes
    before: bytes
    after: bytes
    beat: bytes
    end: bytes

    def frame(self, result: bytes) -> bytes:
        """A result in its frame."""
        return self.before + result + self.after


_BOUNDARY = b"\r\n--graphql"
"""It stands behind each part: a reader takes a part for whole only when it sees the next boundary."""
_PART = b"\r\nContent-Type: application/json\r\n\r\n"
FRAMINGS: Final = MappingProxyType(
    {
        EVENTS: Framing(EVENTS, start=b"", before=b"event: next\ndata: ", after=b"\n\n", beat=COMMENT, end=b"event: complete\ndata: \n\n"),
        PARTS: Framing(
            'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
            start=_BOUNDARY,
            before=_PART + b'{"payload":',
            after=b"}" + _BOUNDARY,
            beat=_PART + b"{}" + _BOUNDARY,
            end=b"--\r\n",
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


def chosen_for_any(accept: str) -> str:
    """The media type to refuse a document in, of which nobody knows what it is. Raises `NotAcceptable`."""
    return preferred(accept, ONCE) or chosen(accept, (*ONCE, *FOLLOWING))


def result(content: dict[str, Any], error: type[ApiError] | None = None) -> Response:
    """A result, with the status of an error when nothing was done because of it."""
    return Response(_encode(content), error.status if error else 200, error.headers if error else None, media_type=JSON)


def shaped(answer: Response, media_type: str) -> Response:
    """An answer in another form; what stands in a frame has come to its end, whatever it says."""
    framing = FRAMINGS.get(media_type)
    if framing is not None:
        kept = {name: value for name, value in answer.headers.items() if name not in ("content-length", "content-type")}
        answer = Response(framing.start + framing.frame(bytes(answer.body)) + framing.end, headers=kept)
    elif media_type == RESULT and answer.status_code == 200 and bytes(answer.body).startswith(_WITH_ERRORS):
        answer.status_code = PARTIAL
    answer.headers.update({**VARY, "Content-Type": framing.content_type if framing else media_type})
    return answer


def refusal(errors: list[dict[str, Any]], accept: str, media_type: str) -> Response:
    """The answer to a document that cannot be run: a 400, or a 200 for those who ask for `application/json` by its name.

    To them, older clients, any other status says that no GraphQL server has answered (GraphQL over HTTP, section 6.4.1).
    """
    lenient = media_type == JSON and any(each.type == JSON for each in ranges(accept))
    return shaped(Response(_encode({"errors": errors}), 200 if lenient else 400, media_type=JSON), media_type)


def following(results: AsyncGenerator[dict[str, Any] | msgspec.Raw], media_type: str) -> Response:
    """Results as they come, each in its frame."""
    framing = FRAMINGS[media_type]

    async def frames() -> AsyncGenerator[bytes]:
        async with aclosing(results):
            yield framing.start
            async for each in results:
                yield framing.frame(_encode(each))
            yield framing.end

    answer = EventStream(frames(), framing.beat, framing.content_type)
    answer.headers.update(VARY)
    return answer
