"""Messages as channels are told them."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from models import NotificationEvent
from workers.notifications.contract import Message

ID: Final = UUID("01939f6e-8a00-7000-8000-000000000001")
AT: Final = datetime(2024, 12, 7, 10, 0, 0, 250000, tzinfo=UTC)

DEPLOYMENT: Final = {
    "deploymentId": "01939f6e-0000-7000-8000-00000000000d",
    "applicationId": "01939f6e-0000-7000-8000-00000000000a",
    "applicationName": "web",
    "projectId": "01939f6e-0000-7000-8000-00000000000f",
    "status": "failed",
    "trigger": "webhook",
    "branch": "main",
    "commitSha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    "commitMessage": "Make it <fast> & small",
    "duration": 12,
    "errorCode": "BUILD_FAILED",
    "errorMessage": "The build failed.",
}
ALERT: Final = {
    "alertId": "01939f6e-0000-7000-8000-00000000000e",
    "applicationName": "web",
    "metric": "memory",
    "severity": "critical",
    "status": "raised",
    "message": "485 of 512 MiB of memory for 60 s",
}


def message(event: str = "deployment_failed", **data: Any) -> Message:
    given = ALERT if event.startswith("alert") else {} if event == "test" else DEPLOYMENT
    return Message(ID, NotificationEvent(event), AT, given | data)
