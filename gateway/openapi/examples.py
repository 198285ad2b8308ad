"""Examples: built along a schema out of one table of samples, so that none can differ from what it is an example of."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

_PROJECT: Final = "01941702-1500-7a31-8c5e-1f0a6b2d4e01"
_APPLICATION: Final = "01941702-1500-7b42-9d6f-2a1b7c3e5f02"
_DEPLOYMENT: Final = "01941702-1500-7c53-8e70-3b2c8d4f6a03"
_TEAM: Final = "01941702-1500-7d64-9f81-4c3d9e5a7b04"
_DATABASE: Final = "01941702-1500-7cb9-8ed6-9182e3afc009"
_BACKUP: Final = "01941702-1500-7dca-8fe7-a293f4b0d10a"
_RESTORE: Final = "01941702-1500-7edb-90f8-b3a405c1e20b"
_ALERT: Final = "01941702-1500-7fed-91a9-c4b516d2f30c"
_CHANNEL: Final = "01941702-1500-70fe-82ba-d5c627e3a40d"
_USER: Final = "550e8400-e29b-41d4-a716-446655440000"
_TIME: Final = "2024-12-30T10:00:00Z"

SAMPLES: Final[Mapping[str, Any]] = {
    "action": "applications.scale",
    "address": "203.0.113.7",
    "alert.id": _ALERT,
    "alertId": _ALERT,
    "alert.message": "487 of 512 MiB of memory: 95 % or more for 60 s",
    "alert.status": "raised",
    "alert.threshold": 512,
    "alert.resolvedAt": None,
    "application.id": _APPLICATION,
    "applicationEvents.message": "Installing dependencies...",
    "applicationEvents.progress": 45,
    "applicationEvents.stage": "building",
    "applicationEvents.status": "building",
    "application.status": "running",
    "applicationCount": 12,
    "applicationId": _APPLICATION,
    "auditEntry.id": "01941702-1500-7f86-9ba3-6e5fb07c9d06",
    "author": "John Doe",
    "branch": "main",
    "buildOutput": "#5 [2/3] RUN npm ci",
    "buildPath": "./",
    "certificateStatus": "valid",
    "channelId": _CHANNEL,
    "command": "curl -f http://localhost:8080/health",
    "commitMessage": "Fix bug in authentication",
    "commitSha": "abc123def456",
    "container": "shop-7kq2x-1",
    "containerPort": 8080,
    "cpuLimit": 0.5,
    "createApplication.status": "pending",
    "cron": "0 3 * * *",
    "current": 487,
    "currentCpu": 0.23,
    "currentMemory": 345,
    "currentPassword": "oldsecretpassword",
    "currentReplicas": 5,
    "database": "ok",
    "databaseCount": 3,
    "cancelDeployment.status": "building",
    "deployApplication.estimatedTime": 300,
    "deployApplication.queuePosition": 2,
    "deployApplication.status": "pending",
    "deployment.estimatedTime": None,
    "deployment.id": _DEPLOYMENT,
    "deployment.previousDeploymentId": None,
    "deployment.progress": 100,
    "deployment.cancelRequestedAt": None,
    "deployment.queuePosition": None,
    "deployment.supersededBy": None,
    "deployment.trigger": "manual",
    "deploymentEvents.estimatedTime": None,
    "deploymentEvents.queuePosition": None,
    "deployment.status": "success",
    "deploymentCount": 145,
    "deploymentEvents.kind": "progress",
    "deploymentEvents.message": "Installing dependencies...",
    "deploymentEvents.progress": 45,
    "deploymentEvents.stage": "building",
    "deploymentEvents.status": "building",
    "deploymentId": _DEPLOYMENT,
    "certificate": "acme",
    "certificateChain": None,
    "certificateError": None,
    "dockerfile": "Dockerfile",
    "domain": "myapp.example.com",
    "duration": 245,
    "email": "admin@example.com",
    "error": None,
    "expiresAt": "2025-03-30T00:00:00Z",
    "expiresIn": 604_800,
    "fields.name": "replicas",
    "fields.value": "5",
    "finishedAt": "2024-12-30T10:04:05Z",
    "hasMore": True,
    "health.status": "ok",
    "image": "nginx:latest",
    "interval": 30,
    "keepDays": None,
    "keepLast": 7,
    "key": "PORT",
    "label": "Corporate account",
    "lastCommitSha": "abc123def456",
    "lastDeployment.id": _DEPLOYMENT,
    "lastDeployment.status": "success",
    "lastSeq": 1,
    "cpu.value": 0.23,
    "memory.value": 345,
    "networkRx.value": 1_024_000,
    "networkTx.value": 512_000,
    "requests.value": 150,
    "errors.value": 2,
    "period": "1h",
    "step": 60,
    "system.cpu": 0.45,
    "system.memory": 2048,
    "system.disk": 10_240,
    "rx": 1_024_000,
    "tx": 512_000,
    "applications.total": 45,
    "applications.running": 42,
    "applications.stopped": 2,
    "applications.error": 1,
    "deployments.total": 1234,
    "lastHour": 12,
    "successRate": 0.95,
    "level": "info",
    "lost": 0,
    "loginUrl": "https://dokploy.example.com/api/auth/oidc/login?provider=corp",
    "member.id": "01941702-1500-7a97-8cb4-7f60c18dae07",
    "memberCount": 5,
    "memoryLimit": 512,
    "message": "Cloning repository...",
    "name": "myapp",
    "nextCursor": "eyJpZCI6ImFwcC0xNDMifQ",
    "outcome": "success",
    "ownerId": _USER,
    "password": "secretpassword",
    "path": "/",
    "prevCursor": None,
    "previousReplicas": 3,
    "project.description": "The website and what it needs",
    "project.id": _PROJECT,
    "project.name": "Website",
    "privateKey": None,
    "projectCount": 12,
    "projectId": _PROJECT,
    "protocol": "tcp",
    "providers.name": "corp",
    "publishedPort": 30001,
    "queue": "ok",
    "replica": 1,
    "replicas": 3,
    "redirectTo": None,
    "repoUrl": "https://github.com/user/myapp",
    "requestId": "req-abc-123",
    "resourceId": _APPLICATION,
    "resourceType": "application",
    "retries": 3,
    "rollbackDeployment.previousDeploymentId": "01941702-1500-7e75-8a92-5d4eaf6b8c05",
    "rollbackDeployment.status": "pending",
    "scaleApplication.replicas": 5,
    "scaleApplication.status": "scaling",
    "seq": 1,
    "serviceName": "myapp-3f9c2a1b",
    "source": "app-data",
    "stages.duration": 15,
    "stages.finishedAt": "2024-12-30T10:00:15Z",
    "stages.status": "completed",
    "startPeriod": 0,
    "stopGracePeriod": 10,
    "target": "/data",
    "team.description": "Everybody who works on the backend",
    "team.id": _TEAM,
    "team.name": "Backend",
    "teamId": _TEAM,
    "teams.id": _TEAM,
    "teams.name": "Backend",
    "timeZone": "Europe/Berlin",
    "timeout": 10,
    "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...",
    "total": 145,
    "uploadBackup.status": "pending",
    "user.id": _USER,
    "userId": _USER,
    "username": "admin",
    "gitSource.token": None,
    "gitSource.username": None,
    "deployKey": None,
    "publicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl dokploy-myapp-3f9c2a1b",
    "provider": "github",
    "secret": "3q2-7wRYt5yQxJgk1tXwJm0Yb8c5vJd2Zr6n4uHkE9o",
    "github": "https://dokploy.example.com/api/webhooks/github",
    "gitlab": "https://dokploy.example.com/api/webhooks/gitlab",
    "gitea": "https://dokploy.example.com/api/webhooks/gitea",
    "bitbucket": "https://dokploy.example.com/api/webhooks/bitbucket",
    "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "event": "push",
    "notification.id": "01941702-1500-710f-83cb-e6d738f4b50e",
    "notification.deploymentId": None,
    "notification.event": "alert_raised",
    "notification.dueAt": None,
    "notification.error": None,
    "notification.status": "sent",
    "notification.tries": 1,
    "notificationChannel.events": "alert_raised",
    "notificationChannel.id": _CHANNEL,
    "notificationChannel.name": "pager",
    "notificationChannel.recipients": "oncall@example.com",
    "notificationChannel.type": "webhook",
    "notificationChannel.url": "https://hooks.example.com/***",
    "resourceAlerts.message": "487 of 512 MiB of memory: 95 % or more for 60 s",
    "resourceAlerts.status": "raised",
    "resourceAlerts.threshold": 512,
    "resourceAlerts.resolvedAt": None,
    "severity": "warning",
    "threshold": 90,
    "metric": "memory",
    "isDefault": False,
    "webhookDelivery.id": "01941702-1500-7ba8-8dc5-8071d29ebf08",
    "webhookDelivery.outcome": "queued",
    "webhookDelivery.reason": None,
    "watchPaths": "src/**",
    "value": "8080",
    "version": version("dokploy"),
    "database.id": _DATABASE,
    "database.name": "shop",
    "database.serviceName": "shop-3f9c2a1b",
    "database.size": 1_024_000_000,
    "database.status": "running",
    "database.version": "16",
    "databaseId": _DATABASE,
    "connectionString": "postgresql://user:***@host:5432/dbname",
    "connections": 12,
    "queries": 1500,
    "cacheHitRate": 0.95,
    "storageSize": 10_240,
    "currentStorage": 1024,
    "maxConnections": 100,
    "sharedBuffers": "256MB",
    "innodbBufferPoolSize": None,
    "maxConns": None,
    "maxMemory": None,
    "maxMemoryPolicy": None,
    "maxclients": None,
    "maxmemory": None,
    "maxmemoryPolicy": None,
    "wiredTigerCacheSize": None,
    "errorCode": None,
    "errorMessage": None,
    "nextBackupAt": None,
    "createDatabase.status": "pending",
    "startDatabase.status": "starting",
    "databaseCredentials.connectionString": "postgresql://app:secretpassword@shop-3f9c2a1b:5432/shop",
    "databaseCredentials.database": "shop",
    "databaseCredentials.username": "app",
    "host": "shop-3f9c2a1b",
    "port": 5432,
    "backupDatabase.backupId": _BACKUP,
    "backupDatabase.status": "pending",
    "backupId": _BACKUP,
    "cancelBackup.status": "cancelled",
    "backupProgress.checksum": None,
    "backupProgress.size": None,
    "backupProgress.status": "running",
    "backupProgress.step": "dumping",
    "compress": True,
    "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "databaseBackup.id": _BACKUP,
    "databaseBackup.name": "nightly",
    "databaseBackup.size": 102_400_000,
    "databaseBackup.status": "completed",
    "databaseBackup.step": "verifying",
    "databaseBackup.version": "16",
    "fileName": "nightly.dump",
    "transferred": 102_400_000,
    "cancelRestore.status": "cancelled",
    "databaseRestore.id": _RESTORE,
    "databaseRestore.status": "completed",
    "databaseRestore.step": "replacing",
    "newDatabaseName": "shop-copy",
    "restoreBackup.status": "pending",
    "restoreProgress.size": 204_800_000,
    "restoreProgress.status": "running",
    "restoreProgress.step": "loading",
    "safetyBackupId": "01941702-1500-7fec-8109-c4b516d2f30c",
}
"""A value by the name of its field, or by that name below its owner's: the field that holds the object, else the operation (by its name
in GraphQL) or its chapter."""

_BY_FORMAT: Final = {"date-time": _TIME, "uuid": _USER}


class MissingSample(TypeError):
    """A field has no sample, and its type suggests none."""


def sample(names: tuple[str, ...], schema: Mapping[str, Any]) -> Any:
    """A value for a leaf: by the first of its names that has one among the values it may take, else what its schema suggests.

    Raises `MissingSample`.
    """
    for name in names:
        if name in SAMPLES and SAMPLES[name] in schema.get("enum", (SAMPLES[name],)):
            return SAMPLES[name]
    match schema:
        case {"enum": [first, *_]}:
            return first
        case {"default": default}:
            return default
        case {"type": "boolean"}:
            return False
        case {"format": ("date-time" | "uuid") as format}:
            return _BY_FORMAT[format]
    raise MissingSample(f"{' or '.join(names)}: no sample of {dict(schema)}")


def _absent(names: tuple[str, ...]) -> bool:
    """Whether the sample of a field that may be null is null."""
    return next((SAMPLES[name] is None for name in names if name in SAMPLES), False)


def example(schema: Mapping[str, Any], components: Mapping[str, Any], owners: tuple[str, ...], names: tuple[str, ...] = ()) -> Any:
    """An example of a schema whose references lead to `components`. The items of a page (`data`) have its owners.

    Raises `MissingSample`.
    """

    def along(part: Mapping[str, Any]) -> Any:
        return example(part, components, owners, names)

    def child(key: str, part: Mapping[str, Any]) -> Any:
        return example(part, components, owners if key == "data" else (key,), (*(f"{owner}.{key}" for owner in owners), key))

    match schema:
        case {"$ref": reference}:
            return along(components[reference.rpartition("/")[2]])
        case {"examples": [first, *_]}:
            return first
        case {"anyOf": [first, {"type": "null"}]}:
            return None if _absent(names) else along(first)
        case {"type": "object", "properties": properties}:
            return {key: child(key, part) for key, part in properties.items()}
        case {"type": "array", "items": items}:
            return [along(items)]
    return sample(names, schema)
