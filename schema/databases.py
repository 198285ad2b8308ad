"""Databases: the chapter "Databases" of the specification."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import strawberry

import models
import workers
from schema import backups, container_logs, restores, series
from schema.access import Role
from schema.backups import BackupFilters, BackupSort, DatabaseBackup
from schema.container_logs import START, AfterLine, ContainerLine, ContainerLogs, LogSearch, Tail, logs_of, wanted
from schema.context import Context
from schema.database_inputs import CreateDatabaseInput, DatabaseFilters, DatabaseSort, UpdateDatabaseInput, changed, created
from schema.database_settings import NAMES, DatabaseConfiguration, shown
from schema.fields import Node, computed, entity, one, page
from schema.git_sources import MASK
from schema.page import Page
from schema.projects import Project, projects
from schema.resource import Resource
from schema.restores import DatabaseRestore, RestoreFilters, RestoreSort
from schema.scalars import BigInt


@strawberry.type
class DatabaseStatistics:
    """What the server said of itself when it was asked last; null is what it did not say. `queries` is counted since its start."""

    connections: int | None
    queries: BigInt | None
    cache_hit_rate: float | None
    sampled_at: datetime | None


@strawberry.type
class DatabaseResources:
    """What the database may use, and what it used when that was measured last, in MiB; `storageAlert` from nine tenths on."""

    memory_limit: int
    storage_size: int
    current_memory: int | None
    current_storage: int | None
    storage_alert: bool


def _url(type: models.DatabaseType, credentials: dict[str, str], service_name: str) -> str:
    return workers.database_url(type, credentials, service_name, MASK)


def _statistics(connections: int | None, queries: int | None, rate: float | None, at: datetime | None) -> DatabaseStatistics:
    return DatabaseStatistics(
        connections=connections, queries=None if queries is None else BigInt(queries), cache_hit_rate=rate, sampled_at=at
    )


def _resources(memory: int, storage: int, now: int | None, stored: int | None, alert: bool) -> DatabaseResources:
    return DatabaseResources(memory_limit=memory, storage_size=storage, current_memory=now, current_storage=stored, storage_alert=alert)


@entity(models.Database, scope="project_id")
class Database(Node):
    """A server of one of the engines, and what it holds."""

    name: str
    project_id: strawberry.ID
    project: Project = one("project_id")
    type: models.DatabaseType
    version: str
    service_name: str
    status: models.DatabaseStatus
    error_message: str | None
    connection_string: str = computed(_url, "type", "credentials", "service_name")
    size: BigInt | None
    statistics: DatabaseStatistics = computed(_statistics, "connections", "queries", "cache_hit_rate", "sampled_at")
    resources: DatabaseResources = computed(
        _resources, "memory_limit", "storage_size", "current_memory", "current_storage", "storage_alert"
    )
    configuration: DatabaseConfiguration = computed(shown, "configuration")
    next_backup_at: datetime | None
    backups: Page[DatabaseBackup] = page("-created_at", fk="database_id", sort=BackupSort, filters=BackupFilters)
    restores: Page[DatabaseRestore] = page("-created_at", fk="database_id", sort=RestoreSort, filters=RestoreFilters)
    created_at: datetime
    updated_at: datetime


databases = Resource("database", Database)

LINKS = {"self": "databases.get", "backups": "databases.backups", "logs": "databases.logs", "metrics": "databases.metrics"}
SUMMARY_LINKS = {"self": "databases.get", "backups": "databases.backups"}
SUMMARY = "id name type version status size projectId createdAt"
DETAIL = f"""
    id name projectId type version status errorMessage serviceName connectionString size
    statistics {{ connections queries cacheHitRate sampledAt }}
    resources {{ memoryLimit storageSize currentMemory currentStorage storageAlert }}
    configuration {{ {NAMES} }}
    nextBackupAt createdAt updatedAt
