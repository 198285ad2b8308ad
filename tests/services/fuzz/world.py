"""The rows that schemathesis finds: new ones of each kind all the time, whatever it deletes."""

import hashlib
import random
from datetime import UTC, datetime
from typing import Any

from uuid_utils.compat import uuid7

import models
from models.backup_storage import storage
from models.database import database
from models.lifecycle import LIVING
from models.notifications import queue_for
from models.passwords import hashed
from schema.tokens import issued
from workers import ENGINES, database_wishes

PASSWORD = "correct horse battery"
FIRST = 6
"""How many rows of a kind there are in the beginning."""
NEWEST = 40
"""How many rows of a kind the requests are spread over."""
KINDS: dict[str, type[Any]] = {
    "users": models.User,
    "teams": models.Team,
    "members": models.Membership,
    "projects": models.Project,
    "applications": models.Application,
    "deployments": models.Deployment,
    "webhook-deliveries": models.WebhookDelivery,
    "databases": models.Database,
    "backups": models.DatabaseBackup,
    "restores": models.DatabaseRestore,
    "alerts": models.Alert,
    "notification-channels": models.NotificationChannel,
    "notifications": models.Notification,
}
"""Whose ids follow a segment of a path."""
PARENTS = {"members": "team_id", "webhook-deliveries": "application_id", "backups": "database_id", "restores": "database_id"}
"""What their ids are looked for within."""
UNFINISHED = [models.TaskStatus.pending, models.TaskStatus.running]
GIT = {"repo_url": "https://example.com/a.git", "branch": "main", "build_path": "./", "dockerfile": "Dockerfile"}
FILE = b"REDIS0011"
FILED: dict[str, Any] = {"object_name": "fuzz.rdb", "size": len(FILE), "checksum": hashlib.sha256(FILE).hexdigest()}
"""What a complete backup is the file of."""


def living(kind: str) -> Any:
    """The rows of a kind that requests may be about. The owners of the installation are left alone: they are those who ask."""
    rows = KINDS[kind].all()
    if kind == "users":
        rows = rows.filter(role=models.GlobalRole.member)
    if "deleted_at" in KINDS[kind]._meta.fields_map:
        rows = rows.filter(deleted_at__isnull=True)
    return rows


