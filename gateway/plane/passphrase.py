"""The passphrase of a backup: from the environment or a person, never from the command line."""

import getpass
import os
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.plane.errors import NoPassphrase, ShortPassphrase, Unequal

VARIABLE: Final = "DOKPLOY_PASSPHRASE"
SHORTEST: Final = 12
"""Characters of one that seals."""


def chosen() -> str:
    """One to seal with, asked for twice. Raises `NoPassphrase`, `ShortPassphrase` and `Unequal`."""
    given = _given()
    found = given or _asked("Passphrase of the backup: ")
    if len(unicodedata.normalize("NFC", found)) < SHORTEST:
        raise ShortPassphrase
    if not given and _asked("The same again: ") != found:
        raise Unequal
    return found


def known() -> str:
    """The one that a backup was sealed with. Raises `NoPassphrase`."""
    return _given() or _asked("Passphrase of the backup: ")


def _given() -> str | None:
    """That of the environment, which processes that this one starts do not get."""
    return os.environ.pop(VARIABLE, None)


def _asked(question: str) -> str:
    with suppress(OSError, EOFError):
        Path("/dev/tty").open("rb").close()  # getpass would else ask where everybody can read along
        if found := getpass.getpass(question):
            return found
    raise NoPassphrase
