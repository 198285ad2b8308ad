"""The stand-in's swarm: services, and what brings their tasks to their specification, one slot after the other, and back."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from tests.faults.engine.spec import Spec
from tests.faults.engine.stock import Container, Refused, Stock, now
from tests.faults.engine.tasks import KEPT, OVER, Pace, Task, live, stop


@dataclass(eq=False)
class Service:
    """A service and the tasks it has or had."""

    spec: Spec
    previous: Spec | None = None
    update: dict[str, Any] | None = None
    tasks: list[Task] = field(default_factory=list)
    id: str = field(default_factory=lambda: token_hex(13)[:25])
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)
    converging: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def replicas(self) -> int:
        return int(self.spec["Mode"]["Replicated"]["Replicas"])

    def wanted(self, slot: int | None = None) -> list[Task]:
        """The tasks that shall run."""
        return [task for task in self.tasks if task.wanted and slot in (None, task.slot)]

    def shown(self) -> dict[str, Any]:
        """As the Engine's API shows it."""
        told = {"ID": self.id, "Version": {"Index": 1}, "CreatedAt": self.created, "UpdatedAt": self.updated, "Spec": self.spec}
        previous = {"PreviousSpec": self.previous} if self.previous else {}
        return told | previous | {"Endpoint": {"Spec": {}}} | ({"UpdateStatus": self.update} if self.update else {})


