"""The examples of the specification as data: `examples/` has a file per chapter."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tests.contract.shapes import Comparison, Fields, fields, kinds_of_shape, kinds_of_value, named

EXAMPLES = Path(__file__).parent / "examples"

NOT_BUILT: dict[str, tuple[str, ...]] = {
    "POST /api/webhooks/gitlab": (),
    "JavaScript/TypeScript": (),
    "Python": (),
}
"""Headings of the specification whose examples wait, and the links that wait with them. What is built is a line less."""

EVENTS = Path(__file__).with_name("events.json")
"""Shapes of what the socket of the specification sends, by heading; `tests/services/test_live_socket.py` listens to them."""
SOCKET = "WebSocket API"
"""Their chapter, which has no other examples."""

AWAITED = frozenset(link for links in NOT_BUILT.values() for link in links)


class Entry(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An example: what is sent and what comes back. A text in braces is the id, or other value, that the state has by this name."""

    operation: str
    status: int
    name: str = ""
    """The heading under which the specification prints it; empty where that is the operation."""
    title: str = ""
    """What its test is called, where the heading does not say enough."""
    sender: str = msgspec.field(name="as", default="admin")
    """Who sends it; a name of the state's people."""
    given: str = ""
    """A circumstance in which it is sent."""
    id: str = ""
    """What stands for `:id`."""
    query: dict[str, str] = {}
    """The query parameters; `{nextCursor}` is that of the answer to the others."""
    signed: str = ""
    """The event as which GitHub sends it."""
    sends: dict[str, str] = {}
    """Headers of the request."""
    request: dict[str, Any] | None = None
    optional: list[str] = []
    """Fields that the request can do without."""
    content: str = ""
    """A body that the specification does not print, as text."""
    headers: dict[str, Any] = {}
    """Shapes of the answer's headers."""
    response: dict[str, Any] | str | None = None
    """The shape of the answer, or `same as` another operation of the chapter."""
    may_be_empty: list[str] = []
    note: str = ""
    """How the specification is read where that is not by its letter."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds."""

    chapter: str
    examples: list[Entry]


@dataclass(frozen=True)
class Example:
    """An entry in its chapter."""

    chapter: str
    entry: Entry
    response: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The heading under which the specification prints it."""
        return self.entry.name or self.entry.operation

    @property
    def title(self) -> str:
        """What its test is called."""
        return self.entry.title or self.name

    @property
    def comparison(self) -> Comparison:
        """How its answer is compared."""
        return Comparison(AWAITED, self.entry.may_be_empty)

    @property
    def parts(self) -> dict[str, Fields]:
        """What it holds, by kind, in the words of `specification.Printed`."""
        entry = self.entry
        return {
            "operation": named([entry.operation]),
            "status": named([str(entry.status)]),
            "query": named(entry.query),
            "sends": named(entry.sends),
            "request": fields(entry.request, kinds_of_value),
            "headers": named(entry.headers),
            "response": fields(self.response, kinds_of_shape),
        }


def _response(entry: Entry, others: list[Entry]) -> dict[str, Any] | None:
    if not isinstance(entry.response, str):
        return entry.response
    other = next(each for each in others if entry.response == f"same as {each.operation}")
    return _response(other, others)


@cache
def examples() -> tuple[Example, ...]:
    """All of them, in the order of the files."""
    files = [msgspec.json.decode(path.read_bytes(), type=File) for path in sorted(EXAMPLES.glob("*.json"))]
    return tuple(Example(file.chapter, entry, _response(entry, file.examples)) for file in files for entry in file.examples)
