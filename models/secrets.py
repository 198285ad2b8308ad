"""Secrets at rest: the keys of this installation, and a database field whose value only they can read."""

import functools
import json
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from tortoise import fields

from models.settings import settings

TOKEN_KEY_BYTES = 32


class UnreadableSecret(Exception):
    """A stored secret cannot be read with the configured keys."""


class WeakTokenKey(Exception):
    """DOKPLOY_TOKEN_KEY is shorter than 32 bytes."""


def _first_start(path: Path, make: bytes) -> bytes:
    """Return what `path` holds, writing `make` to it when it does not exist yet; two processes agree on one value."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_bytes(make)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def secret_keys_file() -> Path:
    """Where the keys for secrets are unless they are configured, newest first."""
    return settings().data / "keys" / "secrets"


def token_key_file() -> Path:
    """Where the key of the login tokens is unless it is configured."""
    return settings().data / "keys" / "tokens"


def fernet_keys() -> list[str]:
    """The Fernet keys of this installation, newest first."""
    keys = [key.get_secret_value() for key in settings().secret_keys]
    return keys or _first_start(secret_keys_file(), Fernet.generate_key()).decode().split()


@functools.cache
def cipher() -> MultiFernet:
    """The cipher of this installation; the first key encrypts, each of them decrypts (rotation)."""
    return MultiFernet([Fernet(key) for key in fernet_keys()])


@functools.cache
def token_key() -> bytes:
    """The key that signs login tokens, at least 32 bytes.

    Raises `WeakTokenKey` when the configured one is shorter.
    """
    configured = settings().token_key
    if configured is None:
        return _first_start(token_key_file(), secrets.token_hex(TOKEN_KEY_BYTES).encode())
    key = configured.get_secret_value().encode()
    if len(key) < TOKEN_KEY_BYTES:
        raise WeakTokenKey(WeakTokenKey.__doc__)
    return key


class EncryptedJSONField(fields.Field[Any]):
    """A JSON value that the database holds only as ciphertext."""

    SQL_TYPE = "TEXT"
    indexable = False

    def to_db_value(self, value: Any, instance: Any) -> str | None:
        """Encrypt; None stays NULL."""
        return None if value is None else cipher().encrypt(json.dumps(value).encode()).decode()

    def to_python_value(self, value: Any) -> Any:
        """Decrypt what came from the database; a value set by code passes unchanged.

        Raises `UnreadableSecret` when no configured key fits.
        """
        if not isinstance(value, str):
            return value
        return decrypt(value)


def decrypt(value: str) -> Any:
    """The JSON value behind a ciphertext.

    Raises `UnreadableSecret` when no configured key fits.
    """
    try:
        return msgspec.json.decode(cipher().decrypt(value.encode()))
    except InvalidToken as error:
        raise UnreadableSecret(UnreadableSecret.__doc__) from error
