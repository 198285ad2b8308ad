"""The actors of DECISIONS 15, and places for them to act in: a team with a project, an application and its deployments, databases."""

import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import models
import workers
from models import container_logs, passwords
from models.backup_storage import storage
from models.container_logs import Printed
from models.database import database
from models.events import Entry, append
from models.notifications import queue_for
from schema import tokens
from tests.services.conftest import PASSWORD, Api, Person

ACTORS = ("anonymous", "stranger", "viewer", "developer", "team admin", "project owner", "global admin", "global owner")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """Ids of what there is to act on."""

    team: str
    project: str
    application: str
    deployment: str
    waiting: str
    """A deployment that has not begun."""
    member: str
    """Somebody in the team, beside the actors."""
    domain: str
    """Of the application."""
    delivery: str
    """A webhook's to the application."""
    database: str
    """It runs."""
    idle: str
    """Another one that runs, of which nothing is being backed up or restored."""
    backup: str
    """Of the database, complete, and about to be restored."""
    older_backup: str
    """Another one, which is not."""
    waiting_backup: str
    """One that has not begun."""
    restore: str
    """Of the backup; it has not begun."""
    restored: str
    """Another one, which is complete."""
    alert: str
    """Of the application, not resolved."""
    channel: str
    """A webhook of the project's, that is signed."""
    notification: str
    """What the channel was told."""
    outsider: str
    """Somebody who is in no team."""


class Cast:
    """People in their roles. Each act has a place and a session of its own, so that nothing one does is in the way of another."""

    def __init__(self, api: Api, people: dict[str, models.User]) -> None:
        self._api, self._people = api, people

    async def actor(self, name: str) -> Person:
        """Somebody who has just logged in."""
        user = self._people.get(name)
        if user is None:
            return self._api.anonymous
        return Person(self._api.client, user.username, str(user.id), await tokens.issued(user))

    async def place(self) -> Place:
        """A team, a project in it, an application that was deployed twice and is about to be again, and databases that run."""
        n = next(_numbers)
        people = self._people
        team = await models.Team.create(name=f"Crew {n}")
        for role in models.TeamRole:
            await models.Membership.create(team=team, user=people["team admin" if role is models.TeamRole.admin else role.value], role=role)
        await models.Membership.create(team=team, user=people["member"], role=models.TeamRole.viewer)
        project = await models.Project.create(name=f"Boat{n}", owner=people["project owner"], team=team)
        application = await models.Application.create(
            name=f"app-{n}",
            project=project,
            service_name=f"app-{n}",
            env_vars=[],
            image="busybox:1",
            status=models.ApplicationStatus.running,
        )
        ids = [await _deployed(application) for _ in range(2)]
        waiting = await workers.start_deployment(application)
        internal = {"path": "/", "certificate": models.CertificateSource.internal}
        domain = await models.Domain.create(application=application, project=project, domain=f"app{n}.example.com", **internal)
        delivery = await _delivered(application)
        database, idle = await running(project, f"store-{n}"), await running(project, f"idle-{n}")
        older, backup = await backed_up(database), await backed_up(database)
        await filed(backup)
        waiting_backup = await workers.database_wishes.back_up(database, name=None)
        restore = await models.DatabaseRestore.create(database=database, project=project, backup=backup)
        for row in (application, database):
            await container_logs.store(row.id, [Printed("2026-11-28T12:00:00.000000000Z", models.LogLevel.info, 1, "ready")], 0, {})
        restored = await models.DatabaseRestore.create(
            database=database, project=project, backup=older, status=models.TaskStatus.completed, finished_at=datetime.now(UTC)
        )
        rows = (team, project, application, ids[-1], waiting, people["member"], domain, delivery)
        rows += (database, idle, backup, older, waiting_backup, restore, restored, *await _watched(application), people["outsider"])
        return Place(*[str(getattr(row, "id", row)) for row in rows])


