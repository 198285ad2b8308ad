"""A worker process: Dramatiq's threads for the messages, one event loop on which all stages run, and the reconciler."""

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any
from uuid import UUID

import dramatiq
import structlog
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AsyncIO

from models import Installation, garbage
from models.database import AWAY, connected
from models.logs import configure
from models.settings import settings
from workers import broker, reconcile, rings
from workers.databases.backup import back_up
from workers.databases.restore import restore
from workers.databases.settle import settle as settle_database
from workers.docker import choose
from workers.docker_errors import DockerError
from workers.engine import Engine
from workers.pipeline import perform
from workers.publishing import publishing
from workers.runtime import Runtime
from workers.settle import settle
from workers.stages import STAGES

log = structlog.get_logger()

IDLE_POLL = 100
"""Milliseconds between two looks of an idle worker at the queue."""
RESTART_DELAY = 0.5
"""Seconds after which a consumer goes on that met an absent Redis or a message that makes no sense; 3 with Dramatiq's default."""
AWAKE = 0.5
"""Seconds after which the main thread looks up: the kernel may tell another thread of a signal, and only this one acts on it."""
GRACE = 20
"""Seconds that a stopping worker takes to end its processes and hand back its stages."""
CLOSING = 3
"""Seconds that it takes to disconnect."""


class Process(AsyncIO):
    """Dramatiq's event loop, with what the stages need around it."""

    def __init__(self) -> None:
        super().__init__()
        self.runtime: Runtime | None = None
        self.busy: set[asyncio.Task[None]] = set()
        self._resources = contextlib.AsyncExitStack()
        self._reconciler: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """The loop runs and everything is connected. Raises what connecting raises."""
        super().before_worker_boot(None, None)  # type: ignore[no-untyped-call]
        try:
            self._on_loop(self._open)
            yield
        finally:
            super().after_worker_shutdown(None, None)  # type: ignore[no-untyped-call]

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        """All workers share the loop, which runs by now."""

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        """Hand back what is running, then disconnect."""
        if self.runtime is not None and not self.runtime.stopping:
            self._on_loop(self._close)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        """The loop ends after the last of them."""

    def _on_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        thread = get_event_loop_thread()
        if thread is not None:
            thread.run_coroutine(work())

    async def _open(self) -> None:
        async with contextlib.AsyncExitStack() as resources:
            await resources.enter_async_context(connected())
            engine = await resources.enter_async_context(Engine())
            installation = await Installation.get()
            runtime = Runtime(await choose(), engine, publishing(), str(installation.id))
            runtime.work.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._resources = resources.pop_all()
        self.runtime = runtime
        garbage.set_aside()
        self._reconciler = asyncio.create_task(reconcile.run(runtime))
        log.info("worker.ready", name=runtime.name, docker=str(runtime.docker.path), builder=runtime.docker.builder)

    async def _close(self) -> None:
        if self.runtime is not None:
            self.runtime.stopping = True
        tasks = [*self.busy, *([self._reconciler] if self._reconciler else [])]
        for task in tasks:
            task.cancel()
        try:
            async with asyncio.timeout(GRACE):
                await asyncio.gather(*tasks, return_exceptions=True)
            async with asyncio.timeout(CLOSING):
                await self._resources.aclose()
        except TimeoutError:
            log.warning("worker.stopped_hard", busy=len(self.busy))

    async def run(self, work: Callable[[Runtime, UUID], Coroutine[Any, Any, None]], id: str) -> None:
        """Run one message's work; anything that is no id is dropped."""
        try:
            key = UUID(id)
        except (ValueError, AttributeError, TypeError):
            log.warning("worker.dropped", message=repr(id)[:100])
            return
        if self.runtime is None or self.runtime.stopping:
            return
        task = asyncio.create_task(work(self.runtime, key))
        self.busy.add(task)
        try:
            await asyncio.gather(task, return_exceptions=True)
        finally:
            self.busy.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AWAY):
            log.warning("worker.database_away", id=id, error=str(error))
        elif error is not None:
            log.error("worker.unexpected", id=id, exc_info=error)


def _declare(process: Process, queue: dramatiq.Broker) -> None:
    """Declare an actor for each stage, one for wishes, and those of databases."""

    def actor(name: str, work: Callable[[Runtime, UUID], Coroutine[Any, Any, None]]) -> None:
        async def take(id: str) -> None:
            await process.run(work, id)

        dramatiq.actor(actor_name=name, queue_name=rings.queue_of(name), broker=queue)(take)

    for declared in STAGES:
        actor(declared.actor, lambda runtime, id, declared=declared: perform(runtime, declared, id))  # type: ignore[misc]
    actor(rings.SETTLE, settle)
    actor(rings.SETTLE_DATABASE, settle_database)
    actor(rings.BACK_UP, back_up)
    actor(rings.RESTORE, restore)


def main() -> None:
    """Work until SIGINT or SIGTERM."""
    configure()
    dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = RESTART_DELAY  # read from the environment when dramatiq is imported
    process = Process()
    queue = broker.make_broker([process])
    _declare(process, queue)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    threads = settings().worker_threads
    places = {broker.STAGES: threads, broker.BUILDS: settings().build_concurrency, broker.WISHES: 1, broker.DATABASES: threads}
    workers = [dramatiq.Worker(queue, queues={name}, worker_threads=threads, worker_timeout=IDLE_POLL) for name, threads in places.items()]
    for worker in workers:
        # No more than it has threads for: what a busy worker has taken ahead of time, an idle one cannot take.
        worker.queue_prefetch = worker.worker_threads
    queue.emit_after("process_boot")
    try:
        with process.opened():
            _work(workers, stop)
    except (*AWAY, DockerError) as error:
        sys.exit(f"The worker could not begin: {error}")
    finally:
        queue.close()


def _work(workers: Sequence[dramatiq.Worker], stop: threading.Event) -> None:
    for worker in workers:
        worker.start()
    while not stop.wait(AWAKE):
        pass
    for worker in workers:
        for consumer in worker.consumers.values():
            consumer.pause()  # what is rung from now on is for others
    for worker in workers:
        worker.stop(timeout=GRACE * 1000)


if __name__ == "__main__":
    main()
