"""The rows of the edge: names of applications, what was passed on to them, and how the edges of the nodes are."""

from uuid import UUID

from tortoise import fields

from models.enums import CertificateSource, CertificateStatus
from models.rows import Application, Project, Row
from models.secrets import EncryptedJSONField


class Domain(Row):
    """A name, or a part of its paths, under which the edge serves an application."""

    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )
    project_id: UUID
    project: fields.ForeignKeyRelation[Project] = fields.ForeignKeyField("models.Project", related_name=False, on_delete=fields.RESTRICT)
    domain = fields.CharField(max_length=253)
    path = fields.CharField(max_length=255)
    """Requests below this path; `/` is all."""
    container_port = fields.IntField(null=True)
    """None is the application's first port that speaks HTTP."""
    redirect_to = fields.CharField(max_length=253, null=True)
    """The domain that requests are sent on to, instead of to the application."""
    certificate = fields.CharEnumField(CertificateSource, max_length=16)
    own = EncryptedJSONField(null=True)
    """The uploaded `chain` and `key`, in PEM."""
    certificate_status = fields.CharEnumField(CertificateStatus, max_length=16, default=CertificateStatus.pending)
    certificate_error = fields.TextField(null=True)
    expires_at = fields.DatetimeField(null=True)

    class Meta:
        """One application per name and path."""

        table = "domain"
        unique_together = (("domain", "path"),)


class Traffic(Row):
    """What the edge has passed on to an application in the seconds before it was counted."""

    application_id: UUID
    application: fields.ForeignKeyRelation[Application] = fields.ForeignKeyField(
        "models.Application", related_name=False, on_delete=fields.CASCADE
    )
    seconds = fields.FloatField()
    requests = fields.IntField()
    errors = fields.IntField()
    """Those of the requests that were answered with 5xx."""
    p50 = fields.FloatField()
    """Milliseconds until a request was answered, of the faster half at most; the next two of 95 and 99 in a hundred."""
    p95 = fields.FloatField()
    p99 = fields.FloatField()

    class Meta:
        """Counted at `created_at`."""

        table = "traffic"
        indexes = (("application_id", "created_at"), ("created_at",))


class EdgeNode(Row):
    """What the edge of one node has said of itself last."""

    name = fields.CharField(max_length=255, unique=True)
    seen_at = fields.DatetimeField()
    served: list[int] = fields.JSONField(default=list)
    """The published ports that it listens on."""
    left_out: list[int] = fields.JSONField(default=list)
    """Those that another program of the node has."""
    trouble = fields.TextField(null=True)
    """What keeps it from keeping up."""

    class Meta:
        """Named as what it is."""

        table = "edge_node"