async def _watched(application: models.Application) -> tuple[models.Alert, models.NotificationChannel, models.Notification]:
    """An alert of an application, a channel of its project, and what that was told."""
    about = {"application_id": application.id, "project_id": application.project_id}
    what = {
        "metric": models.AlertMetric.memory,
        "severity": models.AlertSeverity.warning,
        "threshold": 512,
        "current": 487,
        "message": "Full",
    }
    alert = await models.Alert.create(**about, **what, seq=10_000 + next(_numbers))
    target = {"url": "https://hooks.example.com/services/1", "secret": "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    channel = await models.NotificationChannel.create(
        project_id=application.project_id, name="pager", type=models.ChannelType.webhook, target=target, events=["alert_raised"]
    )
    told = await queue_for(channel, models.NotificationEvent.alert_raised, {"alertId": str(alert.id), "applicationId": str(application.id)})
    return alert, channel, told


async def running(project: models.Project, name: str, **columns: Any) -> models.Database:
    """A database that runs as it is wished for."""
    columns = {"type": models.DatabaseType.redis, "version": "8", "memory_limit": 256, "storage_size": 1024} | columns
    made = await workers.database_wishes.create(project, name=name, **columns)
    await models.Database.filter(id=made.id).update(status=models.DatabaseStatus.running, granted=made.wished)
    return await models.Database.get(id=made.id)


async def backed_up(database: models.Database, **columns: Any) -> models.DatabaseBackup:
    """A complete backup of a database."""
    now = datetime.now(UTC)
    about = {"name": "nightly", "type": database.type, "version": database.version, "storage": models.StorageKind.local}
    ended = {"status": models.TaskStatus.completed, "size": 1_024, "file_name": "nightly.rdb.gz", "started_at": now, "finished_at": now}
    return await models.DatabaseBackup.create(database_id=database.id, project_id=database.project_id, **(about | ended | columns))


async def filed(backup: models.DatabaseBackup, content: bytes = b"REDIS0011") -> None:
    """Put a file of a complete backup into its storage."""
    name = f"of/{backup.database_id}/{backup.id}.rdb"
    size = storage(backup.storage).write(name, [content])
    about = {"object_name": name, "size": size, "stored_size": size, "checksum": hashlib.sha256(content).hexdigest()}
    await models.DatabaseBackup.filter(id=backup.id).update(**about, finished_at=datetime.now(UTC))


async def _delivered(application: models.Application) -> Any:
    push = [{"branch": None, "commit": None, "message": "", "paths": None, "reason": "tag"}]
    about = {"provider": models.GitProvider.github, "event": "push", "push": push}
    ignored = {"outcome": models.WebhookOutcome.ignored, "reason": models.WebhookReason.tag}
    delivery = await models.WebhookDelivery.create(
        application=application, project_id=application.project_id, delivery=f"delivery-{next(_numbers)}", **about, **ignored
    )
    return delivery.id


async def _deployed(application: models.Application) -> Any:
    deployment = await models.Deployment.create(
        application=application,
        project_id=application.project_id,
        kind=models.DeploymentKind.image,
        status=models.DeploymentStatus.success,
        snapshot={},
        image="busybox:1",
        image_id="sha256:1",
        finished_at=datetime.now(UTC),
    )
    await append(database(), deployment.id, [Entry(models.EventKind.status, "It runs")])
    return deployment.id


async def cast(api: Api) -> Cast:
    """Everybody who acts, and two people who are acted on."""
    hashed = await passwords.hashed(PASSWORD)
    roles = {"global admin": models.GlobalRole.admin, "global owner": models.GlobalRole.owner}
    people = {}
    for name in (*ACTORS[1:], "member", "outsider"):
        username = f"{name.replace(' ', '-')}-{next(_numbers)}"
        people[name] = await models.User.create(
            username=username, email=f"{username}@example.com", password_hash=hashed, role=roles.get(name, models.GlobalRole.member)
        )
    return Cast(api, people)
