"""Rows with ties, gaps and oddities, whoever looks at them, and in plain Python what each of them may see."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

import models
from gateway.graphql import Asking, Runner
from models import container_logs
from models.container_logs import Printed
from models.lifecycle import TERMINAL
from schema.context import Caller, Context
from schema.surface import CHAPTERS, ENTITIES, bind
from tests.services.conftest import Api

START = datetime(2024, 1, 1, tzinfo=UTC)
TIMES = [(START + timedelta(seconds=n)).isoformat() for n in range(4)]


@dataclass
class World:
    """Everything that is in the database."""

    callers: dict[str, Caller]
    teams: list[Any] = field(default_factory=list)
    members: set[tuple[UUID, UUID]] = field(default_factory=set)
    """Pairs of team and person."""
    memberships: list[Any] = field(default_factory=list)
    projects: list[Any] = field(default_factory=list)
    applications: list[Any] = field(default_factory=list)
    deployments: list[Any] = field(default_factory=list)
    databases: list[Any] = field(default_factory=list)
    backups: list[Any] = field(default_factory=list)
    restores: list[Any] = field(default_factory=list)
    alerts: list[Any] = field(default_factory=list)
    channels: list[Any] = field(default_factory=list)
    notifications: list[Any] = field(default_factory=list)

    def visible(self, caller: Caller) -> dict[str, list[Any]]:
        """The rows that a caller may see, by the names of their entities (DECISIONS 5 and 15)."""
        everything = caller.role is models.GlobalRole.owner
        mine = {team for team, person in self.members if person == caller.id}
        alive = [row for row in self.projects if row.deleted_at is None]
        projects = [row for row in alive if everything or row.owner_id == caller.id or row.team_id in mine]
        ids = {row.id for row in projects}

        def seen(rows: list[Any]) -> list[Any]:
            return [row for row in rows if getattr(row, "deleted_at", None) is None and (everything or row.project_id in ids)]

        return {
            "team": [row for row in self.teams if everything or row.id in mine],
            "member": [row for row in self.memberships if everything or row.team_id in mine],
            "project": projects,
            "application": seen(self.applications),
            "deployment": seen(self.deployments),
            "database": seen(self.databases),
            "backup": seen(self.backups),
            "restore": seen(self.restores),
            "alert": seen(self.alerts),
            "notificationChannel": seen(self.channels),
            "notification": seen(self.notifications),
        }

    def people(self, caller: Caller) -> set[UUID]:
        """The people whom a caller may ask for by their id: all of them, or themselves and the members of their teams."""
        everyone = {each.id for each in self.callers.values()}
        if caller.role is models.GlobalRole.owner:
            return everyone
        mine = {team for team, person in self.members if person == caller.id}
        return {caller.id} | {person for team, person in self.members if team in mine}


async def made(dice: random.Random, owner: str, member: str, viewer: str, stranger: str) -> World:
    """Fill the database: several rows share a time, some relations are empty, some rows are deleted, some contradict each other."""
    roles = {"owner": models.GlobalRole.owner}
    named = {"owner": owner, "member": member, "viewer": viewer, "stranger": stranger}
    world = World({name: Caller(UUID(id), roles.get(name, models.GlobalRole.member)) for name, id in named.items()})
    await _teams(world)
    await _projects(world, dice)
    await _applications(world, dice)
    await _deployments(world, dice)
    await _databases(world, dice)
    await _backups(world, dice)
    await _alerts(world, dice)
    await _channels(world, dice)
    await _logs(world)
    return world


async def _logs(world: World) -> None:
    """Everything has printed something."""
    for row in (*world.applications, *world.databases):
        lines = [Printed(f"2024-01-01T00:00:0{n}.000000000Z", level, 1, f"a line - {n}") for n, level in enumerate(models.LogLevel)]
        await container_logs.store(row.id, lines, 0, {})


async def _teams(world: World) -> None:
    world.teams = [await models.Team.create(name=f"Team{n}") for n in range(2)]
    of = ((0, "member", "admin"), (0, "viewer", "viewer"), (1, "viewer", "developer"))
    for number, name, role in of:
        team, person = world.teams[number], world.callers[name]
        world.memberships.append(await models.Membership.create(team=team, user_id=person.id, role=models.TeamRole(role)))
        world.members.add((team.id, person.id))


async def _projects(world: World, dice: random.Random) -> None:
    for n in range(9):
        owner = dice.choice(["owner", "member", "stranger"]) if n else "stranger"
        row = await models.Project.create(
            name=f"P{n}",
            owner_id=world.callers[owner].id,
            team=dice.choice([None, *world.teams]),
            deleted_at=START if n == 8 else None,
        )
        await models.Project.filter(id=row.id).update(created_at=START + timedelta(seconds=n // 2))
        world.projects.append(row)


async def _applications(world: World, dice: random.Random) -> None:
    source = {"repo_url": "https://x/y", "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"}
    for n in range(50):
        row = await models.Application.create(
            name=f"{dice.choice(['app', 'Web', 'a'])}-{n}",
            project=dice.choice(world.projects[:-2]) if n else world.projects[0],
            service_name=f"s{n}",
            env_vars=[{"key": f"K{k}", "value": 'ü"', "is_secret": bool(k % 2)} for k in range(dice.randrange(3))],
            status=dice.choice(list(models.ApplicationStatus)),
            image=dice.choice([None, "busybox:1"]),
            git_source=dice.choice([None, source]),
            deleted_at=START if n % 11 == 5 else None,
        )
        at = START + timedelta(milliseconds=500 * (n // 4))
        await models.Application.filter(id=row.id).update(created_at=at, updated_at=at)
        world.applications.append(row)


async def _deployments(world: World, dice: random.Random) -> None:
    living = [row for row in world.applications[:40] if row.deleted_at is None]
    for n in range(140):
        application = dice.choice(living if n % 50 else world.applications)
        project = dice.choice(world.projects) if n % 40 == 0 else application.project
        if n > 130:  # the last of its application belongs to a project that no member sees
            project = world.projects[8]
        row = await models.Deployment.create(
            id=uuid7(),
            application=application,
            project=project,
            kind=dice.choice(list(models.DeploymentKind)),
            status=dice.choice(sorted(TERMINAL)),
            snapshot={},
            finished_at=dice.choice([None, START, START + timedelta(seconds=dice.randrange(3))]),
            started_at=START,
            duration=dice.choice([None, 0, 1, 2]),
            branch=dice.choice([None, "main"]),
            error_code=dice.choice([None, "BUILD_FAILED"]),
            deleted_at=START if dice.random() < 0.1 else None,
        )
        await models.Deployment.filter(id=row.id).update(created_at=START + timedelta(seconds=dice.randrange(5)))
        world.deployments.append(row)


async def _databases(world: World, dice: random.Random) -> None:
    for n in range(24):
        kind = dice.choice(list(models.DatabaseType))
        row = await models.Database.create(
            name=f"{dice.choice(['db', 'Web', 'a'])}-{n}",
            project=dice.choice(world.projects[:-2]) if n else world.projects[0],
            type=kind,
            version=dice.choice(["8", "9"]),
            service_name=f"d{n}",
            volume=f"d{n}-data",
            status=dice.choice(list(models.DatabaseStatus)),
            credentials={"username": "app", "password": "ü", "admin_password": "x", "database": "shop"},
            configuration=dice.choice([{}, {"maxConnections": 9, "sharedBuffers": 64}]),
            memory_limit=512,
            storage_size=1024,
            size=dice.choice([None, 0, 5_000_000_000]),
            queries=dice.choice([None, 7_000_000_000]),
            cache_hit_rate=dice.choice([None, 0.5]),
            deleted_at=START if n % 11 == 5 else None,
        )
        at = START + timedelta(milliseconds=500 * (n // 4))
        await models.Database.filter(id=row.id).update(created_at=at, updated_at=at)
        world.databases.append(row)


async def _backups(world: World, dice: random.Random) -> None:
    for n in range(60):
        database = dice.choice(world.databases) if n > 5 else world.databases[0]
        project = dice.choice(world.projects) if n % 20 == 0 else database.project
        owner = {
            "database": database,
            "project": project,
            "started_at": dice.choice([None, START]),
            "transferred": dice.choice([0, 1 << 40]),
        }
        backup = await models.DatabaseBackup.create(
            name=dice.choice(["a", "b"]),
            trigger=dice.choice(list(models.BackupTrigger)),
            type=database.type,
            version=database.version,
            storage=dice.choice(list(models.StorageKind)),
            status=dice.choice([models.TaskStatus.completed, models.TaskStatus.failed]),
            size=dice.choice([None, 10, 6_000_000_000]),
            deleted_at=START if dice.random() < 0.1 else None,
            **owner,
        )
        await models.DatabaseBackup.filter(id=backup.id).update(created_at=START + timedelta(seconds=dice.randrange(5)))
        world.backups.append(backup)
        if n % 2:
            status = dice.choice([models.TaskStatus.completed, models.TaskStatus.failed])
            restore = await models.DatabaseRestore.create(backup=backup, status=status, **owner)
            await models.DatabaseRestore.filter(id=restore.id).update(created_at=START + timedelta(seconds=dice.randrange(5)))
            world.restores.append(restore)


async def _alerts(world: World, dice: random.Random) -> None:
    for n in range(40):
        application = dice.choice([row for row in world.applications if row.deleted_at is None])
        status = dice.choice(list(models.AlertStatus))
        row = await models.Alert.create(
            application=application,
            project_id=application.project_id,
            metric=list(models.AlertMetric)[n % 4],
            severity=models.AlertSeverity.warning,
            status=models.AlertStatus.resolved if n > 8 else status,
            threshold=dice.choice([512, 2.5]),
            current=dice.choice([487, 0.25]),
            message=f"a {n}",
            seq=n + 1,
            resolved_at=dice.choice([None, START]),
            deleted_at=START if n % 13 == 5 else None,
        )
        await models.Alert.filter(id=row.id).update(created_at=START + timedelta(seconds=n // 3))
        world.alerts.append(row)


async def _channels(world: World, dice: random.Random) -> None:
    targets = {
        models.ChannelType.webhook: {"url": "https://a.example.com/x", "secret": "whsec_eA=="},
        models.ChannelType.slack: {"url": "https://b.example.com/y"},
        models.ChannelType.email: {"recipients": ["a@example.com", "b@example.com"]},
    }
    for n in range(12):
        kind, target = dice.choice(list(targets.items()))
        project = dice.choice(world.projects[:-2])
        channel = await models.NotificationChannel.create(
            name=f"a{n // 2}", project=project, type=kind, target=target, events=["alert_raised"], enabled=dice.random() < 0.8
        )
        world.channels.append(channel)
        for status in models.NotificationStatus:
            told = await models.Notification.create(
                channel=channel,
                project=project,
                event=dice.choice(list(models.NotificationEvent)),
                data=dice.choice([{}, {"alertId": str(dice.choice(world.alerts).id)}]),
                status=status,
                error=dice.choice([None, "It could not be sent."]),
            )
            await models.Notification.filter(id=told.id).update(created_at=START + timedelta(seconds=n // 3))
            world.notifications.append(told)


class Asker:
    """Asks GraphQL as one caller, past HTTP."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.runner = Runner(bind(CHAPTERS, ENTITIES))

    async def __call__(self, text: str) -> Any:
        asking, context = Asking(text), Context(self.caller)
        answer = await self.runner.run(self.runner.prepared(asking, context), asking, context)
        return answer["data"], answer.get("errors", [])


async def peopled(api: Api) -> World:
    """A world of the installation's owner and three other people."""
    return await made(random.Random(7), api.owner.id, *[(await api.person()).id for _ in range(3)])
