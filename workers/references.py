"""References to a project's databases in the environment of its applications: `${{database.NAME.url}}`, resolved when it is deployed."""

import re
from collections.abc import Mapping
from typing import Any, Final

from models import Database
from workers.databases.contract import Credentials
from workers.databases.credentials import credentials_of
from workers.databases.desired import engine_of

_REFERENCE: Final = re.compile(r"\$\{\{\s*database\.([A-Za-z0-9-]{3,50})\.([a-z]+)\s*\}\}")
_SECRET: Final = frozenset({"url", "password"})


class UnknownReference(Exception):
    """A variable refers to something that the project does not have."""


async def resolved(config: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
    """A frozen configuration with what its references stand for; a variable that holds a password by that is a secret.

    Raises `UnknownReference`, unless it is not strict: then such a reference stays as it is.
    """
    variables = config["env_vars"]
    names = {found[1] for each in variables for found in _REFERENCE.finditer(each["value"])}
    if not names:
        return dict(config)
    rows = await Database.filter(project_id=config["project_id"], name__in=sorted(names), deleted_at__isnull=True)
    values = {f"{row.name}.{part}": value for row in rows for part, value in _parts(row).items()}
    return {**config, "env_vars": [_variable(each, values, strict) for each in variables]}


def _parts(row: Database) -> dict[str, str]:
    engine, credentials = engine_of(row), credentials_of(row)
    return {
        "url": engine.url(credentials, row.service_name, credentials.password),
        "host": row.service_name,
        "port": str(engine.port),
        **{name: getattr(credentials, name) for name in Credentials.__dataclass_fields__ if name != "admin_password"},
    }


def _variable(variable: Mapping[str, Any], values: Mapping[str, str], strict: bool) -> dict[str, Any]:
    secret = bool(variable["is_secret"])

    def put(found: re.Match[str]) -> str:
        nonlocal secret
        value = values.get(f"{found[1]}.{found[2]}")
        if value is None:
            if strict:
                raise UnknownReference(f"{variable['key']} refers to database.{found[1]}.{found[2]}, which the project does not have.")
            return found[0]
        secret = secret or found[2] in _SECRET
        return value

    return {**variable, "value": _REFERENCE.sub(put, variable["value"]), "is_secret": secret}
