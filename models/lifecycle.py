"""The phases of a deployment's life, as sets of states and as SQL; a new stage is active without being named here."""

from models.enums import DeploymentStatus, TaskStatus

PENDING = frozenset({DeploymentStatus.pending})
TERMINAL = frozenset({DeploymentStatus.success, DeploymentStatus.failed, DeploymentStatus.cancelled})
ACTIVE = frozenset(DeploymentStatus) - PENDING - TERMINAL
LIVING = PENDING | ACTIVE

IS_ACTIVE = "status not in ('pending', 'success', 'failed', 'cancelled')"
"""SQL over a deployment; the partial indexes say the same, word for word."""
IS_LIVING = "status not in ('success', 'failed', 'cancelled')"

UNFINISHED = (TaskStatus.pending, TaskStatus.running)
"""The states of a backup or a restore that has not ended."""
