"""Everything that can happen to an installation, as acts that a machine may call in any order, and the end of it."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from signal import Signals
from typing import Any

from tests.docker.sample import HEALTHCHECK, dockerfile
from tests.faults.always import Memory, mark
from tests.faults.engine import Rule
from tests.faults.engine.commands import plain
from tests.faults.installation import TERMINAL, App, Installation
from tests.faults.invariants import violations
from tests.faults.load import Answer, ask, image_apps
from tests.faults.part import Part
from tests.faults.source import Source

SICK = "sick"
"""A branch whose health check never passes."""
REFUSED = "Error response from daemon: refused for once"
LOOK = 6.0
"""Seconds within which a reconciler looks."""
LEAD = 30.0
"""Seconds after which another one leads when the leader is frozen, and has looked."""
STUCK = 60.0
"""Seconds in which something ends as long as anything is left: longer than a lease, and than any one deployment of these."""
GONE = 20.0
"""Seconds within which the processes of whoever has lost its deployment have ended."""
_HELD = "select id, epoch, worker from deployment where worker is not null and status not in ('success', 'failed', 'cancelled')"
_SESSIONS = """
    select pid, state, wait_event, pg_blocking_pids(pid) as behind, now() - xact_start as since, left(query, 200) as query
    from pg_stat_activity where backend_type = 'client backend' and xact_start is not null and pid <> pg_backend_pid()
