"""The stand-in by itself: what it remembers, and that it fails, hangs, lies and waits as it is told."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.engine import StandIn
from tests.faults.engine.rules import NO_DAEMON, NO_SPACE
from tests.faults.engine.stock import Container
from workers import docker, processes
from workers.docker import Client, EnvVar, HealthCheck, Mount, Port, ServiceSpec
from workers.engine import Converged, Converging, Engine, EngineUnavailable, Failed, convergence

SPEC = ServiceSpec("web", "app:1", "net", {"dokploy.deployment": "d1"}, health=HealthCheck("true"))


async def build(client: Client, directory: Path, tag: str, on_line: processes.OnLine | None = None) -> str:
    context = directory / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text("FROM base\nHEALTHCHECK --interval=2s --retries=2 CMD true\n")
    labels = {"dokploy.deployment": tag.rpartition(":")[2]}
    dockerfile, iidfile = context / "Dockerfile", directory / "iid"
    return await docker.build(
        client, context=context, dockerfile=dockerfile, tag=tag, labels=labels, iidfile=iidfile, deadline=10, on_line=on_line
    )


async def deployed(client: Client, engine: Engine, spec: ServiceSpec) -> Converged | Failed:
    current = await engine.service(spec.name)
    await (docker.update_service(client, spec, current) if current else docker.create_service(client, spec))
    return await settled(engine, spec)


async def settled(engine: Engine, spec: ServiceSpec) -> Converged | Failed:
    deployment = spec.labels["dokploy.deployment"]
    async with asyncio.timeout(10):
        while True:
            service = await engine.service(spec.name)
            assert service
            tasks = await engine.tasks(spec.name)
            state = convergence(service, tasks, image=spec.image, deployment=deployment, replicas=spec.replicas)
            if not isinstance(state, Converging):
                return state
            await asyncio.sleep(0.02)


@pytest.fixture
async def web(client: Client, engine: Engine, tmp_path: Path) -> ServiceSpec:
    """A service that runs."""
    await docker.create_network(client, "net", {"dokploy.project": "p"})
    for tag in ("app:1", "app:2"):
        await build(client, tmp_path, tag)
    assert isinstance(await deployed(client, engine, SPEC), Converged)
    return SPEC


async def test_the_client_is_one_with_buildkit_and_starts_in_a_moment(client: Client, stand_in: StandIn) -> None:
    assert (client.version, client.builder) == ("20.10.24", "buildkit")
    began = time.monotonic()
    for _ in range(10):
        assert (await processes.run([client.path, "--version"], env={}, deadline=5)).returncode == 0
    assert time.monotonic() - began < 2
    assert [call.argv for call in stand_in.calls[-2:]] == [("--version",)] * 2


async def test_a_build_prints_makes_an_image_with_labels_and_is_remembered(
    client: Client, engine: Engine, stand_in: StandIn, tmp_path: Path
) -> None:
    lines: list[str] = []
    identity = await build(client, tmp_path, "app:7", on_line=lambda _, line: lines.append(line))
    image = await engine.image("app:7")
    assert image
    assert (image["Id"], image["RepoTags"], image["Config"]["Labels"]) == (identity, ["app:7"], {"dokploy.deployment": "7"})
    assert image["Config"]["Healthcheck"]["Interval"] == 2_000_000_000
    assert "#6 exporting to image" in lines
    (call,) = stand_in.of("build", deployment="7")
    assert call.argv[:2] == ("build", "--progress")
    assert call.ended and call.began <= call.ended <= time.time()
    assert call.code == 0


async def test_a_build_can_print_a_lot(client: Client, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.commands.output = lambda call: [(b"x" * 999 + b"\n", 20_000), b"the end"]
    seen: list[str] = []
    await build(client, tmp_path, "app:1", on_line=lambda _, line: seen.append(line))
    assert (len(seen), seen[-1]) == (20_001, "the end")


async def test_a_service_is_created_updated_and_restarted(client: Client, engine: Engine, web: ServiceSpec) -> None:
    (before,) = await engine.tasks("web")
    second = replace(
        web,
        image="app:2",
        labels={"dokploy.deployment": "d2"},
        env=(EnvVar("A", "1"), EnvVar("TOKEN", "hidden", secret=True)),
        ports=(Port(8080, 30001),),
        mounts=(Mount("data", "/data"),),
        order="stop-first",
    )
    assert isinstance(await deployed(client, engine, second), Converged)
    service = await engine.service("web") or {}
    container = service["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert sorted(container["Env"]) == ["A=1", "TOKEN=hidden"]
    assert service["Spec"]["EndpointSpec"]["Ports"][0]["PublishedPort"] == 30001
    assert container["Mounts"] == [{"Type": "volume", "Source": "data", "Target": "/data"}]
    assert (service["UpdateStatus"]["State"], service["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"]) == ("completed", "app:1")
    new, old = sorted(await engine.tasks("web"), key=lambda task: task.id == before.id)
    assert (new.state, old.state, old.id) == ("running", "shutdown", before.id)
    states = {
        entry["Labels"]["dokploy.deployment"]: entry["State"] for entry in await engine.containers("com.docker.swarm.service.name=web")
    }
    assert states == {"d1": "exited", "d2": "running"}
    await docker.restart_service(client, "web")
    assert isinstance(await settled(engine, second), Converged)
    assert [task.force for task in await engine.tasks("web") if task.wanted] == [1]


async def test_a_health_check_that_never_passes_is_rolled_back(client: Client, engine: Engine, web: ServiceSpec) -> None:
    sick = replace(web, labels={"dokploy.deployment": "d2"}, health=HealthCheck("false", interval=0.05, timeout=0.05, retries=2))
    failed = await deployed(client, engine, sick)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.task and failed.task.exit_code) == ("HEALTH_CHECK_FAILED", 143)
    assert await engine.container_logs(str(failed.task and failed.task.container_id)) == ["the health check did not pass"]
    async with asyncio.timeout(5):
        while ((await engine.service("web") or {}).get("UpdateStatus") or {}).get("State") != "rollback_completed":
            await asyncio.sleep(0.02)
    assert ((await engine.service("web")) or {})["Spec"]["Labels"]["dokploy.deployment"] == "d1"
    assert [task.deployment for task in await engine.tasks("web") if task.wanted] == ["d1"]


async def test_a_task_that_is_being_stopped_ends_also_when_the_update_is_given_up_for_another_one(
    client: Client, stand_in: StandIn, engine: Engine, web: ServiceSpec
) -> None:
    stand_in.swarm.pace = replace(stand_in.swarm.pace, stop=0.5)
    (first,) = stand_in.swarm.services["web"].tasks
    await docker.restart_service(client, "web")
    async with asyncio.timeout(5):
        while first.wanted:
            await asyncio.sleep(0.01)
    assert first.state == "running"
    await docker.restart_service(client, "web")
    assert isinstance(await settled(engine, web), Converged)
    async with asyncio.timeout(5):
        while first.state == "running":
            await asyncio.sleep(0.01)
    assert first.container and first.container.state == "exited"


async def test_a_failure_is_told_as_often_as_wanted(client: Client, stand_in: StandIn, engine: Engine, tmp_path: Path) -> None:
    stand_in.rules.fail("build", NO_SPACE, times=1)
    with pytest.raises(docker.DiskFull):
        await build(client, tmp_path, "app:1")
    assert await engine.image("app:1") is None
    assert await build(client, tmp_path, "app:1")
    stand_in.rules.fail("network create", NO_DAEMON, when=lambda call: "net" in call.rest)
    for _ in range(2):
        with pytest.raises(docker.DockerUnavailable):
            await docker.create_network(client, "net", {})
    await docker.create_network(client, "other", {})


@pytest.mark.parametrize("nasty", [False, True])
async def test_what_hangs_is_killed_and_has_no_effect_unless_it_is_nasty(
    nasty: bool, client: Client, stand_in: StandIn, engine: Engine, tmp_path: Path
) -> None:
    rule = stand_in.rules.hang("build", nasty=nasty)
    task = asyncio.create_task(build(client, tmp_path, "app:1"))
    call = await rule.begun()
    assert not call.killed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(5):
        while not call.killed:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert (await engine.image("app:1") is not None) is nasty
    assert call.code is None


async def test_what_is_held_goes_on_when_it_is_released(client: Client, stand_in: StandIn, engine: Engine, tmp_path: Path) -> None:
    rule = stand_in.rules.hold("build", when=lambda call: call.deployment == "1")
    task = asyncio.create_task(build(client, tmp_path, "app:1"))
    await rule.begun()
    await build(client, tmp_path, "app:2")
    assert not task.done()
    rule.release()
    await task
    assert await engine.image("app:1")


async def test_a_lie_exits_with_success_and_does_nothing(client: Client, stand_in: StandIn, engine: Engine) -> None:
    stand_in.rules.lie("network create")
    await docker.create_network(client, "net", {})
    assert await engine.network("net") is None
    stand_in.rules.clear()
    await docker.create_network(client, "net", {})
    assert await engine.network("net")


async def test_a_task_can_claim_to_run_another_image(client: Client, stand_in: StandIn, engine: Engine, web: ServiceSpec) -> None:
    stand_in.swarm.wrong_image = "somebody/else:1"
    await docker.restart_service(client, "web")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(settled(engine, web), 0.5)
    (task,) = [task for task in await engine.tasks("web") if task.wanted]
    assert (task.image, task.state) == ("somebody/else:1", "running")


async def test_an_engine_that_is_away_is_told_by_both_doors_and_comes_back(
    client: Client, stand_in: StandIn, engine: Engine, tmp_path: Path
) -> None:
    rule = stand_in.rules.hang("build", times=1)
    task = asyncio.create_task(build(client, tmp_path, "app:1"))
    await rule.begun()
    await stand_in.leave()
    with pytest.raises(docker.DockerError):
        await task
    with pytest.raises(EngineUnavailable):
        await engine.info()
    with pytest.raises(docker.DockerUnavailable):
        await docker.create_network(client, "net", {})
    await stand_in.come_back()
    assert (await engine.info())["Swarm"]["LocalNodeState"] == "active"
    await docker.create_network(client, "net", {})


async def test_everything_is_found_by_its_label(client: Client, stand_in: StandIn, engine: Engine, web: ServiceSpec) -> None:
    await docker.create_volume(client, "data", {"dokploy.application": "a"})
    stand_in.stock.containers["planted"] = Container("app:1", "sha256:0", {"dokploy.application": "a"}, id="planted")
    assert [entry["Spec"]["Name"] for entry in await engine.services("dokploy.deployment=d1")] == ["web"]
    assert [entry["Id"] for entry in await engine.containers("dokploy.application=a")] == ["planted"]
    assert [entry["RepoTags"] for entry in await engine.images("dokploy.deployment=2")] == [["app:2"]]
    assert await engine.images("dokploy.deployment=3") == await engine.services("nothing") == []
    assert (await engine.volume("data") or {})["Labels"] == {"dokploy.application": "a"}
    done = await processes.run([client.path, "volume", "ls", "-q", "--filter", "label=dokploy.application=a"], env={}, deadline=5)
    assert done.tail == ("data",)


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["system", "prune"], "docker: 'system prune' is not a docker command."),
        (["service", "create", "--new-flag", "x", "--name", "n", "--", "app:1"], "unknown flag: --new-flag"),
    ],
)
async def test_what_is_not_understood_is_refused(argv: list[str], complaint: str, short_tmp: Path) -> None:
    async with StandIn(short_tmp) as running:
        done = await processes.run([running.environment["DOKPLOY_DOCKER"], *argv], env={}, deadline=5)
        assert done.returncode
        assert done.tail == (complaint,)
        assert running.unknown == [tuple(argv)]


async def test_the_environment_of_a_call_reaches_the_stand_in_and_not_its_argv(client: Client, stand_in: StandIn) -> None:
    await processes.run([client.path, "volume", "create", "ä\udcff"], env={"SECRET": "a\nb=c"}, deadline=5)
    call = stand_in.calls[-1]
    assert call.environment["SECRET"] == "a\nb=c"
    assert call.rest == ["ä\udcff"]
    assert "SECRET" not in json.dumps(call.argv)
