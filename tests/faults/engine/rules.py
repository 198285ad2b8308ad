"""What the stand-in is told to do otherwise: fail, hang, lie, or wait until a test lets it go on."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.engine.call import Call

NO_SPACE = "Error response from daemon: write /var/lib/docker/tmp/blob: no space left on device"
NO_DAEMON = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


@dataclass(eq=False)
class Rule:
    """Holds for calls of one kind, all of them or the next `times`, of which `when` is true."""

    kind: str
    act: Literal["fail", "hang", "lie", "hold"]
    times: int | None = None
    when: Callable[[Call], bool] = lambda call: True
    code: int = 1
    stderr: str = ""
    nasty: bool = False
    """Whether a call that is killed while it hangs or is held is carried out all the same."""
    met: list[Call] = field(default_factory=list)
    """The calls it held for."""
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, call: Call) -> bool:
        """Whether it holds for a call, which then counts."""
        if call.kind != self.kind or self.times == 0 or not self.when(call):
            return False
        self.times = self.times - 1 if self.times is not None else None
        self.met.append(call)
        return True

    def release(self) -> None:
        """Let held calls go on, and those to come."""
        self.released.set()

    async def begun(self, count: int = 1, within: float = 30) -> Call:
        """Wait until so many calls are under way, and give the last of them. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while len(self.met) < count:
                await asyncio.sleep(0.01)
        return self.met[count - 1]


class Rules:
    """The rules in the order in which they were made: the first that takes a call holds for it."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def fail(
        self, kind: str, stderr: str, *, code: int = 1, times: int | None = None, when: Callable[[Call], bool] = lambda call: True
    ) -> Rule:
        """Calls print this and exit with `code`, and nothing happens."""
        return self._add(Rule(kind, "fail", times, when, code, stderr))

    def hang(self, kind: str, *, times: int | None = None, when: Callable[[Call], bool] = lambda call: True, nasty: bool = False) -> Rule:
        """Calls do not end until they are killed; what was killed has no effect, unless the rule is nasty."""
        return self._add(Rule(kind, "hang", times, when, nasty=nasty))

    def lie(self, kind: str, *, times: int | None = None, when: Callable[[Call], bool] = lambda call: True) -> Rule:
        """Calls exit with 0, and nothing happens."""
        return self._add(Rule(kind, "lie", times, when))

    def hold(self, kind: str, *, times: int | None = None, when: Callable[[Call], bool] = lambda call: True, nasty: bool = False) -> Rule:
        """Calls wait until the rule is released and are then carried out."""
        return self._add(Rule(kind, "hold", times, when, nasty=nasty))

    def clear(self) -> None:
        """Forget all rules; whoever is held goes on."""
        for rule in self._rules:
            rule.release()
        self._rules.clear()

    def of(self, call: Call) -> Rule | None:
        """The rule that holds for a call, which it thereby counts."""
        return next((rule for rule in self._rules if rule.takes(call)), None)

    def _add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule
