"""What a database is made of as input, and how a row is made or changed from it."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from tortoise.transactions import in_transaction

import models
import workers
from schema.application_inputs import Name
from schema.database_settings import DatabaseConfigurationInput, read, too_large
from schema.errors import Conflict
from schema.filters import Compare
from schema.held import held
from schema.inputs import Input, refuse
from schema.page import sorting
from schema.rules import Between, Length
from schema.unique import unique

DatabaseName = Name
NAME_TAKEN = "The project has a database of this name."
MEMORY, STORAGE = 512, 10_240
"""MiB of a database of which nobody has said how much it may use."""


DatabaseSort = sorting("database", "created_at", "updated_at", "name")


class DatabaseFilters:
    """What databases can be filtered by."""

    project_id: UUID
    type: models.DatabaseType
    status: models.DatabaseStatus
    status_in: Annotated[list[models.DatabaseStatus], Compare("status", "in")]
    created_from: Annotated[datetime, Compare("created_at", ">=")]
    created_to: Annotated[datetime, Compare("created_at", "<=")]


@strawberry.pydantic.input
class DatabaseResourcesInput(Input):
    """What a database may use, in MiB: its memory is limited, from nine tenths of its storage on somebody is told."""

    memory_limit: Annotated[int, Between(32, 1_048_576)] | None = None
    storage_size: Annotated[int, Between(64, 1_073_741_824)] | None = None


@strawberry.pydantic.input
class CreateDatabaseInput(Input):
    """A new database; without a `version` it is the newest one."""

    name: DatabaseName
    type: models.DatabaseType
    version: Annotated[str, Length(1, 16)] | None = None
    project_id: str
    resources: DatabaseResourcesInput | None = None
    configuration: DatabaseConfigurationInput | None = None


@strawberry.pydantic.input
class UpdateDatabaseInput(Input):
    """What can be changed of a database; what is absent stays as it is. Settings take the place of all that were chosen before."""

    name: strawberry.Maybe[DatabaseName] = None
    resources: strawberry.Maybe[DatabaseResourcesInput] = None
    configuration: strawberry.Maybe[DatabaseConfigurationInput | None] = None


async def created(project: models.Project, input: CreateDatabaseInput) -> models.Database:
    """A database that will be made. Raises `ValidationFailed` and `Conflict`."""
    engine = workers.ENGINES[input.type]
    version = input.version or engine.versions[0]
    if version not in engine.versions:
        refuse("version", "enum", f"must be one of {', '.join(engine.versions)} for {engine.title}", version)
    resources = input.resources or DatabaseResourcesInput()
    memory = _memory(engine, resources.memory_limit or max(MEMORY, engine.least_memory))
    configuration = read(input.type, input.configuration, memory)
    async with unique(NAME_TAKEN), in_transaction():
        return await workers.database_wishes.create(
            await _living(project),
            name=input.name,
            type=input.type,
            version=version,
            configuration=configuration,
            memory_limit=memory,
            storage_size=resources.storage_size or STORAGE,
        )


async def sibling(database: models.Database, name: str) -> models.Database:
    """Another database of the same project that is as one is. Raises `Conflict`."""
    project = await models.Project.get(id=database.project_id)
    async with unique(NAME_TAKEN), in_transaction():
        return await workers.database_wishes.create(
            await _living(project),
            name=name,
            type=database.type,
            version=database.version,
            configuration=database.configuration,
            memory_limit=database.memory_limit,
            storage_size=database.storage_size,
        )


async def _living(project: models.Project) -> models.Project:
    """The project, which stays for as long as the transaction lasts. Raises `Conflict`."""
    found = await models.Project.filter(id=project.id, deleted_at__isnull=True).select_for_update().first()
    if found is None:
        raise Conflict("The project has just been deleted.", reason="DELETED")
    return found


def _memory(engine: Any, memory: int) -> int:
    if memory < engine.least_memory:
        refuse("resources.memoryLimit", "range", f"must be at least {engine.least_memory} for {engine.title}", memory)
    return memory


async def changed(database: models.Database, input: UpdateDatabaseInput) -> models.Database:
    """A database with its changes, of which its service learns in the background. Raises `ValidationFailed` and `Conflict`."""
    async with unique(NAME_TAKEN), in_transaction():
        row = await held(database)
        columns = _columns(row, input)
        if not columns:
            return row
        return await workers.database_wishes.change(row, **columns)


def _columns(row: models.Database, input: UpdateDatabaseInput) -> dict[str, Any]:
    columns: dict[str, Any] = {} if input.name is None else {"name": input.name.value}
    memory = row.memory_limit
    if input.resources is not None:
        given = input.resources.value
        memory = _memory(workers.ENGINES[row.type], given.memory_limit or memory)
        columns |= {"memory_limit": memory, "storage_size": given.storage_size or row.storage_size}
    if input.configuration is not None:
        columns["configuration"] = read(row.type, input.configuration.value, memory)
    elif memory < row.memory_limit and (large := too_large(row.type, row.configuration, memory)):
        refuse("resources.memoryLimit", "range", f"is too little for the {' and '.join(large)} of this database", memory)
    different = {name: value for name, value in columns.items() if value != getattr(row, name)}
    return different | ({"updated_at": datetime.now(UTC)} if different else {})
