"""What the Engine sends of a container's log, cut into lines that are safe to store."""

import re
from dataclasses import dataclass
from typing import Final

from workers.processes import CUT, LINE_LIMIT, clean

HEADER: Final = 8
"""Bytes before each piece: the stream it was printed to, three zeros, and its length."""
PRINTED: Final = (1, 2)
"""The streams of a container."""
TIME: Final = 30
"""Characters of a time, as `2026-11-28T20:35:29.123456789Z`."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


@dataclass(frozen=True, slots=True)
class Read:
    """A line, and the time at which the Engine took its beginning."""

    at: str
    text: str


class Frames:
    """Cuts the bytes of one container's log, each line of which begins with its time, into lines (Docker Engine API, "Attach").

    The Engine itself cuts what is longer than 16 KiB, and gives each piece a header and a time of its own. A line has a bounded length
    here; the rest of it is thrown away.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._open: dict[int, tuple[str, bytearray]] = {}
        """Of each stream the line that has not come to its end."""

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
        found = [Read(at, _text(content)) for at, content in self._open.values()]
        self._open.clear()
        return found

    def _piece(self, stream: int, piece: bytes) -> Read | None:
        at, content = piece[:TIME].decode("ascii", "replace"), piece[TIME + 1 :]
        if stream not in PRINTED or not _TIME.fullmatch(at):
            return None  # what the Engine itself says in between, such as that a file of the log is broken
        if (begun := self._open.get(stream)) is not None:
            at, content = begun[0], bytes(begun[1]) + content
        if not content.endswith(b"\n"):
            self._open[stream] = at, bytearray(content[: LINE_LIMIT + 1])
            return None
        self._open.pop(stream, None)
        return Read(at, _text(content[:-1].removesuffix(b"\r")))


def _text(content: bytes | bytearray) -> str:
    if len(content) <= LINE_LIMIT:
        return clean(bytes(content))
    # A character that is cut in half would show as a replacement character before the marker.
    return clean(bytes(content[:LINE_LIMIT]).decode("utf-8", "ignore").encode()) + CUT