"""
_EXPIRED = f"select count(*) from ({_HELD} and lease_until <= to_timestamp($1)) held"


def make_sick(source: Source) -> None:
    """Give a repository the branch whose health check never passes."""
    never = HEALTHCHECK.rpartition(" CMD ")[0] + " CMD false"
    source.sample.repository.commit("Sick", {"Dockerfile": dockerfile(never)}, branch=SICK)


@dataclass
class Acts:
    """A few applications, and what was done so far."""

    installation: Installation
    source: Source
    apps: list[App]
    memory: Memory = field(default_factory=Memory)
    asked: list[str] = field(default_factory=list)
    """The deployments."""
    told: list[str] = field(default_factory=list)
    """The acts, in words."""
    frozen: Part | None = None
    down: list[Part] = field(default_factory=list)
    """The workers that were killed, and not started again: what can be done next depends on the acts alone, never on time."""
    restarted: int = 0
    """How many acts had been done when Postgres was last restarted."""
    _brakes: list[Rule] = field(default_factory=list)

    @classmethod
    async def begun(cls, installation: Installation, source: Source) -> "Acts":
        """Two applications from git and one from an image, each of which has a first deployment on its way."""
        installation.stand_in.commands.output = mark
        (image,) = await image_apps(installation, 1)
        acts = cls(installation, source, [await installation.app(gitSource=source.git) for _ in range(2)] + [image])
        acts.asked += [await installation.deploy(app) for app in acts.apps]
        return acts

    @property
    def awake(self) -> list[Part]:
        """The workers that shall run and are not frozen."""
        return [worker for worker in self.installation.workers if worker not in self.down and worker is not self.frozen]

    async def supervise(self) -> None:
        """Start what ended by itself, as a worker does that starts while Postgres is away."""
        for worker in self.awake:
            if not worker.runs:
                await worker.start()

    async def deploy(self, app: int, gateway: int, sick: bool) -> None:
        """Ask for a deployment, of what is well or of what is sick."""
        body = {"branch": SICK} if sick and app < 2 else {}
        answer = await self._ask(f"/applications/{self.apps[app].id}/deploy", gateway, body)
        assert answer.status == 202, answer
        self.asked.append(str(answer.body["deploymentId"]))

    def _asked(self, number: int) -> str:
        """A deployment, the last one first."""
        return self.asked[-1 - number % len(self.asked)]

    async def cancel(self, number: int, gateway: int) -> None:
        """Cancel: it is taken on, or the deployment has ended."""
        deployment = self._asked(number)
        answer = await self._ask(f"/deployments/{deployment}/cancel", gateway, {})
        if answer.status != 202:
            assert (answer.status, _reason(answer)) == (409, "ALREADY_ENDED"), answer
            assert (await self.installation.row(deployment))["status"] in TERMINAL

    async def roll_back(self, number: int, gateway: int) -> None:
        """Ask for a way back, when there is one."""
        answer = await self._ask(f"/deployments/{self._asked(number)}/rollback", gateway, {})
        if answer.status == 202:
            self.asked.append(str(answer.body["deploymentId"]))
            return
        assert answer.status == 409, answer
        assert _reason(answer) in ("NOT_SUCCESSFUL", "NOTHING_BEFORE", "IMAGE_GONE"), answer

    async def scale(self, app: int, gateway: int, replicas: int) -> None:
        """Wish for so many replicas."""
        answer = await self._ask(f"/applications/{self.apps[app].id}/scale", gateway, {"replicas": replicas})
        assert answer.status == 200, answer

    async def restart(self, app: int, gateway: int) -> None:
        """Wish for new containers, which only what runs can have."""
        answer = await self._ask(f"/applications/{self.apps[app].id}/restart", gateway, {})
        assert answer.status == 202 or (answer.status, _reason(answer)) == (409, "NOT_RUNNING"), answer

    async def kill(self, worker: int, at_once: bool) -> None:
        """SIGKILL a worker that runs, frozen or not; another one may come at once."""
        running = [each for each in self.installation.workers if each not in self.down]
        part = running[worker % len(running)]
        if part.runs:
            await part.kill()
        self.frozen = None if part is self.frozen else self.frozen
        if at_once:
            await part.start()
        else:
            self.down.append(part)

    async def revive(self) -> None:
        """Start the workers that do not run."""
        while self.down:
            await self.down.pop().start()

    async def freeze(self, worker: int) -> None:
        """SIGSTOP a worker."""
        self.frozen = self.awake[worker % len(self.awake)]
        self.frozen.freeze()

    async def thaw(self) -> None:
        """SIGCONT it."""
        assert self.frozen
        self.frozen.thaw()
        self.frozen = None

    async def tick(self) -> None:
        """Let all leases expire, and a reconciler look. What a frozen worker held it loses when anybody else is there."""
        lost = [dict(row) for row in await self.installation.servers.fetch(_HELD) if self._is_frozen(row["worker"])]
        until = "lease_until = clock_timestamp()"
        await self.installation.servers.fetch(f"update deployment set {until} where worker is not null")
        await self.installation.servers.fetch("update application set settle_until = clock_timestamp() where settle_until is not null")
        if not self.awake:
            return
        await self._looked_at(time.time(), LEAD if lost else LOOK)
        for row in lost:
            now = await self.installation.row(str(row["id"]))
            assert now["epoch"] > row["epoch"] or now["status"] in TERMINAL, f"{row} is still held by a frozen worker: {now}"

    async def _looked_at(self, at: float, within: float) -> None:
        ends = time.time() + within
        while await self.installation.servers.value(_EXPIRED, at) and time.time() < ends:
            await asyncio.sleep(0.1)

    def _is_frozen(self, worker: str) -> bool:
        return self.frozen is not None and f"-{self.frozen.pid}-" in worker

    async def flush(self) -> None:
        """Let Redis forget everything."""
        await self.installation.servers.flush()

    async def restart_postgres(self, number: Signals) -> None:
        """End Postgres; its supervisor starts it again."""
        self.restarted = len(self.told)
        await self.installation.servers.restart_postgres(number)

    async def hold(self, kind: str) -> None:
        """Hold whatever comes to this command from now on, or each clone."""
        if kind == "clone":
            self.source.proxy.stall()
        else:
            self._brakes.append(self.installation.stand_in.rules.hold(kind))

    async def finish(self) -> None:
        """Let everything go on that is held, and give it a moment."""
        await self._release()
        ends = time.time() + 2
        while await self.installation.servers.fetch(_HELD) and time.time() < ends:
            await asyncio.sleep(0.1)

    async def _release(self) -> None:
        await self.source.proxy.restore()
        for brake in self._brakes:
            brake.release()

    async def fail(self, kind: str) -> None:
        """Have the next command of this kind refused."""
        self.installation.stand_in.rules.fail(kind, REFUSED, times=1)

    async def over(self) -> list[str]:
        """Mend everything, wait for rest, and say what is wrong."""
        await self._mended()
        await self._expired_of_the_dead()
        if stuck := await self._stuck():
            return stuck
        found = await self.memory.look(self.installation) + await violations(self.installation, within=30)
        found += await self._going_on()
        found += [f"{argv} is not understood" for argv in self.installation.stand_in.unknown]
        self.installation.stand_in.calls.clear()
        return found

    async def _stuck(self) -> list[str]:
        """Wait until all have ended, for as long as one after the other does. Those that are left when none did for long."""
        left, since = await self.installation.living(), time.monotonic()
        while left and time.monotonic() < since + STUCK:
            await asyncio.sleep(0.2)
            before, left = left, await self.installation.living()
            since = since if len(left) == len(before) else time.monotonic()
        return [f"{each} has not ended, and nothing has for {STUCK} s" for each in left]

    async def _going_on(self) -> list[str]:
        """The commands that do not end, although nothing is left that needs them."""
        ends = time.monotonic() + GONE
        while (left := [call for call in self.installation.stand_in.of() if call.ended is None]) and time.monotonic() < ends:
            await asyncio.sleep(0.1)
        return [f"the command {call.kind} of {call.deployment} goes on" for call in left]

    async def _expired_of_the_dead(self) -> None:
        """Let the leases of workers that are no more expire now instead of in half a minute."""
        held = [dict(row) for row in await self.installation.servers.fetch(_HELD)]
        dead = [row["id"] for row in held if self.installation.worker_of(row) is None]
        await self.installation.servers.fetch(
            "update deployment set lease_until = clock_timestamp() where id = any($1) and worker is not null", dead
        )
        await self.installation.servers.fetch("update application set settle_until = clock_timestamp() where settle_until is not null")

    async def sessions(self) -> list[str]:
        """What Postgres is in the middle of, for whoever asks why something waits."""
        return [str(dict(row)) for row in await self.installation.servers.fetch(_SESSIONS)]

    async def abandon(self) -> None:
        """Leave nothing of what went wrong to whoever comes next."""
        await self._mended()
        await self.installation.empty()

    async def _mended(self) -> None:
        await self._release()
        self.frozen = None
        await self.installation.whole()
        self.installation.stand_in.commands.output = plain

    async def _ask(self, path: str, gateway: int, body: dict[str, Any]) -> Answer:
        """The answer to a POST, which is sent again while the database is away."""
        ends = time.time() + 60
        for _ in itertools.count():
            answer = await ask(self.installation, "POST", path, gateway=gateway, json=body)
            assert answer.status not in (0, 500), f"{path}: {self._complaints(answer)}"
            if answer.status != 503 or time.time() > ends:
                break
            assert answer.retry_after
            await asyncio.sleep(0.2)
        return answer

    def _complaints(self, answer: Answer) -> str:
        """What the gateways logged as errors since a question was asked, each cut to its end."""
        told = self.installation.logged(*self.installation.gateways, since=answer.at)
        return "\n".join([str(answer), *(str(each)[-2000:] for each in told if each["level"] == "error")])


def _reason(answer: Answer) -> str:
    return str(answer.body["error"]["details"].get("reason"))
