"""Roles as numbers that can be compared (DECISIONS 15)."""

from enum import IntEnum

import models


class Role(IntEnum):
    """What an operation needs; each role includes the ones before it."""

    anonymous = 0
    """Nobody has to be logged in."""
    member = 1
    """Anybody who is logged in."""
    viewer = 2
    """Reads in a project."""
    developer = 3
    """Creates, deploys, scales, restarts, rolls back in a project."""
    admin = 4
    """Deletes in a project; its owner and the admins of its team."""
    operator = 5
    """The installation's owner and admins."""
    owner = 6
    """The installation's owners."""


TEAM_ROLES = {
    models.TeamRole.viewer: Role.viewer,
    models.TeamRole.developer: Role.developer,
    models.TeamRole.admin: Role.admin,
}

OPERATORS = frozenset({models.GlobalRole.owner, models.GlobalRole.admin})
