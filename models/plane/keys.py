"""The keys of this installation: those in effect, whether they fit, and putting those of a backup where none are."""

import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from models.plane import catalog
from models.plane.archive import Keys
from models.plane.errors import MissingKeys, OtherKeys
from models.secrets import secret_keys_file, token_key_file
from models.settings import settings

_ENDS = """select col from (select {0}::text as col from {1} where {0} is not null order by id {2} limit 1) found"""


def in_effect() -> Keys:
    """The keys that are configured or in the key files; none is made."""
    configured, token = settings().secret_keys, settings().token_key
    secret_keys = tuple(key.get_secret_value() for key in configured) or tuple(_content(secret_keys_file()).split())
    return Keys(secret_keys, token.get_secret_value() if token else _content(token_key_file()) or None)


async def check(connection: Any, keys: Keys, where: str) -> None:
    """See that the keys, which are `where`, open what is in the database: of each kind of secrets the first and the last.

    Raises `MissingKeys`.
    """
    try:
        cipher = MultiFernet([Fernet(key) for key in keys.secret_keys]) if keys.secret_keys else None
    except ValueError as error:
        raise MissingKeys(f"A key for secrets, {where}, is none: {error}.") from None
    columns = {each.name: each.columns for each in await catalog.tables(connection)}
    for table, column in catalog.encrypted():
        if column not in columns.get(table, ()):
            continue
        for order in ("asc", "desc"):
            value = await connection.fetchval(_ENDS.format(*map(catalog.quoted, ((column,), (table,))), order))
            if value is not None and not _opens(cipher, value):
                raise MissingKeys(f"The keys {where} do not open the secrets in the database.")
    if keys.token_key is None and "session" in columns and await connection.fetchval("select exists (select from session)"):
        raise MissingKeys(f"There are logins in the database, and no key {where} that signed them.")


def refuse_others(keys: Keys) -> None:
    """Raise `OtherKeys` when other keys than these are configured or in the key files; more keys for secrets are fine."""
    here, configured = in_effect(), settings()
    if here.secret_keys and not set(keys.secret_keys) <= set(here.secret_keys):
        raise _others("DOKPLOY_SECRET_KEYS" if configured.secret_keys else secret_keys_file())
    if here.token_key is not None and keys.token_key not in (None, here.token_key):
        raise _others("DOKPLOY_TOKEN_KEY" if configured.token_key else token_key_file())


def put(keys: Keys) -> list[Path]:
    """Write the keys into the key files where no keys are in effect; those that were written.

    Never overwrites one: raises `OtherKeys` when one with something else has come meanwhile.
    """
    refuse_others(keys)
    here, made = in_effect(), []
    try:
        if keys.secret_keys and not here.secret_keys:
            made += _written(secret_keys_file(), "\n".join(keys.secret_keys))
        if keys.token_key is not None and here.token_key is None:
            made += _written(token_key_file(), keys.token_key)
    except BaseException:
        take_away(made)
        raise
    return made


def take_away(made: list[Path]) -> None:
    """Remove what `put` has written."""
    for path in made:
        path.unlink()


def _opens(cipher: MultiFernet | None, value: str) -> bool:
    try:
        return cipher is not None and cipher.decrypt(value.encode()) is not None
    except InvalidToken:
        return False


def _others(where: str | Path) -> OtherKeys:
    remedy = "move it away if nothing needs it" if isinstance(where, Path) else "let it name the backup's, or nothing"
    return OtherKeys(f"{where} has other keys than the backup: {remedy}.")


def _content(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _written(path: Path, content: str) -> list[Path]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.restored")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        raise _others(path) from None
    finally:
        draft.unlink(missing_ok=True)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return [path]
