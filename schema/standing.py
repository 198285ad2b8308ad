"""Whether those who hold something open may still do so: looked at every two seconds, for all of them at once (DECISIONS 16)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

import structlog
from tortoise.models import Model

import models
from models.database import AWAY, fetch
from schema.access import OPERATORS, TEAM_ROLES, Role
from schema.context import Caller, Context
from schema.errors import ApiError, Forbidden, InvalidToken, NotFound
from schema.fields import Entity

log = structlog.get_logger()

EVERY: Final = 2.0
"""Seconds between two looks."""

_LIVING = """
select s.id, u.id, u.role, u.tier, u.username from session s join account u on u.id = s.user_id
where s.id = any($1::uuid[]) and s.expires_at > $2 and u.disabled_at is null
"""
_ROLES = """
select m.user_id, p.id, m.role from membership m join project p on p.team_id = m.team_id
where m.user_id = any($1::uuid[]) and p.owner_id <> m.user_id and p.deleted_at is null
union all
select owner_id, id, 'admin' from project where owner_id = any($1::uuid[]) and deleted_at is null
"""


@dataclass(frozen=True)
class Held:
    """A row that is followed, and the role that it takes. The row itself would be kept for as long as somebody follows."""

    entity: Entity
    id: Any
    scope: UUID
    """What decides who may see it."""
    needs: Role = Role.viewer

    @classmethod
    def of(cls, entity: Entity, row: Model) -> "Held":
        """A row that has been read."""
        return cls(entity, row.pk, getattr(row, entity.scope))


@dataclass(eq=False, slots=True)
class Leave:
    """Somebody's leave to hold something open, for as long as the block lasts that it is entered for.

    `end` is called once, with the reason, when they lose it.
    """

    standings: "Standings"
    context: Context
    held: Held | None
    end: Callable[[ApiError], object]
    roles: Mapping[UUID, Role] = field(default_factory=dict)
    """By project, as of the last look; nothing for operators, who see everything, and before the first one."""
    over: bool = False

    def __enter__(self) -> Self:
        """Have it looked at; whoever is not logged in needs none."""
        if self.context.session_id is not None:
            self.standings.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Need it no longer."""
        self.standings.discard(self)

    def sees(self, project: UUID) -> bool:
        """Whether they may see what belongs to a project, as of the last look."""
        caller = self.context.user
        return caller is not None and (caller.role in OPERATORS or project in self.roles)

    def check(self, caller: Caller | None, roles: Mapping[UUID, Role], living: bool) -> ApiError | None:
        """Why it is lost, if it is."""
        self.roles = roles
        if caller is None:
            return InvalidToken()
        self.context.user = caller
        if self.held is None:
            return None
        if not living:
            return self._gone(self.held)
        if caller.role in OPERATORS:
            return None
        role = roles.get(self.held.scope, Role.anonymous)
        if role < Role.viewer:
            return self._gone(self.held)
        return Forbidden() if role < self.held.needs else None

    def _gone(self, held: Held) -> ApiError:
        return NotFound.row(held.entity.title, held.entity.singular, str(held.id))


class Standings:
    """All leaves of this process."""

    def __init__(self) -> None:
        self._leaves: set[Leave] = set()
        self._task: asyncio.Task[None] | None = None

    def leave(self, context: Context, held: Held | None, end: Callable[[ApiError], object]) -> Leave:
        """The leave of a caller to hold something open."""
        return Leave(self, context.again(), held, end)

    def add(self, leave: Leave) -> None:
        """Look at one more."""
        self._leaves.add(leave)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def discard(self, leave: Leave) -> None:
        """Look at one less."""
        self._leaves.discard(leave)
        if not self._leaves and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except AWAY as error:
                log.warning("standing.database_away", error=type(error).__name__)
            except Exception:
                log.exception("standing.unexpected")

    async def look(self) -> None:
        """Look at all of them. Raises what the database does."""
        leaves = [each for each in self._leaves if not each.over]
        callers = await _callers({each.context.session_id for each in leaves})
        roles = await _roles({each.id for each in callers.values() if each.role not in OPERATORS})
        living = await _living([each.held for each in leaves if each.held is not None])
        for leave in leaves:
            caller = callers.get(leave.context.session_id)
            alive = leave.held is None or leave.held.id in living
            error = leave.check(caller, roles.get(caller.id, {}) if caller else {}, alive)
            if error is not None:
                leave.over = True
                leave.end(error)


async def _callers(sessions: set[UUID | None]) -> dict[UUID | None, Caller]:
    rows = await fetch(_LIVING, list(sessions), datetime.now(UTC))
    return {session: Caller(id, models.GlobalRole(role), models.RateTier(tier), name) for session, id, role, tier, name in rows}


async def _roles(users: set[UUID]) -> dict[UUID, dict[UUID, Role]]:
    found: dict[UUID, dict[UUID, Role]] = defaultdict(dict)
    for user, project, role in await fetch(_ROLES, list(users)) if users else ():
        found[user][project] = TEAM_ROLES[models.TeamRole(role)]
    return found


async def _living(held: list[Held]) -> set[Any]:
    """The ids of the rows that are still there."""
    by_entity: dict[type[Model], tuple[Entity, set[Any]]] = {}
    for each in held:
        by_entity.setdefault(each.entity.model, (each.entity, set()))[1].add(each.id)
    found: set[Any] = set()
    for entity, ids in by_entity.values():
        found |= set(await entity.model.filter(id__in=list(ids), **entity.living).values_list("id", flat=True))
    return found


standings: Final = Standings()
