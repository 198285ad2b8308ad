"""DECISIONS 5 and 15 as data: for each operation which rule it falls under, and for each rule what becomes of each actor.

Written from the decisions alone, not read off `needs`: the matrix that was observed is held against it.
"""

from typing import Final

OK: Final = 200
"""Any 2xx."""
_REST = ("team admin", "project owner", "global admin", "global owner")


def _rule(anonymous: int, stranger: int, viewer: int, developer: int, *others: int) -> dict[str, int]:
    """What becomes of anonymous, stranger, viewer, developer, team admin, project owner, global admin, global owner."""
    return dict(
        zip(("anonymous", "stranger", "viewer", "developer", *_REST), (anonymous, stranger, viewer, developer, *others), strict=True)
    )


RULES: Final[dict[str, dict[str, int]]] = {
    "anonymous: __typename, login, register, providers; health": _rule(OK, OK, OK, OK, OK, OK, OK, OK),
    "login: nobody is called nobody": _rule(401, OK, OK, OK, OK, OK, OK, OK),
    "whoever is logged in, about themselves; a list shows what one may see": _rule(401, OK, OK, OK, OK, OK, OK, OK),
    "viewer reads; not seen is 404": _rule(401, 404, OK, OK, OK, OK, OK, OK),
    "developer also creates, deploys, scales, restarts, cancels, rolls back, backs up": _rule(401, 404, 403, OK, OK, OK, OK, OK),
    "developer also creates: the place is named in the body, not seen is 422": _rule(401, 422, 403, OK, OK, OK, OK, OK),
    "developer also creates with that teamId; a project's owner is nobody in its team": _rule(401, 422, 403, OK, OK, 422, OK, OK),
    "team admin also deletes, restores, sees webhook secrets; a project's owner is team admin there": _rule(
        401, 404, 403, 403, OK, OK, OK, OK
    ),
    "team admin also creates: the place is named in the body, not seen is 422": _rule(401, 422, 403, 403, OK, OK, OK, OK),
    "viewer reads the team; a project's owner is nobody in its team": _rule(401, 404, OK, OK, OK, 404, OK, OK),
    "team admin manages members": _rule(401, 404, 403, 403, OK, 404, OK, OK),
    "only owner/admin": _rule(401, 403, 403, 403, 403, 403, OK, OK),
    "only owners": _rule(401, 403, 403, 403, 403, 403, 403, OK),
}

_UNDER: Final[dict[str, str]] = {
    "anonymous:": "auth.register auth.providers health.health",
    "login:": "auth.login",
    "whoever": "auth.logout users.me users.update_me teams.list projects.list applications.list deployments.list databases.list "
    "alerts.list notification_channels.list notifications.list",
    "viewer reads;": "projects.get projects.applications applications.get applications.deployments applications.domains "
    "applications.webhook_deliveries applications.logs applications.follow_logs applications.events applications.metrics "
    "deployments.get deployments.logs deployments.events "
    "projects.databases databases.get databases.logs databases.follow_logs databases.metrics "
    "backup_schedules.get databases.backups databases.restores backups.get restores.get backups.progress restores.progress "
    "applications.alerts alerts.get resource_alerts.alerts alert_rules.get notification_channels.get notifications.get",
    "developer also creates, deploys": "projects.update applications.update applications.deploy applications.scale applications.restart "
    "deployments.cancel deployments.rollback domains.add domains.remove webhook_deliveries.redeliver "
    "deploy_keys.generate deploy_keys.remove "
    "databases.update backup_schedules.replace "
    "databases.start databases.stop databases.restart databases.credentials databases.backup backups.cancel "
    "backups.download alert_rules.replace",
    "developer also creates:": "applications.create databases.create",
    "developer also creates with": "projects.create",
    "team admin also deletes": "projects.delete applications.delete webhook_secrets.get webhook_secrets.rotate "
    "databases.delete databases.rotate_password backups.delete backups.restore restores.cancel backups.upload "
    "notification_channels.update notification_channels.delete notification_channels.test notification_channels.secret "
    "notification_channels.rotate_secret",
    "team admin also creates:": "notification_channels.create",
    "viewer reads the team": "teams.get teams.members",
    "team admin manages": "teams.update teams.delete members.add members.update members.remove",
    "only owner/admin": "users.list users.get teams.create audit.list metrics.system_metrics",
    "only owners": "users.update",
}


def rule_of(operation: str) -> dict[str, int]:
    """What the decisions say of an operation. Raises KeyError for one that they do not know."""
    for beginning, operations in _UNDER.items():
        if operation in operations.split():
            (rule,) = [each for words, each in RULES.items() if words.startswith(beginning)]
            return rule
    raise KeyError(f"DECISIONS 15 as data does not know {operation}")
