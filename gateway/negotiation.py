"""Which media type an answer has: what the `Accept` header asks for, of what there is (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers

LONGEST = 2_000
"""Characters of a header that are looked at: nobody has so much to say, and it is read for whoever is refused, too."""


@dataclass(frozen=True)
class Range:
    """One media range of the header. `place` counts from 0, in the order in which the client wrote them."""

    type: str
    quality: float
    place: int

    @property
    def is_exact(self) -> bool:
        """Whether it names one media type."""
        return "*" not in self.type

    def covers(self, media_type: str) -> bool:
        """Whether a media type is in it."""
        if self.is_exact or self.type == "*/*":
            return self.type in (media_type, "*/*")
        return media_type.startswith(self.type.removesuffix("*"))


def ranges(accept: str) -> list[Range]:
    """The media ranges of a header; parameters other than `q` say nothing. Without a header everything is welcome."""
    found = []
    for place, part in enumerate(accept[:LONGEST].split(",") if accept.strip() else ["*/*"]):
        type_, *parameters = (each.strip().lower() for each in part.split(";"))
        given = [value for name, _, value in (each.partition("=") for each in parameters) if name.strip() == "q"]
        found.append(Range(type_, _quality(given[-1]) if given else 1.0, place))
    return found


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def accepted(headers: Headers) -> str:
    """What a request accepts, in however many headers it says so."""
    return ",".join(headers.getlist("accept"))


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The media type to answer with, None when none of those offered is acceptable.

    The best quality wins, then a type that is named, in the client's order, then ours.
    """
    given = ranges(accept)
    best: tuple[tuple[float, bool, int, int], str] | None = None
    for number, media_type in enumerate(offered):
        covering = [each for each in given if each.covers(media_type)]
        if not covering:
            continue
        closest = max(covering, key=lambda each: (each.is_exact, each.type != "*/*", -each.place))
        rank = (closest.quality, closest.is_exact, -closest.place, -number)
        if closest.quality > 0 and (best is None or rank > best[0]):
            best = rank, media_type
    return best[1] if best else None