"""

list_ = databases.list(needs=Role.viewer, filters=DatabaseFilters, search=True, sort=DatabaseSort, view=SUMMARY, links=SUMMARY_LINKS)

of_project = projects.related("databases", needs=Role.viewer, view=SUMMARY, links=SUMMARY_LINKS)

get = databases.get(needs=Role.viewer, view=DETAIL, links=LINKS)

backups_ = databases.related("backups", needs=Role.viewer, view=backups.VIEW, links=backups.LINKS)

restores_ = databases.related("restores", needs=Role.viewer, view=restores.VIEW, links=restores.LINKS)


@databases.post(needs=Role.member, view=DETAIL, links=LINKS)
async def create(ctx: Context, input: CreateDatabaseInput) -> models.Database:
    """Create a database, which is started in the background; it takes a developer of its project."""
    project = await ctx.reference(Project, input.project_id, Role.developer, field="projectId")
    return await created(project, input)


@databases.patch("/{id}", needs=Role.developer, view=DETAIL, links=LINKS)
async def update(ctx: Context, database: models.Database, input: UpdateDatabaseInput) -> models.Database:
    """Update a database; what its server has to be started again for is done in the background, its data stay."""
    return await changed(database, input)


@databases.delete("/{id}", needs=Role.admin)
async def delete(ctx: Context, database: models.Database, delete_volumes: bool = False, delete_backups: bool = False) -> None:
    """Delete a database; what runs of it goes in the background, its data and the data of its backups only when asked for."""
    await workers.database_wishes.remove(database, delete_volumes=delete_volumes, delete_backups=delete_backups)


ACTION: dict[str, Any] = {"status": 202, "needs": Role.developer, "view": "id status", "links": ("self",)}


@databases.post("/{id}/start", **ACTION)
async def start(ctx: Context, database: models.Database) -> models.Database:
    """Start the database."""
    return await workers.database_wishes.start(database)


@databases.post("/{id}/stop", **ACTION)
async def stop(ctx: Context, database: models.Database) -> models.Database:
    """Stop the database; its data stay."""
    return await workers.database_wishes.stop(database)


@databases.post("/{id}/restart", **ACTION)
async def restart(ctx: Context, database: models.Database) -> models.Database:
    """Restart the database's server."""
    return await workers.database_wishes.restart(database)


@databases.post("/{id}/rotate-password", status=202, needs=Role.admin, view="id status", links=("self",))
async def rotate_password(ctx: Context, database: models.Database) -> models.Database:
    """Give the database another password; its server is started again, and applications get it with their next deployment."""
    return await workers.database_wishes.rotate(database)


@strawberry.type
class DatabaseCredentials:
    """By what a database is opened, in the network of its project."""

    username: str
    password: str
    database: str
    host: str
    port: int
    connection_string: str


@databases.query("/{id}/credentials", needs=Role.developer, view="username password database host port connectionString", discloses=True)
async def credentials(ctx: Context, database: models.Database) -> DatabaseCredentials:
    """Show by what the database is opened; each look is entered in the audit trail."""
    stored = database.credentials
    return DatabaseCredentials(
        username=stored["username"],
        password=stored["password"],
        database=stored["database"],
        host=database.service_name,
        port=workers.ENGINES[database.type].port,
        connection_string=workers.database_url(database.type, stored, database.service_name, None),
    )


@databases.query(
    "/{id}/logs",
    needs=Role.viewer,
    view=container_logs.VIEW,
    links={"self": "databases.logs", "stream": "databases.follow_logs"},
    items=container_logs.MOST,
)
async def logs(
    ctx: Context,
    database: models.Database,
    tail: Tail = 100,
    since: datetime | None = None,
    level: models.LogLevel | None = None,
    search: LogSearch = "",
    after_seq: AfterLine = START,
) -> ContainerLogs:
    """Get what the database's server has printed, from `level` on: the last lines, or the next after `afterSeq`."""
    return await logs_of(database, tail, wanted(since, level, search), after_seq)


@databases.stream("/{id}/logs", needs=Role.viewer, view=container_logs.LINE, follows=logs)
async def follow_logs(
    ctx: Context,
    database: models.Database,
    tail: Tail = 100,
    since: datetime | None = None,
    level: models.LogLevel | None = None,
    search: LogSearch = "",
    after_seq: AfterLine = START,
) -> AsyncIterator[ContainerLine]:
    """Follow what the database's server prints: the lines after `afterSeq`, or else the last ones, and those that come."""
    which = wanted(since, level, search)
    async with aclosing(container_logs.follow_logs(ctx, Database, database, tail, which, after_seq)) as found:
        async for line in found:
            yield line


@databases.query("/{id}/metrics", needs=Role.viewer, view=series.OF_DATABASE, items=series.MOST)
async def metrics(
    ctx: Context, database: models.Database, period: series.Period = "1h", step: series.Step | None = None
) -> series.DatabaseMetrics:
    """Get what the database's server took in a period up to now; a `step` that is finer than what is stored is made longer."""
    return await series.of_database(database, period, step)


@databases.post(
    "/{id}/backup",
    status=202,
    needs=Role.developer,
    view="backupId: id status",
    links={"backup": "backups.get", "restore": "backups.restore"},
)
async def backup(ctx: Context, database: models.Database, input: backups.NewBackupInput) -> models.DatabaseBackup:
    """Create a backup: it counts once it was read back."""
    return await workers.database_wishes.back_up(database, name=input.name, compress=input.compress, storage=input.storage)
