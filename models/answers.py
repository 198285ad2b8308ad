"""The first answers to requests that carry an Idempotency-Key, kept for 24 hours."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from models.database import database
from models.rows import KeptAnswer

LIFETIME = timedelta(hours=24)


@dataclass(frozen=True)
class Asking:
    """A request, as far as a later one can be the same."""

    user: UUID
    key: str
    fingerprint: str
    """SHA-256 of what was asked."""


async def claim(asking: Asking) -> bool:
    """Keep twins out until the transaction ends; False when one is at it."""
    rows = await database().execute_query_dict(
        "select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as claimed", [f"{asking.user} {asking.key}"]
    )
    return bool(rows[0]["claimed"])


async def find(asking: Asking) -> KeptAnswer | None:
    """The answer that was given to this key."""
    return await KeptAnswer.get_or_none(user_id=asking.user, key=asking.key, created_at__gt=datetime.now(UTC) - LIFETIME)


async def keep(asking: Asking, status: int, body: bytes) -> None:
    """Keep an answer, in place of one that has expired."""
    await database().execute_query(
        """
        insert into kept_answer (id, created_at, user_id, key, fingerprint, status, body) values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (user_id, key) do update set
            created_at = excluded.created_at, fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body
        """,
        [uuid7(), datetime.now(UTC), asking.user, asking.key, asking.fingerprint, status, body],
    )


async def forget_expired() -> None:
    """Delete what is not replayed any more."""
    await KeptAnswer.filter(created_at__lt=datetime.now(UTC) - LIFETIME).delete()
