"""The state that the examples are sent to: a team with a project, an application that was deployed twice, a database, and people."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from tortoise.transactions import in_transaction

import models
from models import container_logs, metrics
from models.container_logs import Printed
from models.database import database
from schema import tokens
from schema.series import MIB
from tests.services.conftest import Person
from tests.services.place import backed_up, running
from tests.webhooks.senders import SECRET

PASSWORD = "secretpassword"
START = datetime(2024, 12, 30, 10, tzinfo=UTC)
STAGES = (("cloning", 0, 15), ("building", 15, 210), ("deploying", 210, 245))
"""Each with the seconds of its start and end."""

EMPTIED = ("audit", "deployment", "application", "database", "project", "team", "account", "metric_host")
"""The tables that a state begins without, and with them what refers to them; for a few rows this is faster than truncating."""


@dataclass
class State:
    """Who may send an example, and what stands for the names in braces."""

    client: httpx2.AsyncClient
    people: dict[str, Person]
    names: dict[str, str]

    def filled(self, value: Any) -> Any:
        """A value with the names in braces replaced."""
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        return re.sub(r"{(\w+)}", lambda found: self.names[found[1]], value) if isinstance(value, str) else value

    async def send(self, sender: str, operation: str, id: str = "", **options: Any) -> httpx2.Response:
        """Send a request as somebody; an id of the path that is called `:backupId` is that of the state's `backup`."""
        operation = re.sub(r":(\w+)Id", r"{\1}", operation.replace(":id", self.filled(id)))
        method, _, path = self.filled(operation).partition(" /api")
        return await self.people[sender].call(method, path, **options)


async def made(client: httpx2.AsyncClient, password_hash: str) -> State:
    """The state, in an empty database."""
    async with in_transaction():
        await database().execute_script("; ".join(f"delete from {table}" for table in EMPTIED))
        users = await _users(password_hash)
        people = {name: Person(client, name, str(user.id), await tokens.issued(user)) for name, user in users.items()}
        rows = await _rows(users)
    ids = {name: str(row.id) for name, row in (users | rows).items()}
    return State(client, people | {"anonymous": Person(client)}, ids | {"token": people["admin"].token})


async def _users(password_hash: str) -> dict[str, models.User]:
    roles = {"admin": models.GlobalRole.owner}
    tiers = {"premium": models.RateTier.premium}
    users = [
        models.User(
            username=name,
            email=f"{name}@example.com",
            password_hash=password_hash,
            role=roles.get(name, models.GlobalRole.member),
            tier=tiers.get(name, models.RateTier.authenticated),
        )
        for name in ("admin", "viewer", "newcomer", "premium")
    ]
    await models.User.bulk_create(users)
    return {user.username: user for user in users}


async def _rows(users: Mapping[str, models.User]) -> dict[str, Any]:
    team = await models.Team.create(name="Shop", description="Who sells")
    other = await models.Team.create(name="Stock")
    for name, role in (("admin", models.TeamRole.admin), ("viewer", models.TeamRole.viewer)):
        await models.Membership.create(team=team, user_id=users[name].id, role=role)
    project = await models.Project.create(name="Storefront", description="What customers see", owner_id=users["admin"].id, team=team)
    empty = await models.Project.create(name="Storeroom", description="What they do not", owner_id=users["admin"].id, team=team)
    application, worker = await _application(project, "web", 30001), await _application(project, "worker", 30002)
    await _deployment(worker, START)
    await _deployment(application, START - timedelta(days=1))
    deployment = await _deployment(application, START)
    await _measured(application)
    database, backup = await _database(project)
    named = {"team": team, "otherTeam": other, "project": project, "emptyProject": empty, "database": database, "backup": backup}
    return named | {"application": application, "deployment": deployment}