class World:
    """The database of a run, and whoever asks at present."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.owner: models.User
        self.token = ""
        self._hash = ""

    async def begin(self) -> None:
        """An installation that nobody has used yet."""
        await database().execute_script("truncate account, team, project cascade")
        self._hash = await hashed(PASSWORD)
        await self.renew()
        storage(models.StorageKind.local).write(FILED["object_name"], [FILE])
        for _ in range(FIRST):
            await self.grow()

    def name(self) -> str:
        """A name that nothing has yet."""
        return f"{self.dice.getrandbits(48):012x}"

    async def renew(self) -> None:
        """Another owner asks from now on, whatever has become of the one before and of their session."""
        self.owner = await self._person(models.GlobalRole.owner)
        self.token = await issued(self.owner)

    async def some(self, kind: str, within: str | None = None) -> str:
        """The id of a living row, of what it is within if that is given; of a member the person's id."""
        rows = living(kind)
        if kind in PARENTS and within is not None:
            rows = rows.filter(**{PARENTS[kind]: within})
        found = await rows.order_by("-id").limit(NEWEST).values_list("user_id" if kind == "members" else "id", flat=True)
        return str(self.dice.choice(found)) if found else str(uuid7())

    async def waiting(self, kind: str) -> dict[str, str]:
        """The ids by which a deployment, a backup or a restore is found that has not begun."""
        if kind == "deployments":
            return {"id": await self._waiting_deployment()}
        database = await models.Database.get(id=await self.some("databases"))
        row = await (self._backup(database) if kind == "backups" else self._restore(database))
        return {"id": str(database.id), f"{kind.removesuffix('s')}Id": str(row.id)}

    async def _waiting_deployment(self) -> str:
        application = await models.Application.get(id=await self.oldest("applications"))
        row = await models.Deployment.create(
            application=application, project_id=application.project_id, kind=models.DeploymentKind.git, snapshot={}
        )
        return str(row.id)

    async def oldest(self, kind: str) -> str:
        """The id of the row that holds what others make, so that the newer ones are empty and can be deleted."""
        found = await living(kind).order_by("id").first()
        return str(found.id)

    async def grow(self) -> None:
        """One more row of each kind; what is under way ends."""
        for kind in KINDS:
            await getattr(self, f"_make_{kind.replace('-', '_')}")()
        await self.end()

    async def free_ports(self) -> None:
        """Take the published ports from whoever has them: requests ask for the same ones again and again."""
        await models.PublishedPort.all().delete()

    async def end(self) -> None:
        """End what is under way, as no worker does here: a stream of events lasts until then, and a database is busy."""
        for row in await models.Deployment.filter(status__in=list(LIVING)):
            await self._succeed(row)
        for kind in (models.DatabaseBackup, models.DatabaseRestore):
            await kind.filter(status__in=UNFINISHED).update(status=models.TaskStatus.completed)
        await models.Database.filter(stopped=True).update(stopped=False)

    async def _succeed(self, row: models.Deployment) -> None:
        row.status, row.image = models.DeploymentStatus.success, "busybox:1"
        row.started_at = row.finished_at = row.created_at
        await row.save()

    async def _person(self, role: models.GlobalRole) -> models.User:
        name = self.name()
        return await models.User.create(username=name, email=f"{name}@example.com", password_hash=self._hash, role=role)

    async def _make_users(self) -> None:
        await self._person(models.GlobalRole.member)

    async def _make_teams(self) -> None:
        await models.Team.create(name=self.name())

    async def _make_members(self) -> None:
        role = self.dice.choice(list(models.TeamRole))
        await models.Membership.get_or_create(team_id=await self.some("teams"), user_id=await self.some("users"), defaults={"role": role})

    async def _make_projects(self) -> None:
        await models.Project.create(name=self.name(), owner=self.owner, team_id=await self.oldest("teams"))

    async def _make_applications(self) -> None:
        project, name = await self.oldest("projects"), self.name()
        await models.Application.create(name=name, project_id=project, service_name=name, image="busybox:1", git_source=GIT, env_vars=[])

    async def _make_webhook_deliveries(self) -> None:
        """One of each application that requests are about."""
        push = [{"branch": "main", "commit": None, "message": "", "paths": None, "reason": None}]
        about = {"provider": models.GitProvider.github, "delivery": self.name(), "event": "push", "push": push}
        outcome = {"outcome": models.WebhookOutcome.ignored, "reason": models.WebhookReason.paths_unchanged}
        for row in await living("applications").order_by("-id").limit(NEWEST):
            await models.WebhookDelivery.create(application=row, project_id=row.project_id, **about, **outcome)

    async def _make_deployments(self) -> None:
        """Several of one application, so that there is something to go back to."""
        application = await models.Application.get(id=await self.some("applications"))
        for _ in range(4):
            row = await models.Deployment.create(
                application=application, project_id=application.project_id, kind=models.DeploymentKind.git, snapshot={}
            )
            await self._succeed(row)

    async def _make_databases(self) -> None:
        engine = self.dice.choice([each for each in ENGINES.values() for _ in each.versions])
        await database_wishes.create(
            await models.Project.get(id=await self.oldest("projects")),
            name=self.name(),
            type=engine.type,
            version=self.dice.choice(engine.versions),
            memory_limit=1024,
            storage_size=1024,
        )

    async def _make_alerts(self) -> None:
        application = await models.Application.get(id=await self.some("applications"))
        what = {"metric": models.AlertMetric.memory, "severity": models.AlertSeverity.warning, "message": "487 of 512 MiB of memory"}
        await models.Alert.create(
            application=application,
            project_id=application.project_id,
            threshold=512,
            current=487,
            status=models.AlertStatus.resolved,
            seq=self.dice.getrandbits(52),
            **what,
        )

    async def _make_notification_channels(self) -> None:
        """A webhook, which alone is signed."""
        target = {"url": "https://hooks.example.com/x", "secret": "whsec_c2VjcmV0"}
        about = {"type": models.ChannelType.webhook, "events": [models.NotificationEvent.alert_raised.value]}
        await models.NotificationChannel.create(name=self.name(), project_id=await self.oldest("projects"), target=target, **about)

    async def _make_notifications(self) -> None:
        channel = await models.NotificationChannel.get(id=await self.some("notification-channels"))
        await queue_for(channel, models.NotificationEvent.alert_raised, {})

    async def _backup(self, row: models.Database, status: models.TaskStatus = models.TaskStatus.pending) -> models.DatabaseBackup:
        about = {"type": row.type, "version": row.version, "storage": models.StorageKind.local}
        owner = {"database_id": row.id, "project_id": row.project_id}
        file = FILED | {"finished_at": datetime.now(UTC)} if status is models.TaskStatus.completed else {}
        return await models.DatabaseBackup.create(name=self.name(), status=status, **owner, **about, **file)

    async def _restore(self, row: models.Database, status: models.TaskStatus = models.TaskStatus.pending) -> models.DatabaseRestore:
        backup = await self._backup(row, models.TaskStatus.completed)
        return await models.DatabaseRestore.create(database_id=row.id, project_id=row.project_id, backup=backup, status=status)

    async def _make_backups(self) -> None:
        """One of each database that requests are about."""
        for row in await living("databases").order_by("-id").limit(NEWEST):
            await self._backup(row, models.TaskStatus.completed)

    async def _make_restores(self) -> None:
        """One of each database that requests are about."""
        for row in await living("databases").order_by("-id").limit(NEWEST):
            await self._restore(row, models.TaskStatus.completed)
