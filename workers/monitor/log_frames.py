"""What the Engine sends of a container's log, cut into lines that are safe to store."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from workers.processes import CUT, LINE_LIMIT, clean

HEADER: Final = 8
"""Bytes before each piece: the stream it was printed to, three zeros, and its length."""
STDOUT: Final = 1
STDERR: Final = 2
TIME: Final = 30
"""Characters of a time, as `2026-11-28T20:35:29.123456789Z`."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


class Position(NamedTuple):
    """How far a container was read: up to which time each of its streams, and from which time on the Engine is asked for the rest.

    What has come of a line that has no end yet does not count, whatever was printed to the other stream meanwhile.
    """

    since: str = ""
    stdout: str = ""
    stderr: str = ""

    @classmethod
    def of(cls, text: str) -> "Position":
        """The position of which `str` has made a text. A time alone, as it was stored once, is that of both streams."""
        since, stdout, stderr = text.split(" ") if " " in text else (text, text, text)
        return cls(since, stdout, stderr)

    def __str__(self) -> str:
        """One text, to be stored."""
        return " ".join(self)


@dataclass(frozen=True, slots=True)
class Read:
    """A line, the time at which the Engine took its beginning, and how far the container is read with it."""

    at: str
    text: str
    to: Position


class Frames:
    """Cuts the bytes of one container's log, each line of which begins with its time, into lines (Docker Engine API, "Attach").

    The Engine itself cuts what is longer than 16 KiB, and gives each piece a header and a time. A line has a bounded length here; the
    rest of it is thrown away. What a position says is read is left out.
    """

    def __init__(self, known: Position) -> None:
        self._bytes = bytearray()
        self._known = {STDOUT: known.stdout, STDERR: known.stderr}
        self._read = dict(self._known)
        self._open: dict[int, tuple[str, bytearray]] = {}
        """Of each stream the line that has not come to its end."""
        self._last = dict(self._known)
        """Of each stream the time of the last piece."""

    def feed(self, data: bytes) -> list[Read]:
        """The lines that these bytes complete."""
        self._bytes += data
        found: list[Read] = []
        start, size = 0, len(self._bytes)
        with memoryview(self._bytes) as view:
            while size - start >= HEADER:
                end = start + HEADER + int.from_bytes(view[start + 4 : start + HEADER])
                if end > size:
                    break
                piece = self._piece(view[start], bytes(view[start + HEADER : end]))
                if piece is not None:
                    found.append(piece)
                start = end
        del self._bytes[:start]
        return found

    def flush(self) -> list[Read]:
        """The lines that were not ended when the container did."""
        return [self._line(stream, *self._open.pop(stream)) for stream in list(self._open)]

    def _piece(self, stream: int, piece: bytes) -> Read | None:
        at, content = piece[:TIME].decode("ascii", "replace"), piece[TIME + 1 :]
        if stream not in self._known or not _TIME.fullmatch(at):
            return None  # what the Engine itself says in between, such as that a file of the log is broken
        if at <= self._known[stream]:
            return None
        self._last[stream] = at
        if (begun := self._open.pop(stream, None)) is not None:
            at, content = begun[0], bytes(begun[1]) + content
        if not content.endswith(b"\n"):
            self._open[stream] = at, bytearray(content[: LINE_LIMIT + 1])
            return None
        return self._line(stream, at, content[:-1].removesuffix(b"\r"))

    def _line(self, stream: int, at: str, content: bytes | bytearray) -> Read:
        self._read[stream] = self._last[stream]
        since = min(begun for begun, _ in self._open.values()) if self._open else self._last[stream]
        return Read(at, _text(content), Position(since, self._read[STDOUT], self._read[STDERR]))


def _text(content: bytes | bytearray) -> str:
    if len(content) <= LINE_LIMIT:
        return clean(bytes(content))
    # A character that is cut in half would show as a replacement character before the marker.
    return clean(bytes(content[:LINE_LIMIT]).decode("utf-8", "ignore").encode()) + CUT