class Swarm:
    """All services. `wrong_image` is what new tasks say that they run, when they are to lie."""

    def __init__(self, stock: Stock, pace: Pace) -> None:
        self.stock, self.pace = stock, pace
        self.services: dict[str, Service] = {}
        self.wrong_image: str | None = None
        self._work: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop everything that is under way."""
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def find(self, reference: str) -> Service | None:
        """A service by its name or id."""
        return self.services.get(reference) or next((each for each in self.services.values() if each.id == reference), None)

    def must(self, reference: str) -> Service:
        """The same. Raises Refused."""
        service = self.find(reference)
        if service is None:
            raise Refused(f"Error: No such service: {reference}")
        return service

    def create(self, spec: Spec) -> Service:
        """A new service. Raises Refused."""
        if spec["Name"] in self.services:
            raise Refused(
                "Error response from daemon: rpc error: code = AlreadyExists desc = name conflicts with an existing object: "
                f"service {spec['Name']} already exists"
            )
        service = self.services[spec["Name"]] = Service(spec)
        self._begin(service, self._converge(service))
        return service

    def change(self, service: Service, spec: Spec) -> None:
        """Another specification: the one before is remembered, and the update's state begins anew."""
        service.previous, service.spec, service.update, service.updated = service.spec, spec, None, now()
        self._begin(service, self._converge(service))

    def go_back(self, service: Service) -> None:
        """Back to the specification before, as asked for. Raises Refused."""
        if service.previous is None:
            raise Refused("Error response from daemon: rpc error: code = FailedPrecondition desc = service does not have a previous spec")
        self._begin(service, self._roll_back(service, "manually requested rollback"))

    def remove(self, service: Service) -> None:
        """Gone at once; its containers stop and go a moment later."""
        del self.services[service.name]
        if service.converging is not None:
            service.converging.cancel()
        self._spawn(self._cleared(service))

    def lose(self, container: Container) -> None:
        """Its container is taken away from a task by somebody else."""
        for task in (task for service in self.services.values() for task in service.tasks):
            if task.container is container:
                task.desired = "shutdown"
                task.becomes("failed", "task: non-zero exit (137)", 137)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    def _begin(self, service: Service, work: Coroutine[Any, Any, None]) -> None:
        if service.converging is not None:
            service.converging.cancel()
        service.converging = self._spawn(work)

    async def _cleared(self, service: Service) -> None:
        await asyncio.gather(*(stop(task, self.pace) for task in service.tasks))
        await asyncio.sleep(self.pace.stop)
        for task in service.tasks:
            self._forget(task)

    async def _converge(self, service: Service) -> None:
        """Tasks too many end, tasks too few start, and those of another specification are replaced."""
        slots = sorted({task.slot for task in service.wanted()})
        for slot in slots[service.replicas :]:
            for task in service.wanted(slot):
                self._spawn(self._taken_away(service, task))
        slots = slots[: service.replicas]
        dirty = [slot for slot in slots if any(task.template != service.spec["TaskTemplate"] for task in service.wanted(slot))]
        free = (slot for slot in range(1, 10_000) if slot not in slots)
        for _ in range(service.replicas - len(slots)):
            self._start(service, next(free))
        if not dirty:
            return
        service.update = {"State": "updating", "StartedAt": now(), "Message": "update in progress"}
        for slot in dirty:
            culprit = await self._replaced(service, slot)
            if culprit is not None:
                await self._failed(service, culprit)
                return
        service.update = service.update | {"State": "completed", "CompletedAt": now(), "Message": "update completed"}

    async def _failed(self, service: Service, culprit: Task) -> None:
        if service.spec["UpdateConfig"]["FailureAction"] == "rollback" and service.previous is not None:
            await self._roll_back(service, f"update rolled back due to failure or early termination of task {culprit.id}")
            return
        service.update = (service.update or {}) | {"State": "paused", "Message": f"update paused due to failure of task {culprit.id}"}

    async def _roll_back(self, service: Service, message: str) -> None:
        service.spec, service.previous = service.previous or service.spec, None
        service.update = {"State": "rollback_started", "StartedAt": now(), "Message": message}
        wrong = [task for task in service.wanted() if task.template != service.spec["TaskTemplate"]]
        await self._stopped(wrong)
        free = (slot for slot in range(1, 10_000) if not service.wanted(slot))
        begun = [self._start(service, next(free)) for _ in range(service.replicas - len(service.wanted()))]
        for task in begun:
            await task.settled.wait()
        await asyncio.sleep(self._monitor(service))
        state = "rollback_paused" if any(task.state != "running" for task in begun) else "rollback_completed"
        service.update = service.update | {"State": state, "CompletedAt": now(), "Message": state.replace("_", " ")}

    async def _replaced(self, service: Service, slot: int) -> Task | None:
        """Put a task of the present specification into a slot, and watch it for a while. The task, when it failed."""
        old, start_first = service.wanted(slot), service.spec["UpdateConfig"]["Order"] == "start-first"
        if not start_first:
            await self._stopped(old)
        new = self._start(service, slot)
        await new.settled.wait()
        if new.state in OVER:
            return new
        if start_first:
            await self._stopped(old)
        try:
            await asyncio.wait_for(new.over.wait(), self._monitor(service))
        except TimeoutError:
            return None
        return new

    async def _stopped(self, tasks: list[Task]) -> None:
        """End tasks; that goes on when the update that wanted it is given up for another one."""
        await asyncio.shield(asyncio.gather(*(self._spawn(stop(task, self.pace)) for task in tasks)))

    def _monitor(self, service: Service) -> float:
        return float(min(service.spec["UpdateConfig"]["Monitor"] / 1e9, self.pace.monitor))

    def _start(self, service: Service, slot: int) -> Task:
        task = Task(service.id, service.name, slot, service.spec["TaskTemplate"], shown_image=self.wrong_image)
        service.tasks.append(task)
        self._spawn(self._kept_running(service, task))
        ended = [each for each in service.tasks if each.slot == slot and not each.wanted]
        for each in ended[:-KEPT]:
            self._drop(service, each)
        return task

    async def _kept_running(self, service: Service, task: Task) -> None:
        """A task's life; one that failed is followed by another one, unless an update takes care of that."""
        await live(task, self.stock, self.pace)
        await task.over.wait()
        updating = (service.update or {}).get("State") in ("updating", "rollback_started", "paused")
        if task.state not in ("failed", "rejected", "complete") or updating:
            return
        await asyncio.sleep(self.pace.restart)
        if self.services.get(service.name) is service and len(service.wanted()) < service.replicas and not service.wanted(task.slot):
            self._start(service, task.slot)

    async def _taken_away(self, service: Service, task: Task) -> None:
        await stop(task, self.pace, desired="remove")
        self._drop(service, task)

    def _drop(self, service: Service, task: Task) -> None:
        service.tasks.remove(task)
        self._forget(task)

    def _forget(self, task: Task) -> None:
        if task.container is not None:
            self.stock.containers.pop(task.container.id, None)
