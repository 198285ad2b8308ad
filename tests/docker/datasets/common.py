"""What the data sets of all engines are made of."""

import base64
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

Execute = Callable[[Sequence[str], Mapping[str, str], bytes], Awaitable[bytes]]
"""Runs a command in the container of the database with these variables in its environment and this on its stdin: its stdout."""

USER: Final = "app"
DATABASE: Final = "shop"
TEXTS: Final = (
    "",
    " leading and trailing ",
    "NULL",
    r"\N",
    r"\.",
    "back\\slash \\n \\\\ \\' \\0 at the end \\",
    "quotes ' '' \" \"\" ` `` $$ $body$",
    "line\nline\r\nline\rtab\tend\n",
    "-- no comment; /* neither */ # nor this; DELIMITER //",
    "naïve Ünïcödé ß ﬁ ﷺ",
    "combining e\u0301 and é",
    "עברית العربية 中文 日本語 한국어",
    "emoji 🐘🦭🍃 👩\u200d👩\u200d👧\u200d👦 🇩🇪",
    "\U0001d518 \U0010ffff \ufeff\u2028\u00a0",
    "%s %d %% {0} {{ }} $1 ${HOME} `id` $(id)",
    "long " + "x" * 70_000,
)
BLOBS: Final = (
    b"",
    b"\x00",
    b"\x00\x01\x02NUL\x00 in the middle\x00",
    b"\\x00 \\000 '\"\r\n\x1a\xff\xfe\x80\xc3\x28",
    bytes(range(256)) * 8,
    random.Random(1).randbytes(1_500_000),
)
CHUNK: Final = 16
"""Mebibytes that are given to a command at a time."""


class Dataset(Protocol):
    """The data set of an engine, in a database that `execute` reaches."""

    async def write(self) -> None:
        """Write it into an empty database."""

    async def change(self) -> None:
        """Change, remove and add some of it."""

    async def fingerprint(self, *, ownership: bool = True) -> str:
        """A text that is the same if and only if the structure and contents of the database are.

        With `ownership` also whose everything is and what was granted to whom, in engines that know it: to roles and users of the server.
        """

    async def grow(self, mebibytes: int) -> None:
        """Add so much that hardly compresses."""

    async def shrink(self) -> None:
        """Remove what `grow` has added."""


def noise(mebibytes: int) -> Iterator[list[str]]:
    """Texts of half a mebibyte without any special character, in lists of at most `CHUNK` mebibytes."""
    for start in range(0, mebibytes, CHUNK):
        size = min(CHUNK, mebibytes - start)
        yield [base64.b64encode(secrets.token_bytes(3 << 17)).decode() for _ in range(2 * size)]


def script(name: str) -> str:
    """The text of a file beside this one."""
    return Path(__file__).with_name(name).read_text("utf-8")
