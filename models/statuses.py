"""What becomes of all deployments, as it is now: for those who watch many of them and miss nothing but what is over already."""

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from models.bell import PATIENCE, bell
from models.database import AWAY, fetch
from models.enums import DeploymentStatus, StageName
from models.lifecycle import IS_ACTIVE
from models.watcher import Telling

log = structlog.get_logger()

PACE: Final = 0.1
"""Seconds between two looks at the same deployments, however much happens."""
RECENT: Final = "10 seconds"
"""For so long an ended deployment may have something new to tell."""

_MOVED: Final = f"""
select id, last_seq from deployment
where deleted_at is null and (status = 'pending' or {IS_ACTIVE} or finished_at > now() - interval '{RECENT}')
"""  # noqa: S608 (ours)
_NEWEST: Final = "select id from deployment where application_id = $1 and deleted_at is null order by id desc limit 1"
_NOW: Final = """
select d.id, d.application_id, d.project_id, d.status, d.progress, d.last_seq, e.stage, coalesce(e.message, '')
from deployment d left join lateral (
    select stage, message from event where deployment_id = d.id and message <> '' order by seq desc limit 1
) e on true
where d.id = any($1::uuid[]) and d.deleted_at is null
"""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Status:
    """A deployment as it is now; `seq` is the number of its last event, `message` the last one that says something."""

    deployment_id: UUID
    application_id: UUID
    project_id: UUID
    status: DeploymentStatus
    progress: int
    seq: int
    stage: StageName | None
    message: str

    @property
    def key(self) -> UUID:
        """Whose state it is."""
        return self.deployment_id


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def newest(application_id: UUID) -> list[Status]:
    """The newest deployment of an application as it is now, if there is one."""
    ids = await fetch(_NEWEST, application_id)
    return [Status(*each) for each in await fetch(_NOW, [id for (id,) in ids])]


class Statuses(Telling):
    """Reads what becomes of deployments, once for all who watch in this process; nothing while nobody does."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = asyncio.Event()
        self._known: dict[UUID, int] = {}
        """The number of the last event of each deployment that was told."""

    def _stopped(self) -> None:
        self._begun.clear()

    async def begun(self) -> None:
        """Wait until whoever watches is told of all that happens from then on."""
        await self._begun.wait()

    async def _run(self) -> None:
        looked, rung, time = 0.0, set[UUID](), asyncio.get_running_loop().time
        with bell.heard_whoever_is_meant() as ear:
            while True:
                ear.clear()
                rung |= {found for each in ear.noted() if (found := _id(each)) is not None}
                try:
                    if time() - looked >= PATIENCE:
                        rung |= await self._moved(self._begun.is_set())
                        looked = time()
                        self._begun.set()
                    self._tell([Status(*each) for each in await fetch(_NOW, list(rung))] if rung else [])
                    rung = set()
                except AWAY as error:
                    log.warning("statuses.database_away", error=type(error).__name__)
                except Exception:
                    log.exception("statuses.unexpected")
                await asyncio.sleep(PACE)
                await ear.wait()

    async def _moved(self, begun: bool) -> set[UUID]:
        """Those that have more to tell than was told of them; what was before anybody watched is none of it."""
        living = {row[0]: row[1] for row in await fetch(_MOVED)}
        known = {id: self._known.get(id, 0) if begun else seq for id, seq in living.items()}
        self._known = known
        return {id for id, seq in living.items() if seq > known[id]}

    def _tell(self, statuses: list[Status]) -> None:
        new = [each for each in statuses if each.seq > self._known.get(each.deployment_id, 0)]
        self._known |= {each.deployment_id: each.seq for each in new}
        for watcher in self._watchers:
            watcher.put(new)


statuses: Final = Statuses()
