"""When something regular is due next: cron's five fields, read in a time zone."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

LOOKED_AT: Final = 24
"""Times that are compared to find out how close they come."""


class NoSchedule(Exception):
    """This is no schedule of five fields as cron has them, such as `0 3 * * *`, or there never is such a time."""


def following(cron: str, time_zone: str, after: datetime) -> datetime:
    """The first time of a schedule after another time. Raises `NoSchedule`."""
    try:
        return next(CronSim(cron, after.astimezone(ZoneInfo(time_zone)))).astimezone(UTC)
    except (CronSimError, StopIteration):
        raise NoSchedule(NoSchedule.__doc__) from None


def closest(cron: str, time_zone: str, after: datetime) -> timedelta:
    """How close the next times of a schedule come to each other. Raises `NoSchedule`."""
    times = [following(cron, time_zone, after)]
    for _ in range(LOOKED_AT):
        times.append(following(cron, time_zone, times[-1]))
    return min(later - earlier for earlier, later in itertools.pairwise(times))
