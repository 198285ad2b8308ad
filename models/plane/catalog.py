"""Which tables of a database are dokploy's, and what Postgres says of them."""

import graphlib
import importlib
from collections.abc import Iterable
from typing import Any, Final

from tortoise.models import Model

from models.database import configuration, migrations
from models.plane.archive import Table
from models.plane.errors import Misfit, NewerDatabase, NoTables
from models.secrets import EncryptedJSONField

MIGRATIONS: Final = "tortoise_migrations"
"""The table of the migrations that a database had."""
BESIDE_MODELS: Final = frozenset(
    {MIGRATIONS, "tally", "log_stream", "log_chunk", "log_position", "metric", "metric_host", "counted", "restart"}
)
"""Tables that no model names, all of which belong into a backup: what was measured is as much of the past as what was printed, and bounded.

A table that a later migration drops is still one of ours.
"""
FUNCTIONS: Final = (
    "count_end()",
    "count_stage()",
    "count_take_over()",
    "report_anew()",
    "tally_row()",
    "tally_up(text, uuid, integer)",
    "trigrams(text)",
)
"""Those that migrations make, as `regprocedure` writes them."""

_COLUMNS = """
    select c.relname, array_agg(a.attname::text order by a.attnum)
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
      and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    group by c.relname
"""
_REFERENCES = """
    select c.relname, f.relname from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class f on f.oid = k.confrelid
    where k.contype = 'f' and c.relnamespace = current_schema()::regnamespace and c.oid <> f.oid
"""
_SEQUENCES = """
    select s.relname, c.relname from pg_depend d join pg_class s on s.oid = d.objid join pg_class c on c.oid = d.refobjid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
      and s.relkind = 'S' and s.relnamespace = current_schema()::regnamespace
"""
_TRIGGERS = """
    select distinct c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where not t.tgisinternal and c.relnamespace = current_schema()::regnamespace
"""


def quoted(names: Iterable[str]) -> str:
    """Names in SQL, with commas between them."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def _models() -> list[type[Model]]:
    modules = configuration("postgresql://")["apps"]["models"]["models"]
    kinds = {each for name in modules for each in vars(importlib.import_module(name)).values() if isinstance(each, type)}
    return [each for each in kinds if issubclass(each, Model) and not each._meta.abstract and each._meta.db_table]


def ours() -> frozenset[str]:
    """The names of all tables that migrations make."""
    return BESIDE_MODELS | {each._meta.db_table for each in _models()}


def encrypted() -> list[tuple[str, str]]:
    """The tables and columns that hold secrets."""
    return sorted(
        (each._meta.db_table, field.source_field or name)
        for each in _models()
        for name, field in each._meta.fields_map.items()
        if isinstance(field, EncryptedJSONField)
    )


async def tables(connection: Any) -> list[Table]:
    """Our tables that there are, each after those that it refers to. Raises `Misfit` when they refer to one another in a circle."""
    columns = {name: tuple(found) for name, found in await connection.fetch(_COLUMNS) if name in ours()}
    after: dict[str, set[str]] = {name: set() for name in sorted(columns)}
    for name, other in await connection.fetch(_REFERENCES):
        if name in after and other in after:
            after[name].add(other)
    try:
        return [Table(name, columns[name]) for name in graphlib.TopologicalSorter(after).static_order()]
    except graphlib.CycleError as error:
        raise Misfit(f"Tables refer to one another in a circle: {', '.join(error.args[1])}.") from None


async def others(connection: Any) -> list[str]:
    """The tables beside ours."""
    return sorted(name for name, _ in await connection.fetch(_COLUMNS) if name not in ours())


async def sequences(connection: Any) -> list[str]:
    """The sequences of our tables."""
    return sorted(name for name, table in await connection.fetch(_SEQUENCES) if table in ours())


async def triggered(connection: Any) -> list[str]:
    """Our tables that have triggers of our own."""
    return sorted(name for [name] in await connection.fetch(_TRIGGERS) if name in ours())


async def last_migration(connection: Any) -> str:
    """The last migration that a database had. Raises `NoTables` when it had none, and `NewerDatabase` for one that is not known here."""
    if await connection.fetchval("select to_regclass($1)", MIGRATIONS) is None:
        raise NoTables
    known = await migrations()
    applied: set[str] = {name for [name] in await connection.fetch(f"select name from {MIGRATIONS} where app = 'models'")}  # noqa: S608 (ours)
    if not applied:
        raise NoTables
    if applied - set(known):
        raise NewerDatabase
    return max(applied, key=known.index)
