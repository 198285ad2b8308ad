"""How each operation is asked for so that whoever may do it succeeds: the ids of its path, and what else it takes."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.services.conftest import PASSWORD, Person
from tests.services.place import Place

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Act:
    """A request to one operation, to be made in a place by somebody."""

    ids: tuple[str, ...] = ()
    """The names of a place's ids."""
    input: Callable[[Place, Person], dict[str, Any]] | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    """The body of an upload."""


def _account(place: Place, person: Person) -> dict[str, Any]:
    name = f"new{next(_numbers)}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD}


def _name(prefix: str, **more: str) -> Callable[[Place, Person], dict[str, Any]]:
    """A new name, and ids of the place."""
    return lambda place, person: {"name": f"{prefix}{next(_numbers)}", **{key: getattr(place, of) for key, of in more.items()}}


def _given(**input: Any) -> Callable[[Place, Person], dict[str, Any]]:
    return lambda place, person: input


ACTS: dict[str, Act] = {
    "auth.login": Act(input=lambda place, person: {"username": person.username or "nobody", "password": PASSWORD}),
    "auth.logout": Act(),
    "auth.providers": Act(),
    "auth.register": Act(input=_account),
    "users.me": Act(),
    "users.update_me": Act(input=lambda place, person: {"email": f"changed{next(_numbers)}@example.com"}),
    "users.list": Act(),
    "users.get": Act(("outsider",)),
    "users.update": Act(("outsider",), _given(tier="premium")),
    "teams.list": Act(),
    "teams.get": Act(("team",)),
    "teams.create": Act(input=_name("Crew of ")),
    "teams.update": Act(("team",), _given(description="changed")),
    "teams.delete": Act(("team",)),
    "teams.members": Act(("team",)),
    "members.add": Act(("team",), lambda place, person: {"userId": place.outsider, "role": "viewer"}),
    "members.update": Act(("team", "member"), _given(role="developer")),
    "members.remove": Act(("team", "member")),
    "projects.list": Act(),
    "projects.get": Act(("project",)),
    "projects.create": Act(input=_name("Ship", teamId="team")),
    "projects.update": Act(("project",), _given(description="changed")),
    "projects.delete": Act(("project",)),
    "projects.applications": Act(("project",)),
    "applications.list": Act(),
    "applications.get": Act(("application",)),
    "applications.deployments": Act(("application",)),
    "applications.create": Act(input=lambda place, person: _name("web-", projectId="project")(place, person) | {"image": "busybox:1"}),
    "applications.update": Act(("application",), _given(envVars=[])),
    "applications.delete": Act(("application",)),
    "applications.deploy": Act(("application",), _given()),
    "applications.scale": Act(("application",), _given(replicas=2)),
    "applications.restart": Act(("application",)),
    "applications.logs": Act(("application",)),
    "applications.follow_logs": Act(("application",)),
    "applications.events": Act(("application",)),
    "applications.domains": Act(("application",)),
    "applications.metrics": Act(("application",), arguments={"period": "24h"}),
    "applications.webhook_deliveries": Act(("application",)),
    "webhook_deliveries.redeliver": Act(("application", "delivery")),
    "webhook_secrets.get": Act(("application",)),
    "webhook_secrets.rotate": Act(("application",)),
    "deploy_keys.generate": Act(("application",)),
    "deploy_keys.remove": Act(("application",)),
    "domains.add": Act(("application",), lambda place, person: {"domain": f"new{next(_numbers)}.example.com"}),
    "domains.remove": Act(("application", "domain")),
    "deployments.list": Act(),
    "deployments.get": Act(("deployment",)),
    "deployments.cancel": Act(("waiting",)),
    "deployments.rollback": Act(("deployment",)),
    "deployments.logs": Act(("deployment",)),
    "deployments.events": Act(("deployment",)),
    "projects.databases": Act(("project",)),
    "databases.list": Act(),
    "databases.get": Act(("database",)),
    "databases.backups": Act(("database",)),
    "databases.restores": Act(("database",)),
    "databases.create": Act(input=lambda place, person: _name("store-", projectId="project")(place, person) | {"type": "redis"}),
    "databases.update": Act(("idle",), _given(configuration={"maxConnections": 50})),
    "databases.delete": Act(("database",)),
    "databases.start": Act(("database",)),
    "databases.stop": Act(("idle",)),
    "databases.restart": Act(("idle",)),
    "databases.rotate_password": Act(("idle",)),
    "databases.credentials": Act(("database",)),
    "databases.logs": Act(("database",)),
    "databases.follow_logs": Act(("database",)),
    "databases.metrics": Act(("database",)),
    "databases.backup": Act(("database",), _given()),
    "backup_schedules.get": Act(("database",)),
    "backup_schedules.replace": Act(("database",), _given(cron="0 3 * * *")),
    "backups.get": Act(("database", "backup")),
    "backups.delete": Act(("database", "older_backup")),
    "backups.cancel": Act(("database", "waiting_backup")),
    "backups.restore": Act(("database", "backup"), _given()),
    "backups.progress": Act(("database", "backup")),
    "restores.get": Act(("database", "restore")),
    "restores.progress": Act(("database", "restored")),
    "restores.cancel": Act(("database", "restore")),
    "backups.download": Act(("database", "backup")),
    "backups.upload": Act(("database",), content=b"REDIS"),
    "metrics.system_metrics": Act(),
    "applications.alerts": Act(("application",)),
    "alerts.list": Act(),
    "alerts.get": Act(("alert",)),
    "resource_alerts.alerts": Act(("application",)),
    "alert_rules.get": Act(("application",)),
    "alert_rules.replace": Act(("application",), _given(rules=[{"metric": "memory", "threshold": 80}])),
    "notification_channels.list": Act(),
    "notification_channels.get": Act(("channel",)),
    "notification_channels.create": Act(
        input=lambda place, person: (
            _name("pager-", projectId="project")(place, person) | {"type": "slack", "url": "https://example.com/hook"}
        )
    ),
    "notification_channels.update": Act(("channel",), _given(enabled=False)),
    "notification_channels.delete": Act(("channel",)),
    "notification_channels.test": Act(("channel",)),
    "notification_channels.secret": Act(("channel",)),
    "notification_channels.rotate_secret": Act(("channel",)),
    "notifications.list": Act(),
    "notifications.get": Act(("notification",)),
    "audit.list": Act(),
    "health.health": Act(),
}

_IN_PROJECT = ("/applications/{place.application}", "/databases/{place.database}", "/databases/{place.idle}")
EMPTIED = {"projects.delete": _IN_PROJECT, "teams.delete": (*_IN_PROJECT, "/projects/{place.project}")}
"""What must be gone from the place before something can be deleted."""