async def _application(project: models.Project, name: str, published: int) -> models.Application:
    """An application with everything that one can have."""
    port = {"container_port": 8080, "protocol": "tcp", "published_port": published}
    application = await models.Application.create(
        name=name,
        project=project,
        service_name=f"{name}-1",
        image=f"dokploy/{name}:1",
        status=models.ApplicationStatus.running,
        health_status=models.HealthStatus.healthy,
        replicas=3,
        env_vars=[{"key": "PORT", "value": "8080", "is_secret": False}],
        ports=[port],
        volumes=[{"source": "app-data", "target": "/data", "read_only": False}],
        health_check={"command": "true", "interval": 30, "timeout": 10, "retries": 3, "start_period": 0},
        resources={"memory_limit": 512, "cpu_limit": 0.5},
        git_source={"repo_url": "https://github.com/user/myapp", "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"},
        repository="github.com/user/myapp",
        webhook_secret={"secret": SECRET},
        last_commit_sha="abc123def456",
        last_sync=START,
    )
    await models.PublishedPort.create(port=published, application=application)
    started = Printed("2024-12-30T10:00:00.000000000Z", models.LogLevel.info, 1, "Server started on port 8080")
    await container_logs.store(application.id, [started], 0, {})
    return application


async def _measured(application: models.Application) -> None:
    """What its host takes, and what it took itself in the last ten seconds, in which it was asked for."""
    host = metrics.Host("node-1", cores=2, cpu=0.45, memory=2048 * MIB, disk=10_240 * MIB, network_rx=1_024_000, network_tx=512_000)
    taken = metrics.Taken(application.id, cpu=0.23, memory=345 * MIB, network_rx=1_024_000, network_tx=512_000)
    await metrics.store(datetime.now(UTC), host, [taken])
    await models.Traffic.create(application=application, seconds=30, requests=150, errors=2, p50=10, p95=20, p99=30)


async def _database(project: models.Project) -> tuple[models.Database, models.DatabaseBackup]:
    """A database that runs, was measured, and was backed up once."""
    database = await running(
        project,
        "orders",
        type=models.DatabaseType.postgresql,
        version="16",
        memory_limit=1024,
        storage_size=10_240,
        configuration={"maxConnections": 100, "sharedBuffers": 256},
        size=1_024_000_000,
        connections=12,
        queries=1500,
        cache_hit_rate=0.95,
        current_memory=768,
        current_storage=1024,
        sampled_at=START,
    )
    return database, await backed_up(database, size=102_400_000, file_name="nightly.dump")


async def _deployment(application: models.Application, start: datetime) -> models.Deployment:
    """A success with its stages and a line of log in each."""
    end = start + timedelta(seconds=STAGES[-1][2])
    deployment = await models.Deployment.create(
        application=application,
        project_id=application.project_id,
        kind=models.DeploymentKind.git,
        status=models.DeploymentStatus.success,
        snapshot={"project_id": str(application.project_id), "service_name": application.service_name, "image": application.image},
        branch="main",
        commit_sha="abc123def456",
        commit_message="Fix bug in authentication",
        author="John Doe",
        image=application.image,
        progress=100,
        started_at=start,
        finished_at=end,
        duration=STAGES[-1][2],
    )
    await models.Stage.bulk_create([_stage(deployment, start, position) for position in range(len(STAGES))])
    await models.Event.bulk_create([_line(deployment, start, position) for position in range(len(STAGES))])
    return deployment


def _stage(deployment: models.Deployment, start: datetime, position: int) -> models.Stage:
    name, begins, ends = STAGES[position]
    return models.Stage(
        deployment=deployment,
        position=position,
        name=models.StageName(name),
        status=models.StageStatus.completed,
        started_at=start + timedelta(seconds=begins),
        finished_at=start + timedelta(seconds=ends),
    )


def _line(deployment: models.Deployment, start: datetime, position: int) -> models.Event:
    name, begins, _ = STAGES[position]
    return models.Event(
        deployment=deployment,
        seq=position + 1,
        at=start + timedelta(seconds=begins),
        kind=models.EventKind.log,
        status=models.DeploymentStatus(name),
        stage=models.StageName(name),
        progress=10,
        level=models.LogLevel.info,
        message="Step 1/1 : FROM nginx" if name == "building" else f"{name.capitalize()}...",
    )
