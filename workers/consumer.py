"""What a worker takes out of its queues: messages that make sense there; everything else is reported and passed over."""

import contextlib
from collections.abc import Iterable
from typing import Any

import structlog
from dramatiq import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError

log = structlog.get_logger()


class Strict(Consumer):
    """A consumer of one queue in front of Dramatiq's own.

    Of a message that cannot be decoded Dramatiq restarts the consumer, and one that names another queue it never finishes: then a worker
    that takes one message at a time takes no other one.
    """

    def __init__(self, inner: Consumer, queue: str) -> None:
        self._inner, self._queue = inner, queue

    def ack(self, message: Any) -> None:
        """Say that a message is done."""
        self._inner.ack(message)

    def nack(self, message: Any) -> None:
        """Say that a message is not wanted."""
        self._inner.nack(message)

    def requeue(self, messages: Iterable[Any]) -> None:
        """Give messages back."""
        self._inner.requeue(messages)

    def close(self) -> None:
        """Stop consuming."""
        self._inner.close()

    def __next__(self) -> MessageProxy | None:
        """The next message, or None when there is none just now. Raises `BrokerConnectionError`."""
        try:
            message: MessageProxy | None = self._inner.__next__()
        except BrokerConnectionError:
            raise
        except Exception as error:
            log.warning("worker.dropped", queue=self._queue, error=repr(error)[:200])
            return None
        if message is None or (message.queue_name == self._queue and isinstance(message.options.get("redis_message_id"), str)):
            return message
        log.warning("worker.dropped", queue=self._queue, message=repr(message)[:200])
        with contextlib.suppress(KeyError):  # it may have no id in Redis; the consumer counts it no more either way
            self._inner.nack(message)
        return None


class StrictBroker(RedisBroker):
    """Dramatiq's broker, whose consumers are strict."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Strict:
        """A consumer of a queue; `timeout` in milliseconds."""
        return Strict(super().consume(queue_name, prefetch, timeout), queue_name)
