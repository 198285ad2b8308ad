"""The limit to compare with: Starlette and asyncpg by hand, with the product's check of the session and of what the caller sees.

`BENCH_SCOPE=tenant` leaves both out and reads one team's projects, as the prototype's handler did.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.reads import sql
from bench.reads.data import TENANT
from gateway.auth import context_of
from models.database import connected, credentials
from models.secrets import decrypt
from models.settings import settings
from schema.application_inputs import MASK

OPEN = os.environ.get("BENCH_SCOPE") == "tenant"
_encode = msgspec.json.Encoder().encode
_json = msgspec.json.Decoder().decode


async def sight(request: Request) -> list[UUID] | None:
    """The projects the caller sees, None for all of them: the product's own answer."""
    request.scope["request_id"] = ""
    context = await context_of(request)
    projects = (await context.seen()).projects
    return None if context.operator else projects


class _NoReset(asyncpg.Connection):  # type: ignore[misc]
    """Returns to the pool without a round trip, as the product's connections do."""

    def get_reset_query(self) -> str:
        return ""


@dataclass
class Reader:
    """The pool, and the statements of each scope."""

    pool: Any
    everything: sql.Statements
    some: sql.Statements
    tenant: sql.Statements

    async def scope(self, request: Request) -> tuple[sql.Statements, tuple[Any, ...]]:
        """The statements for the caller, and the parameter that they end with."""
        if OPEN:
            return self.tenant, (TENANT,)
        visible = await sight(request)
        return (self.everything, ()) if visible is None else (self.some, (visible,))


@asynccontextmanager
async def _reading(app: Starlette) -> AsyncIterator[None]:
    async with (
        connected(),
        asyncpg.create_pool(**credentials(settings().database_url), min_size=4, max_size=8, connection_class=_NoReset) as pool,
    ):
        tally = await pool.fetchval(sql.TALLY)
        app.state.reader = Reader(pool, sql.everything(tally), sql.some(tally), sql.tenant(tally))
        yield


def _answer(value: Any) -> Response:
    return Response(_encode(value), media_type="application/json")


def _item(row: Any) -> dict[str, Any]:
    path = f"/api/applications/{row[0]}"
    return {
        "id": row[0],
        "name": row[1],
        "projectId": row[2],
        "image": row[3],
        "status": row[4],
        "replicas": row[5],
        "healthStatus": row[6],
        "createdAt": row[7],
        "lastDeployment": {"id": row[8], "status": row[9], "createdAt": row[10]} if row[8] else None,
        "_links": {"self": path, "deploy": f"{path}/deploy"},
    }


def _detail(row: Any) -> dict[str, Any]:
    path = f"/api/applications/{row['id']}"
    resources = _json(row["resources"]) if row["resources"] else {"memory_limit": None, "cpu_limit": None}
    check, source = _json(row["health_check"] or "null"), _json(row["git_source"] or "null")
    return {
        "id": row["id"],
        "name": row["name"],
        "projectId": row["project_id"],
        "serviceName": row["service_name"],
        "image": row["image"],
        "status": row["status"],
        "replicas": row["replicas"],
        "healthStatus": row["health_status"],
        "envVars": [
            {"key": each["key"], "value": MASK if each["is_secret"] else each["value"], "isSecret": each["is_secret"]}
            for each in decrypt(row["env_vars"])
        ],
        "ports": [
            {"containerPort": each["container_port"], "protocol": each["protocol"], "publishedPort": each["published_port"]}
            for each in _json(row["ports"])
        ],
        "volumes": [{"source": each["source"], "target": each["target"], "readOnly": each["read_only"]} for each in _json(row["volumes"])],
        "healthCheck": check
        and {
            "command": check["command"],
            "interval": check["interval"],
            "timeout": check["timeout"],
            "retries": check["retries"],
            "startPeriod": check["start_period"],
        },
        "domains": [],
        "resources": {
            "memoryLimit": resources["memory_limit"],
            "cpuLimit": resources["cpu_limit"],
            "currentMemory": None,
            "currentCpu": None,
        },
        "gitSource": source
        and {
            "repoUrl": source["repo_url"],
            "branch": source["branch"],
            "buildPath": source["build_path"],
            "dockerfile": source["dockerfile"],
            "lastCommitSha": row["last_commit_sha"],
            "lastSync": row["last_sync"],
        },
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "_links": {"self": path, "deploy": f"{path}/deploy"},
    }


async def applications(request: Request) -> Response:
    """A page of 20."""
    reader: Reader = request.app.state.reader
    statements, scope = await reader.scope(request)
    async with reader.pool.acquire() as connection:
        rows = await connection.fetch(statements.page, *scope)
        total = await connection.fetchval(statements.total, *scope)
    more = len(rows) > 20
    return _answer(
        {
            "data": [_item(row) for row in rows[:20]],
            "pagination": {"hasMore": more, "nextCursor": "x" if more else None, "prevCursor": None, "total": total, "totalCapped": False},
        }
    )


async def _found(request: Request, statement: Callable[[sql.Statements], str], show: Callable[[Any], Any]) -> Response:
    reader: Reader = request.app.state.reader
    statements, scope = await reader.scope(request)
    async with reader.pool.acquire() as connection:
        row = await connection.fetchrow(statement(statements), UUID(request.path_params["id"]), *scope)
    return _answer(show(row)) if row else Response(status_code=404)


async def detail(request: Request) -> Response:
    """One application with everything REST shows of it."""
    return await _found(request, lambda statements: statements.detail, _detail)


async def item(request: Request) -> Response:
    """One application as a page shows it."""
    return await _found(request, lambda statements: statements.item, _item)


async def nested(request: Request) -> Response:
    """Ten projects, ten applications of each, the last deployment of each."""
    reader: Reader = request.app.state.reader
    statements, scope = await reader.scope(request)
    async with reader.pool.acquire() as connection:
        projects = (await connection.fetch(statements.projects, *scope))[:10]
        of_project: list[list[Any]] = [[] for _ in projects]
        for row in await connection.fetch(sql.KIDS, [project[0] for project in projects]):
            of_project[row[0]].append(row)
    return _answer(
        [
            {"id": project[0], "name": project[1], "applications": [_kid(row) for row in rows[:10]]}
            for project, rows in zip(projects, of_project, strict=True)
        ]
    )


def _kid(row: Any) -> dict[str, Any]:
    return {
        "id": row[1],
        "name": row[2],
        "status": row[5],
        "createdAt": row[8],
        "lastDeployment": {"id": row[9], "status": row[10], "createdAt": row[11]} if row[9] else None,
    }


def application() -> Starlette:
    """Return the application; it connects when it starts."""
    return Starlette(
        routes=[
            Route("/api/applications", applications),
            Route("/api/applications/{id}", detail),
            Route("/items/{id}", item),
            Route("/nested", nested),
        ],
        lifespan=_reading,
    )
