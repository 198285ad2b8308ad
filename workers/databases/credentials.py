"""The credentials of a database, as they are stored."""

import secrets
from typing import Final

from models import Database, DatabaseType
from workers.databases import ENGINES
from workers.databases.contract import Credentials, Engine

PASSWORD_LENGTH: Final = 32
_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
"""Nothing that a shell, an URL, SQL or a configuration file would read as anything else."""


def password() -> str:
    """A new password."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH))


def generated(engine: Engine, name: str) -> dict[str, str]:
    """The credentials of a new database: its server's database is called as it is, where that is a name for one."""
    plain = name.lower().replace("-", "_")
    usable = plain[0].isalpha() and plain not in engine.names
    database = plain if usable else f"db_{plain}"
    return {"username": engine.username, "password": password(), "admin_password": password(), "database": database}


def credentials_of(database: Database) -> Credentials:
    """The credentials by which a database is opened now."""
    return _read(database.credentials)


def _read(stored: dict[str, str]) -> Credentials:
    return Credentials(stored["username"], stored["password"], stored["admin_password"], stored["database"])


def database_url(type: DatabaseType, stored: dict[str, str], host: str, mask: str | None) -> str:
    """The connection string of a database on a host; with a mask it stands for the password."""
    credentials = _read(stored)
    return ENGINES[type].url(credentials, host, credentials.password if mask is None else mask)
