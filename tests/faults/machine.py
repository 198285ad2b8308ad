"""A machine that lets anything happen to an installation in any order, and looks after each step whether everything still holds."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from signal import Signals
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.faults.acts import Acts
from tests.faults.installation import Installation
from tests.faults.source import Source

Result = TypeVar("Result")
LONGEST_STEP = 600
BETWEEN_RESTARTS = 12
"""Steps; who supervises Postgres waits longer and longer when it ends all the time."""
BETWEEN_DEPLOYMENTS = 5
"""Steps: whichever rules an example is made of, there is always something to do."""
GATEWAYS = WORKERS = st.integers(0, 1)
DEPLOYMENTS = st.integers(0, 99)
"""Which of those that were asked for, the last one first; no bundle, since it depends on time what becomes of a rollback."""
APPS = st.integers(0, 2)
COMMANDS = ("build", "pull", "service create", "service update")


class Machine(RuleBasedStateMachine):
    """Users, of whom one asks for deployments all the time, workers and servers.

    `taken` counts the steps of all examples, `seconds` what they took.
    """

    installation: ClassVar[Installation]
    source: ClassVar[Source]
    loop: ClassVar[asyncio.AbstractEventLoop]
    taken: ClassVar[Counter[str]]
    seconds: ClassVar[Counter[str]]
    tell: Callable[[str], None]

    failures: ClassVar[list[str]]
    """What went wrong, with the acts before it. After the first one nothing is tried any more."""

    def __init__(self) -> None:
        super().__init__()
        assert not self.failures, self.failures[0]
        self.began = time.monotonic()
        self.acts = self._await(Acts.begun(self.installation, self.source))

    def _await(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LONGEST_STEP)

    @contextmanager
    def _recorded(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            sessions = self._await(self.acts.sessions())
            self.failures.append("\n".join([f"{name}: {error!r}", "in Postgres:", *sessions, "after:", *self.acts.told]))
            raise
        finally:
            self.seconds[name] += time.monotonic() - began

    def _do(self, name: str, work: Coroutine[Any, Any, None], *how: object) -> None:
        """One step."""
        self.taken[name] += 1
        self.acts.told.append(" ".join(map(str, (name, *how))))
        with self._recorded(name):
            self._await(self.acts.supervise())
            self._await(work)
            number = len(self.acts.told)
            if number % BETWEEN_DEPLOYMENTS == 0:
                self._await(self.acts.deploy(number // BETWEEN_DEPLOYMENTS % 3, number % 2, sick=False))

    def _look(self, name: str, look: Coroutine[Any, Any, list[str]]) -> None:
        with self._recorded(name):
            wrong = self._await(look)
            assert not wrong, "\n".join(wrong)

    @rule(app=APPS, gateway=GATEWAYS, sick=st.sampled_from((False, False, True)))
    def deploy(self, app: int, gateway: int, sick: bool) -> None:
        self._do("deploy", self.acts.deploy(app, gateway, sick), app, "sick" if sick else "well")

    @rule(deployment=DEPLOYMENTS, gateway=GATEWAYS)
    def roll_back(self, deployment: int, gateway: int) -> None:
        self._do("roll back", self.acts.roll_back(deployment, gateway), deployment)

    @rule(deployment=DEPLOYMENTS, gateway=GATEWAYS)
    def cancel(self, deployment: int, gateway: int) -> None:
        self._do("cancel", self.acts.cancel(deployment, gateway), deployment)

    @rule(app=APPS, gateway=GATEWAYS, replicas=st.sampled_from((1, 0, 2)))
    def scale(self, app: int, gateway: int, replicas: int) -> None:
        self._do("scale", self.acts.scale(app, gateway, replicas), app, replicas)

    @rule(app=APPS, gateway=GATEWAYS)
    def restart(self, app: int, gateway: int) -> None:
        self._do("restart", self.acts.restart(app, gateway), app)

    @precondition(lambda self: self.acts.awake or self.acts.frozen)
    @rule(worker=WORKERS, at_once=st.booleans())
    def kill(self, worker: int, at_once: bool) -> None:
        self._do("kill", self.acts.kill(worker, at_once), worker, "and start another one" if at_once else "")

    @precondition(lambda self: self.acts.down)
    @rule()
    def revive(self) -> None:
        self._do("revive", self.acts.revive())

    @precondition(lambda self: self.acts.awake and not self.acts.frozen)
    @rule(worker=WORKERS)
    def freeze(self, worker: int) -> None:
        self._do("freeze", self.acts.freeze(worker), worker)

    @precondition(lambda self: self.acts.frozen)
    @rule()
    def thaw(self) -> None:
        self._do("thaw", self.acts.thaw())

    @rule()
    def tick(self) -> None:
        self._do("tick", self.acts.tick())

    @rule()
    def flush(self) -> None:
        self._do("flush", self.acts.flush())

    @precondition(lambda self: len(self.acts.told) - self.acts.restarted >= BETWEEN_RESTARTS)
    @rule(number=st.sampled_from((Signals.SIGKILL, Signals.SIGINT)))
    def restart_postgres(self, number: Signals) -> None:
        self._do("restart Postgres", self.acts.restart_postgres(number), number.name)

    @rule(kind=st.sampled_from(("clone", *COMMANDS)))
    def hold(self, kind: str) -> None:
        self._do("hold", self.acts.hold(kind), kind)

    @rule()
    def finish(self) -> None:
        self._do("finish", self.acts.finish())

    @rule(seconds=st.floats(0.1, 2))
    def wait(self, seconds: float) -> None:
        self._do("wait", asyncio.sleep(seconds))

    @rule(kind=st.sampled_from(COMMANDS))
    def fail(self, kind: str) -> None:
        self._do("fail", self.acts.fail(kind), kind)

    @invariant()
    def everything_holds(self) -> None:
        self._look("looks", self.acts.memory.look(self.installation))

    def teardown(self) -> None:
        """Mended and at rest, everything is as it should be; what is broken is not left to the next example."""
        try:
            if not self.failures:
                self._look("ends", self.acts.over())
        finally:
            if self.failures:
                self._await(self.acts.abandon())
        self.tell(f"machine: {len(self.acts.told)} steps, {len(self.acts.asked)} deployments, {time.monotonic() - self.began:.0f} s")


async def run(
    installation: Installation, source: Source, tell: Callable[[str], None], *, examples: int, steps: int, kind: type[Machine] = Machine
) -> type[Machine]:
    """Let a machine do so many examples of so many steps; the same ones each time. Raises AssertionError with what went wrong."""

    class Bound(kind):  # type: ignore[valid-type, misc]
        taken, seconds, failures = Counter[str](), Counter[str](), list[str]()

    Bound.installation, Bound.source, Bound.loop, Bound.tell = installation, source, asyncio.get_running_loop(), staticmethod(tell)
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    try:
        await asyncio.to_thread(run_state_machine_as_test, Bound, settings=how)
    except Exception as error:
        assert not Bound.failures, Bound.failures[0]
        raise AssertionError("the machine itself is broken") from error
    return Bound
