"""What people are told of an alert."""

from typing import Any

import pytest

from models import AlertMetric
from workers.alerts.measures import told


def row(metric: AlertMetric, current: float, most: float, threshold: float, open: str | None = None) -> dict[str, Any]:
    """A row of `watch`, of a rule of ten minutes."""
    return {"metric": metric, "current": current, "most": most, "threshold": threshold, "duration": 600, "open": open}


@pytest.mark.parametrize(("restarts", "said"), [(0, "0 restarts"), (1, "1 restart"), (2, "2 restarts")])
def test_a_single_restart_is_told_as_one(restarts: int, said: str) -> None:
    assert told(AlertMetric.restarts, row(AlertMetric.restarts, restarts, 1, 1)) == f"{said}: 1 or more within 600 s"
    assert told(AlertMetric.restarts, row(AlertMetric.restarts, restarts, 1, 1, open="an id")) == f"{said}: less than 1 again"
