"""Passwords: argon2id with 19 MiB and two passes (OWASP), computed outside the event loop."""

import asyncio
import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_CONCURRENT = 2


@functools.cache
def _room() -> asyncio.Semaphore:
    return asyncio.Semaphore(_CONCURRENT)


@functools.cache
def _nobody() -> str:
    """The hash that an unknown user's password is checked against, so that both answers take the same time."""
    return _hasher.hash("nobody has this password")


async def hashed(password: str) -> str:
    """The argon2id hash of a password."""
    async with _room():
        return await asyncio.to_thread(_hasher.hash, password)


async def verify(stored: str | None, password: str) -> bool:
    """Whether the password belongs to the stored hash; takes as long when there is none."""
    async with _room():
        return await asyncio.to_thread(_matches, stored, password)


def _matches(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _nobody(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
