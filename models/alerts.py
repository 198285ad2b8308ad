"""Alerts: what an application is watched for, and what was raised of it and is resolved again."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from tortoise import fields

from models.enums import AlertMetric, AlertSeverity, AlertStatus
from models.rows import Application, Project, Row

KEPT: Final = timedelta(days=90)
"""How long an alert is listed after it was resolved."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What raises an alert: a metric that is at its threshold, or above, for so many seconds. An application has one for each severity.

    The threshold is a percentage of what there may be; of restarts it is how many there were in that time.
    """

    metric: AlertMetric
    severity: AlertSeverity
    threshold: float
    duration: int


DEFAULTS: Final = (
    Rule(AlertMetric.memory, AlertSeverity.warning, 90, 60),
    Rule(AlertMetric.memory, AlertSeverity.critical, 95, 60),
    Rule(AlertMetric.restarts, AlertSeverity.warning, 3, 600),
)
"""The rules of an application that nobody has made others for."""


class Alert(Row):
    """That a rule was broken, from `created_at` until `resolved_at`."""

    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    metric = fields.CharEnumField(AlertMetric, max_length=16)
    severity = fields.CharEnumField(AlertSeverity, max_length=16)
    status = fields.CharEnumField(AlertStatus, max_length=16, default=AlertStatus.raised)
    threshold = fields.FloatField()
    """What there may be: MiB of memory, cores, restarts, or percent of the requests."""
    current = fields.FloatField()
    """What there was when it was raised, or resolved."""
    message = fields.TextField()
    resolved_at = fields.DatetimeField(null=True)
    seq = fields.BigIntField(unique=True)
    """The number of its last change, which grows with every change of any alert."""
    deleted_at = fields.DatetimeField(null=True)

    class Meta:
        """Of a rule one is open at most: an index of the migration holds it."""

        table = "alert"
        indexes = (("application_id", "seq"), ("application_id", "created_at"), ("project_id", "created_at"), ("created_at",))
