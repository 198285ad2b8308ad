"""The queue: Dramatiq on Redis, in a database of its own. A message is a doorbell: it holds an id and nothing else (PIPELINE)."""

import functools
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import dramatiq
import msgspec
import redis
from dramatiq.middleware import Middleware, Pipelines
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.settings import settings
from workers.consumer import StrictBroker

STAGES, BUILDS, WISHES, DATABASES = "stages", "builds", "wishes", "databases"
QUEUES = (STAGES, BUILDS, WISHES, DATABASES)
"""Queues of their own: builds wait for a place to build, data for one to pass, and nothing else waits for either."""
HEARTBEAT_TIMEOUT = 15_000
"""Milliseconds after which a dead worker's messages go to others; 518 s with Dramatiq's default, 15 s with this."""
MAINTENANCE_CHANCE = 1_000_000
SOCKET_TIMEOUT = 2
"""Seconds."""


def queue_url(url: str) -> str:
    """The URL of the Redis database after the configured one."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query))
        return f"unix://{parts.path}?{urlencode(query | {'db': int(query.get('db', 0)) + 1})}"
    path = f"/{int(parts.path.strip('/') or 0) + 1}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def make_broker(middleware: list[Middleware]) -> StrictBroker:
    """A broker on the configured Redis. No retries: what has to be done again is rung again by the reconciler."""
    once = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(
        queue_url(settings().redis_url), socket_timeout=SOCKET_TIMEOUT, socket_connect_timeout=SOCKET_TIMEOUT, retry=once
    )
    return StrictBroker(  # type: ignore[no-untyped-call]
        client=client,
        middleware=[Pipelines(), *middleware],
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        maintenance_chance=MAINTENANCE_CHANCE,
    )


@functools.cache
def doorbell() -> StrictBroker:
    """The broker of a process that only rings."""
    broker = make_broker([])
    for queue in QUEUES:
        broker.declare_queue(queue)
    return broker


def message(actor: str, queue: str, id: str) -> dramatiq.Message[None]:
    """The message that rings one actor for one row."""
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=(id,), kwargs={}, options={"pipe_ignore": True})


def ring(chain: Sequence[tuple[str, str]], id: str) -> None:
    """Ring a chain of actors, each in its queue, for one row. Blocks on Redis for at most a few seconds; never call it on an event loop."""
    broker = doorbell()
    dramatiq.pipeline([message(actor, queue, id) for actor, queue in chain], broker=broker).run()


def rung() -> set[str]:
    """The ids in the messages that nobody has taken yet. Blocks on Redis, whose `RedisError` it raises.

    A message that was taken does not count: a worker whose connection broke while it took it never saw it.
    """
    waiting: set[str] = set()
    client = doorbell().client
    for queue in QUEUES:
        messages: list[bytes] = client.lrange(f"dramatiq:{queue}", 0, -1)  # type: ignore[assignment]
        if messages:
            bodies: list[bytes | None] = client.hmget(f"dramatiq:{queue}.msgs", messages)  # type: ignore[assignment]
            waiting.update(id for body in bodies if body and (id := _id_of(body)))
    return waiting


def _id_of(body: bytes) -> str | None:
    """The id in a message; None in one that is not ours."""
    try:
        (id,) = msgspec.json.decode(body, type=_Held).args
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return id


class _Held(msgspec.Struct):
    args: tuple[str, ...]
