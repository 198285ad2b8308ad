"""Passwords: argon2id with 19 MiB and two passes (OWASP), computed outside the event loop."""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_threads = ThreadPoolExecutor(2, "password")
"""Not those of the event loop, all of which may be ringing for a Redis that does not answer."""


@functools.cache
def _nobody() -> str:
    """The hash that an unknown user's password is checked against, so that both answers take the same time."""
    return _hasher.hash("nobody has this password")


async def hashed(password: str) -> str:
    """The argon2id hash of a password."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def verify(stored: str | None, password: str) -> bool:
    """Whether the password belongs to the stored hash; takes as long when there is none."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _matches, stored, password)


def _matches(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _nobody(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
