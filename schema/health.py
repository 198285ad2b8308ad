"""Health: whether this gateway can do its work."""

from importlib.metadata import version

import strawberry

from models import database, valkey
from schema.access import Role
from schema.context import Context
from schema.errors import ServiceUnavailable
from schema.resource import Resource

service = Resource("", plural="health", path="/health", about="Whether this gateway can do its work.")


@strawberry.type
class Health:
    """What the gateway depends on, each `ok` or `away`; without the queue deployments wait, nothing is lost."""

    status: str
    version: str
    database: str
    queue: str


@service.query("", needs=Role.anonymous, view="status version database queue")
async def health(ctx: Context) -> Health:
    """Say whether the gateway is healthy: 503 while the database is away."""
    if not await database.answers():
        raise ServiceUnavailable("The database is away.")
    queue = "ok" if await valkey.answers() else "away"
    return Health(status="ok", version=version("dokploy"), database="ok", queue=queue)
