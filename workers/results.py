"""What the channels of a project are told of a deployment that has ended."""

from collections.abc import Mapping
from typing import Any, Final

from models import DeploymentStatus, NotificationEvent
from models.notifications import queue

EVENTS: Final = {
    DeploymentStatus.success: NotificationEvent.deployment_succeeded,
    DeploymentStatus.failed: NotificationEvent.deployment_failed,
    DeploymentStatus.cancelled: NotificationEvent.deployment_cancelled,
}


async def queue_result(row: Mapping[str, Any]) -> None:
    """Queue how a deployment has ended, within the transaction that ended it; that a newer push took its place is no news.

    The row has the columns that a transition returns.
    """
    if row["superseded_by"] is None:
        await queue(row["project_id"], EVENTS[DeploymentStatus(row["status"])], _data(row))


def _data(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is told, in the words of the API."""
    return {
        "deploymentId": row["id"],
        "applicationId": row["application_id"],
        "applicationName": row["application_name"],
        "projectId": row["project_id"],
        "status": row["status"],
        "trigger": row["trigger"],
        "branch": row["branch"],
        "commitSha": row["commit_sha"],
        "commitMessage": (row["commit_message"] or "").partition("\n")[0] or None,
        "duration": row["duration"],
        "errorCode": row["error_code"],
        "errorMessage": row["error_message"],
    }
