"""Patterns of paths, as the shell has them within a segment; `**` spans any number of segments."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

_MANY: Final = "**"


def matches(pattern: str, path: str) -> bool:
    """Whether a path has a pattern; one that ends in `/` stands for all below it.

    No more than one `**` is ever tried again, the last one: the time grows with the product of the two lengths at most.
    """
    wanted, given = (pattern + _MANY if pattern.endswith("/") else pattern).split("/"), path.split("/")
    at = here = 0
    again: tuple[int, int] | None = None
    while here < len(given):
        if at < len(wanted) and wanted[at] == _MANY:
            again = at + 1, here
            at += 1
        elif at < len(wanted) and fnmatchcase(given[here], wanted[at]):
            at, here = at + 1, here + 1
        elif again is not None:
            again = again[0], again[1] + 1
            at, here = again
        else:
            return False
    return all(each == _MANY for each in wanted[at:])


def touched(patterns: Iterable[str], paths: Iterable[str]) -> bool:
    """Whether some path has some pattern."""
    told = list(paths)
    return any(matches(pattern, path) for pattern in patterns for path in told)
