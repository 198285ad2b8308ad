"""Deployments that are held in a stage: a clone that hears nothing, a build or a change of the service that has begun and does not end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from models import StageName
from tests.faults.engine import Call, Rule
from tests.faults.installation import App, Installation, eventually
from tests.faults.source import Source

CHANGES = ("service create", "service update")


@dataclass(frozen=True)
class Held:
    """A deployment in the stage it is held in; `release` lets it go on, and whoever else comes to that stage."""

    app: App
    deployment: str
    stage: StageName
    release: Callable[[], Awaitable[None]]
    rule: Rule | None = None

    @property
    def call(self) -> Call:
        """The first command that is held."""
        assert self.rule
        return self.rule.met[0]


async def hold(
    installation: Installation, source: Source, stage: StageName, *, nasty: bool = False, times: int | None = None, app: App | None = None
) -> Held:
    """Deploy an application and hold it in a stage; while one is held in cloning, no other clone of this source goes on."""
    app = app or await installation.app(gitSource=source.git)
    if stage is StageName.cloning:
        return await _clone(installation, source, app)
    if stage is StageName.building:
        rule = installation.stand_in.rules.hold(
            "build", times=times, nasty=nasty, when=lambda call: call.labels().get("dokploy.application") == app.id
        )
    else:
        rule = installation.stand_in.rules.hold("service create", times=times, nasty=nasty, when=lambda call: call.service == app.service)
    deployment = await installation.deploy(app)
    await rule.begun()

    async def release() -> None:
        rule.release()

    return Held(app, deployment, stage, release, rule)


async def _clone(installation: Installation, source: Source, app: App) -> Held:
    source.proxy.stall()
    deployment = await installation.deploy(app)
    await installation.until(deployment, "cloning")

    async def connected() -> bool:
        return source.proxy.open_connections > 0

    await eventually(connected)
    return Held(app, deployment, StageName.cloning, source.proxy.restore)


async def alone(installation: Installation, number: int = 0) -> None:
    """Let one worker be the only one, so that it holds everything and leads."""
    others = [worker for worker in installation.workers if worker.number != number]
    for worker in others:
        assert await worker.stop() == 0
