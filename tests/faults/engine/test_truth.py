"""The stand-in beside the real Engine: one story told to both, which must answer alike."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from gateway.demo.base_image import ensure_base_image
from tests.faults.engine import StandIn
from workers import docker
from workers.docker import Client, EnvVar, HealthCheck, ServiceSpec
from workers.engine import Converging, Engine, convergence

pytestmark = pytest.mark.docker


@dataclass
class Story:
    """What happens to one service, and what is told of it meanwhile."""

    client: Client
    engine: Engine
    base: str
    directory: Path
    name: str = field(default_factory=lambda: f"dokploy-story-{token_hex(3)}")
    told: list[Any] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"dokploy.application={self.name}"

    def spec(self, deployment: str, **changes: Any) -> ServiceSpec:
        labels = {"dokploy.application": self.name, "dokploy.deployment": deployment}
        healthy = HealthCheck("true", interval=0.3, timeout=1, retries=1)
        made = ServiceSpec(self.name, f"{self.name}:1", self.name, labels, health=healthy, update_monitor_seconds=1)
        return replace(made, **changes)

    async def build(self, version: int) -> None:
        context = self.directory / f"v{version}"
        context.mkdir()
        (context / "Dockerfile").write_text(f'FROM {self.base}\nENV VERSION={version}\nCMD ["sleep", "1000"]\n')
        await docker.build(
            self.client,
            context=context,
            dockerfile=context / "Dockerfile",
            tag=f"{self.name}:{version}",
            labels={"dokploy.application": self.name, "dokploy.epoch": str(version)},
            iidfile=self.directory / "iid",
            deadline=60,
        )
        image = await self.engine.image(f"{self.name}:{version}")
        assert image
        listed = [entry["RepoTags"] for entry in await self.engine.images(f"dokploy.epoch={version}") if entry["Id"] == image["Id"]]
        self.tell("image", [image["Config"]["Labels"]["dokploy.epoch"], len(listed)])
        assert image["Id"] == (self.directory / "iid").read_text().strip()

    def tell(self, what: str, answer: Any) -> None:
        self.told.append((what, answer))

    async def attempt(self, what: str, work: Any) -> None:
        """What a command answers, or how it is refused."""
        try:
            self.tell(what, await work)
        except docker.DockerError as error:
            self.tell(what, type(error).__name__)

    async def converge(self, spec: ServiceSpec) -> None:
        """The verdict when there is one, and how many more services, tasks and containers there are then."""
        async with asyncio.timeout(60):
            while True:
                service, tasks = await self.engine.service(self.name), await self.engine.tasks(self.name)
                assert service
                deployment = spec.labels["dokploy.deployment"]
                verdict = convergence(service, tasks, image=spec.image, deployment=deployment, replicas=spec.replicas)
                if not isinstance(verdict, Converging):
                    break
                await asyncio.sleep(0.05)
        code, task = getattr(verdict, "code", ""), getattr(verdict, "task", None)
        self.tell("verdict", [type(verdict).__name__, code, task and (task.state, task.deployment, task.exit_code)])

    async def at_rest(self) -> None:
        """What is told once nothing moves any more."""
        async with asyncio.timeout(60):
            while self._moves(await self.engine.service(self.name) or {}, await self._containers()):
                await asyncio.sleep(0.1)
        service = await self.engine.service(self.name)
        assert service
        spec, template = service["Spec"], service["Spec"]["TaskTemplate"]
        container = template["ContainerSpec"]
        self.tell(
            "service",
            {
                "labels": {key: value.replace(self.name, "") for key, value in spec["Labels"].items()},
                "container labels": {key: value.replace(self.name, "") for key, value in container["Labels"].items()},
                "image": container["Image"].replace(self.name, ""),
                "env": sorted(container.get("Env") or []),
                "mounts": container.get("Mounts"),
                "health": (container.get("Healthcheck") or {}).get("Test"),
                "force": template["ForceUpdate"],
                "replicas": spec["Mode"]["Replicated"].get("Replicas", 0),
                "endpoint": spec["EndpointSpec"],
                "order": spec["UpdateConfig"]["Order"],
                "monitor": spec["UpdateConfig"]["Monitor"],
                "update": (service.get("UpdateStatus") or {}).get("State"),
                "previous": bool(service.get("PreviousSpec")),
            },
        )
        wanted = [task for task in await self.engine.tasks(self.name) if task.wanted]
        self.tell("tasks", sorted((task.slot, task.state, task.deployment, task.force, bool(task.container_id)) for task in wanted))
        self.tell(
            "running", sorted(entry["Labels"]["dokploy.deployment"] for entry in await self._containers() if entry["State"] == "running")
        )

    def _moves(self, service: dict[str, Any], containers: list[dict[str, Any]]) -> bool:
        running = len([entry for entry in containers if entry["State"] == "running"])
        wanted = service["Spec"]["Mode"]["Replicated"].get("Replicas", 0)
        return (service.get("UpdateStatus") or {}).get("State") in ("updating", "rollback_started") or running != wanted

    async def _containers(self) -> list[dict[str, Any]]:
        return await self.engine.containers(f"com.docker.swarm.service.name={self.name}")

    async def deploy(self, spec: ServiceSpec) -> None:
        current = await self.engine.service(self.name)
        await (docker.update_service(self.client, spec, current) if current else docker.create_service(self.client, spec))
        await self.converge(spec)

    async def run(self) -> list[Any]:
        """The story."""
        client, name = self.client, self.name
        self.tell("nothing yet", [await self.engine.service(name), await self.engine.tasks(name), await self.engine.network(name)])
        await self.attempt("update of nothing", docker.restart_service(client, name))
        await self.attempt("scale of nothing", docker.scale_service(client, name, 1))
        await self.attempt("without its network", docker.create_service(client, self.spec("d0")))
        await self.attempt("network", docker.create_network(client, name, {"dokploy.project": name}))
        await self.attempt("network again", docker.create_network(client, name, {"dokploy.project": name}))
        self.tell("its labels", list((await self.engine.network(name) or {})["Labels"]))
        await self.deploy(self.spec("d0"))
        self.tell("removed", await docker.remove_service(client, name))
        for version in (1, 2):
            await self.build(version)
        await self._versions()
        await self._changes()
        await self._end()
        return self.told

    async def _versions(self) -> None:
        await self.deploy(self.spec("d1"))
        await self.at_rest()
        await self.attempt("created again", docker.create_service(self.client, self.spec("d1")))
        second = self.spec("d2", image=f"{self.name}:2", env=(EnvVar("A", "1"), EnvVar("TOKEN", "x", secret=True)))
        await self.deploy(second)
        await self.at_rest()
        await self.deploy(replace(second, labels=self.spec("d3").labels, health=HealthCheck("false", interval=0.3, timeout=1, retries=1)))
        await self.at_rest()
        await self.deploy(self.spec("d4", order="stop-first"))
        await self.at_rest()

    async def _changes(self) -> None:
        await self.attempt("restart", docker.restart_service(self.client, self.name))
        await self.converge(self.spec("d4"))
        await self.at_rest()
        for replicas in (2, 0, 1):
            await self.attempt("scale", docker.scale_service(self.client, self.name, replicas))
            await self.converge(self.spec("d4", replicas=replicas))
            await self.at_rest()

    async def _end(self) -> None:
        client, name = self.client, self.name
        await self.attempt("network in use", docker.remove_network(client, name))
        await self.attempt("image in use", docker.remove_image(client, f"{name}:1"))
        for what, remove in (("service", docker.remove_service), ("volume", docker.remove_volume)):
            await self.attempt(what, remove(client, name))
            await self.attempt(f"{what} again", remove(client, name))
        self.tell("no tasks", await self.engine.tasks(name))
        async with asyncio.timeout(30):
            while await self._containers():
                await asyncio.sleep(0.1)
        for version in (1, 2):
            await self.attempt("image", docker.remove_image(client, f"{name}:{version}"))
            await self.attempt("image again", docker.remove_image(client, f"{name}:{version}"))
        await self._gone()

    async def _gone(self) -> None:
        """An overlay network goes a moment after the last container on it."""
        async with asyncio.timeout(30):
            while await self.engine.network(self.name):
                try:
                    await docker.remove_network(self.client, self.name)
                except docker.DockerError:
                    await asyncio.sleep(0.2)
        await self.attempt("network again", docker.remove_network(self.client, self.name))
        self.tell("images left", await self.engine.images(self.label))


@asynccontextmanager
async def real() -> AsyncIterator[tuple[Client, Engine, str]]:
    client = await docker.choose("")
    async with Engine() as engine:
        yield client, engine, await ensure_base_image(client.path)


@asynccontextmanager
async def standing_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Client, Engine, str]]:
    async with StandIn(directory) as stand_in:
        with monkeypatch.context() as patch:
            patch.setenv("DOCKER_HOST", stand_in.environment["DOCKER_HOST"])
            async with Engine() as engine:
                yield await docker.choose(stand_in.environment["DOKPLOY_DOCKER"]), engine, "base"
        assert stand_in.unknown == []


async def test_the_stand_in_and_the_real_engine_tell_the_same_story(
    short_tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "stand-in").mkdir()
    async with real() as (client, engine, base):
        truth = await Story(client, engine, base, tmp_path / "real").run()
    async with standing_in(short_tmp, monkeypatch) as (client, engine, base):
        played = await Story(client, engine, base, tmp_path / "stand-in").run()
    assert len(truth) > 40
    for expected, found in zip(truth, played, strict=True):
        assert found == expected
