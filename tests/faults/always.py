"""What holds at every moment, whatever is under way: sentences that need no rest, and what may never be otherwise again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.faults.engine import Call
from tests.faults.installation import TERMINAL, Installation
from tests.faults.invariants import ROWS

NEED_REST = frozenset(
    {
        "{id} has not ended: it is {status}",
        "{id} is an application that is {status}, and nobody deploys it",
        "{id} is an application whose wish {wished} was not granted",
    }
)
ALWAYS: Mapping[str, str] = {sentence: sql for sentence, sql in ROWS.items() if sentence not in NEED_REST} | {
    "{id} is {status}, and an event says that it is {said}": """
        select d.id, d.status, e.status as said from deployment d join event e on e.deployment_id = d.id
        where e.status in ('success', 'failed', 'cancelled') and d.status <> e.status"""
}
"""A sentence for each kind of row that must never be there; each statement sees one moment."""
ORDER = ("pending", "cloning", "building", "deploying", *TERMINAL)
"""No deployment goes back in it."""
LOST = "The worker was lost; another one goes on"
_MARK = "#9 of epoch "
_MARKED = f"""
    select deployment_id as id, seq, message from event where message like '{_MARK}%' or message = '{LOST}' order by deployment_id, seq
"""


def mark(call: Call) -> Iterable[bytes]:
    """What builds print, so that each line tells which attempt it belongs to."""
    yield f"{_MARK}{call.labels()['dokploy.epoch']}\n".encode()


@dataclass(frozen=True)
class Seen:
    """A deployment as it was at one look."""

    status: str
    epoch: int
    attempt: int
    last_seq: int
    finished_at: datetime | None

    def becomes(self, now: "Seen") -> Iterator[str]:
        """What must not have happened between two looks."""
        if self.status in TERMINAL and self != now:
            yield f"had ended as {self}, and now it is {now}"
        for name in ("epoch", "attempt", "last_seq"):
            if getattr(now, name) < getattr(self, name):
                yield f"went back in its {name} from {getattr(self, name)} to {getattr(now, name)}"
        if ORDER.index(now.status) < ORDER.index(self.status):
            yield f"went back from {self.status} to {now.status}"


@dataclass
class Memory:
    """Every deployment as it was at the last look."""

    seen: dict[str, Seen] = field(default_factory=dict)

    async def look(self, installation: Installation) -> list[str]:
        """What is wrong at this moment, or has changed since the last look in a way that must not be."""
        found = [sentence.format(**row) for sentence, sql in ALWAYS.items() for row in await installation.servers.fetch(sql)]
        found += late(await installation.servers.fetch(_MARKED))
        rows = await installation.servers.fetch("select id, status, epoch, attempt, last_seq, finished_at from deployment")
        now = {str(row["id"]): Seen(*list(row.values())[1:]) for row in rows}
        found += [f"{id} is gone" for id in self.seen.keys() - now.keys()]
        found += [f"{id} {wrong}" for id, before in self.seen.items() if id in now for wrong in before.becomes(now[id])]
        self.seen = now
        return found


def late(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines that were written by an attempt which another one had followed already."""
    epochs: dict[str, int] = {}
    found = []
    for event in events:
        id = str(event["id"])
        epochs.setdefault(id, 1)
        if event["message"] == LOST:
            epochs[id] += 1
        elif event["message"] != f"{_MARK}{epochs[id]}":
            found.append(f"{id} is in epoch {epochs[id]}, and its event {event['seq']} is '{event['message']}'")
    return found
