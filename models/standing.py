"""What the edge of each node says of itself, for everybody who is no edge: in the database, renewed every few seconds."""

import json
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from models.database import database

RENEWAL: Final = 5.0
"""Seconds."""
FRESH: Final = 20.0
"""Seconds after which an edge of which nothing is heard is taken for away."""
FORGOTTEN: Final = 86_400.0
"""Seconds after which nobody expects it back."""

_RECORD = """
    insert into edge_node (id, created_at, name, seen_at, served, left_out, trouble) values ($1, now(), $2, now(), $3, $4, $5)
    on conflict (name) do update set
        seen_at = excluded.seen_at, served = excluded.served, left_out = excluded.left_out, trouble = excluded.trouble
"""
_ALL = """
    select name, extract(epoch from now() - seen_at)::float8 as age, served, left_out, trouble
    from edge_node where seen_at > now() - make_interval(secs => $1) order by name
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an edge does."""

    served: tuple[int, ...] = ()
    """The published ports that it listens on."""
    left_out: tuple[int, ...] = ()
    """Those that another program of its node has."""
    trouble: str | None = None
    """What keeps it from keeping up."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an edge has said, so many seconds ago."""

    node: str
    age: float
    standing: Standing

    @property
    def is_fresh(self) -> bool:
        """Whether it is taken for what is so now."""
        return self.age <= FRESH

    @property
    def fact(self) -> str:
        """A sentence about it."""
        if not self.is_fresh:
            return f"nothing heard for {self.age:.0f} s"
        taken = ", ".join(map(str, self.standing.left_out))
        others = f"another program has {taken}" if taken else ""
        return "; ".join(part for part in (f"{len(self.standing.served)} ports served", others, self.standing.trouble) if part)

    @property
    def is_well(self) -> bool:
        """Whether everything that shall be served is."""
        return self.is_fresh and not self.standing.left_out and self.standing.trouble is None


async def record(node: str, standing: Standing) -> None:
    """Say it of a node."""
    values = [str(uuid4()), node, json.dumps(standing.served), json.dumps(standing.left_out), standing.trouble]
    await database().execute_query(_RECORD, values)
    await database().execute_query("delete from edge_node where seen_at < now() - make_interval(secs => $1)", [FORGOTTEN])


async def heard(within: float = FORGOTTEN) -> list[Heard]:
    """What the edges have said in the last so many seconds."""
    rows = await database().execute_query_dict(_ALL, [within])
    return [
        Heard(row["name"], row["age"], Standing(tuple(json.loads(row["served"])), tuple(json.loads(row["left_out"])), row["trouble"]))
        for row in rows
    ]
