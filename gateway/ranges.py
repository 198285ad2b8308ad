"""Which part of a file a request asks for, and whether its client has it already (RFC 9110, sections 13 and 14)."""

import re
from datetime import UTC
from email.utils import format_datetime
from typing import Final, NamedTuple

from starlette.datastructures import Headers

from schema.errors import RangeNotSatisfiable
from schema.files import File

_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,99})-([0-9]{0,99})[ \t]*", re.ASCII | re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


class Span(NamedTuple):
    """A part of a file: from one byte up to but without another."""

    start: int
    end: int


def tag_of(file: File) -> str:
    """The strong entity tag of a file."""
    return f'"{file.checksum}"'


def date_of(file: File) -> str:
    """When a file was made, as HTTP writes it."""
    return format_datetime(file.modified.astimezone(UTC), usegmt=True)


def is_known(headers: Headers, file: File) -> bool:
    """Whether the client has the file (`If-None-Match`)."""
    given = ", ".join(headers.getlist("if-none-match"))
    return given.strip() == "*" or tag_of(file) in _TAG.findall(given)


def wanted(headers: Headers, file: File) -> Span | None:
    """The part that is asked for; None is all of it, as where several parts are, or what stands there is no range.

    Raises `RangeNotSatisfiable`.
    """
    found = _RANGE.fullmatch(", ".join(headers.getlist("range")).strip())
    if found is None or headers.get("if-range", tag_of(file)).strip() not in (tag_of(file), date_of(file)):
        return None
    first, last = (int(each) if each else None for each in found.groups())
    if first is None:
        if last is None:
            return None
        span = Span(max(file.size - last, 0), file.size)
    elif last is not None and last < first:
        return None
    else:
        span = Span(first, file.size if last is None else min(last + 1, file.size))
    if span.start >= file.size:
        raise RangeNotSatisfiable(file.size)
    return span
