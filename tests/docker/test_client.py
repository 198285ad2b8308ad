"""The real Docker Engine: builds with both builders, and a service created, updated, rolled back, restarted, scaled and removed."""

import asyncio
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from gateway.demo.base_image import ensure_base_image
from workers import docker, processes
from workers.build_progress import BuildProgress, count_steps
from workers.docker import Client, EnvVar, HealthCheck, Mount, Port, ServiceSpec
from workers.engine import Converged, Converging, Engine, Failed, convergence

pytestmark = pytest.mark.docker

LABEL = f"dokploy.project=test-{token_hex(4)}"
KEY, RUN = LABEL.split("=")


async def clients() -> list[Client]:
    """Every docker client of this machine: their builders differ."""
    paths = {path.resolve() for name in os.get_exec_path() if (path := Path(name) / "docker").is_file()}
    return [client for path in sorted(paths) if (client := await docker.examine(str(path)))]


@pytest.fixture(scope="module")
async def client() -> Client:
    return await docker.choose()


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    async with Engine() as reads:
        info = await reads.info()
        if info["Swarm"]["LocalNodeState"] != "active":
            chosen = await docker.choose()
            argv = [chosen.path, "swarm", "init", "--advertise-addr", "127.0.0.1"]
            assert (await processes.run(argv, env=docker.environment(), deadline=30)).returncode == 0
        yield reads


@pytest.fixture(scope="module")
async def base(client: Client) -> str:
    return await ensure_base_image(client.path)


@pytest.fixture(scope="module")
async def image(client: Client, engine: Engine, base: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """An application that serves a page on port 8080."""
    context = tmp_path_factory.mktemp("image")
    (context / "index.html").write_text("hello\n")
    (context / "Dockerfile").write_text(f'FROM {base}\nCOPY index.html /root/\nCMD ["httpd", "-f", "-p", "8080", "-h", "/root"]\n')
    tag = f"{RUN}:1"
    await build(client, context, tag)
    yield tag
    assert await docker.remove_image(client, tag, force=True)
    for entry in await engine.images(LABEL):
        await docker.remove_image(client, entry["Id"], force=True)


@pytest.fixture(scope="module")
async def network(client: Client, engine: Engine) -> AsyncIterator[str]:
    await docker.create_network(client, RUN, {KEY: RUN})
    shown = await engine.network(RUN)
    assert shown
    assert (shown["Driver"], shown["Attachable"], shown["Labels"]) == ("overlay", False, {KEY: RUN})
    yield RUN
    for _ in range(100):  # its containers leave a moment after their service
        try:
            assert await docker.remove_network(client, RUN)
            break
        except docker.DockerError:
            await asyncio.sleep(0.2)
    assert not await docker.remove_network(client, RUN)


async def build(client: Client, context: Path, tag: str, **options) -> str:
    wanted = {"dockerfile": context / "Dockerfile", "labels": {KEY: RUN}, "iidfile": context / "iid", "deadline": 120}
    return await docker.build(client, context=context, tag=tag, **(wanted | options))


@asynccontextmanager
async def removing(client: Client, engine: Engine, name: str) -> AsyncIterator[None]:
    try:
        yield
    finally:
        assert await docker.remove_service(client, name)
        assert not await docker.remove_service(client, name)
        for _ in range(150):
            if not await engine.containers(f"com.docker.swarm.service.name={name}"):
                break
            await asyncio.sleep(0.2)


async def settle(engine: Engine, spec: ServiceSpec, deadline: float = 60, **more) -> Converged | Failed:
    ends = time.monotonic() + deadline
    while time.monotonic() < ends:
        service = await engine.service(spec.name)
        assert service
        tasks = await engine.tasks(spec.name)
        deployment = spec.labels["dokploy.deployment"]
        answer = convergence(service, tasks, image=spec.image, deployment=deployment, replicas=spec.replicas, **more)
        if not isinstance(answer, Converging):
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(answer)


def specification(image: str, network: str, **changes) -> ServiceSpec:
    spec = ServiceSpec(
        name=f"{RUN}-{token_hex(3)}",
        image=image,
        network=network,
        labels={"dokploy.deployment": "d1", KEY: RUN},
        health=HealthCheck("wget -q -O /dev/null http://127.0.0.1:8080/", interval=0.5, timeout=1, retries=2),
        update_monitor_seconds=1,
    )
    return replace(spec, **changes)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("0.0.0.0", 0))
        return one.getsockname()[1]


def recorder(directory: Path, client: Client) -> tuple[Client, Path]:
    """The same client behind a script that writes down each argv."""
    script, log = directory / "docker", directory / "argv"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec {client.path} "$@"\n')
    script.chmod(stat.S_IRWXU)
    return replace(client, path=str(script)), log


# --- builds ------------------------------------------------------------------------------------------------------------------


async def test_every_client_builds_with_progress(engine: Engine, image: str, tmp_path: Path):
    text = f"FROM {image} AS one\nRUN echo built > /one\n\nFROM {image}\nCOPY --from=one /one /two\nRUN cat /two\n"
    (tmp_path / "Dockerfile").write_text(text)
    for number, client in enumerate(await clients()):
        lines: list[str] = []
        identity = await build(
            client, tmp_path, f"{RUN}:built-{number}", no_cache=True, on_line=lambda _, line, lines=lines: lines.append(line)
        )
        built = await engine.image(f"{RUN}:built-{number}")
        assert built
        assert built["Id"] == identity
        assert built["Config"]["Labels"] == {KEY: RUN}
        progress = BuildProgress(count_steps(text))
        seen = [progress.feed(line) for line in lines]
        assert seen == sorted(seen)
        assert seen[-1] == 100
        assert len(set(seen)) >= 4
        assert any("built" in line for line in lines)


async def test_every_client_tells_why_a_build_failed(image: str, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nRUN echo about to fail $((40 + 2)) && exit 3\n")
    for client in await clients():
        with pytest.raises(docker.BuildFailed) as caught:
            await build(client, tmp_path, f"{RUN}:bad")
        assert caught.value.code == "BUILD_FAILED"
        assert any("about to fail 42" in line for line in caught.value.tail)
        (tmp_path / "Nothing").write_text("FROM nothing.invalid/x:1\n")
        with pytest.raises(docker.BuildFailed):
            await build(client, tmp_path, f"{RUN}:bad", dockerfile=tmp_path / "Nothing")


async def test_a_cancelled_build_leaves_no_container(client: Client, engine: Engine, image: str, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nRUN echo sleeping && sleep 97\n")
    started = asyncio.Event()
    task = asyncio.create_task(
        build(client, tmp_path, f"{RUN}:never", on_line=lambda _, line: started.set() if line.endswith(" sleeping") else None)
    )
    await asyncio.wait_for(started.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 15)
    for _ in range(100):
        if (await processes.run(["pgrep", "-f", "^sleep 97$"], env=docker.environment(), deadline=5)).returncode:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError("the build goes on")
    assert await engine.image(f"{RUN}:never") is None


async def test_tags(client: Client, engine: Engine, image: str):
    await docker.tag_image(client, image, f"{RUN}:other")
    assert (await engine.image(f"{RUN}:other") or {})["Id"] == (await engine.image(image) or {})["Id"]
    assert await docker.remove_image(client, f"{RUN}:other")
    assert not await docker.remove_image(client, f"{RUN}:other")
    with pytest.raises(docker.ImageNotFound):
        await docker.tag_image(client, f"{RUN}:nothing", f"{RUN}:x")


# --- services ----------------------------------------------------------------------------------------------------------------


async def test_a_service_is_created_and_updated_by_every_client(engine: Engine, image: str, network: str, tmp_path: Path):
    for number, one in enumerate(await clients()):
        directory = tmp_path / str(number)
        directory.mkdir()
        client, log = recorder(directory, one)
        volume, port, other_port = f"{RUN}-data-{number}", free_port(), free_port()
        await docker.create_volume(client, volume, {KEY: RUN})
        shown = await engine.volume(volume)
        assert shown
        assert (shown["Labels"], shown["Options"] or {}) == ({KEY: RUN}, {})
        spec = specification(
            image,
            network,
            env=(EnvVar("MODE", "-x = 'a'\n\"b\" $HOME ümlaut"), EnvVar("OLD", ""), EnvVar("TOKEN", "canary-one\nline", secret=True)),
            ports=(Port(8080, port),),
            mounts=(Mount(volume, "/data"),),
            memory_mib=64,
            cpus=0.5,
            order="stop-first",
        )
        async with removing(client, engine, spec.name):
            await docker.create_service(client, spec)
            assert await settle(engine, spec) == Converged()
            service = await engine.service(spec.name)
            assert service
            template = service["Spec"]["TaskTemplate"]
            container = template["ContainerSpec"]
            assert container["Env"] == ["MODE=-x = 'a'\n\"b\" $HOME ümlaut", "OLD=", "TOKEN=canary-one\nline"]
            assert container["Labels"] == service["Spec"]["Labels"] == {**spec.labels, "dokploy.network": network}
            assert container["CapabilityDrop"] == ["CAP_AUDIT_WRITE", "CAP_MKNOD", "CAP_NET_RAW"]
            assert template["Resources"]["Limits"] == {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20, "Pids": 512}
            assert template["LogDriver"] == {"Name": "json-file", "Options": {"max-file": "3", "max-size": "10m"}}
            assert container["Init"] is True
            assert service["Endpoint"]["Spec"]["Mode"] == "dnsrr"
            assert await page(port) == "hello"

            second = replace(
                spec,
                labels={"dokploy.deployment": "d2", KEY: RUN},
                env=(EnvVar("MODE", "new"), EnvVar("TOKEN", "canary-two", secret=True), EnvVar("MORE", "canary-three", secret=True)),
                ports=(Port(8080, other_port),),
                mounts=(Mount(volume, "/else", read_only=True),),
                health=None,
                memory_mib=None,
                cpus=None,
            )
            await docker.update_service(client, second, service)
            assert await settle(engine, second) == Converged()
            service = await engine.service(spec.name)
            assert service
            template = service["Spec"]["TaskTemplate"]
            container = template["ContainerSpec"]
            assert sorted(container["Env"]) == ["MODE=new", "MORE=canary-three", "TOKEN=canary-two"]
            assert container["Labels"]["dokploy.deployment"] == service["Spec"]["Labels"]["dokploy.deployment"] == "d2"
            assert container["Mounts"] == [{"Type": "volume", "Source": volume, "Target": "/else", "ReadOnly": True}]
            assert not container["Healthcheck"].get("Test")
            assert template["Resources"]["Limits"] == {"Pids": 512}
            assert [entry["PublishedPort"] for entry in service["Endpoint"]["Ports"]] == [other_port]
            assert await page(other_port) == "hello"
        argv = log.read_text()
        assert "--env-add\nTOKEN\n" in argv
        assert "canary" not in argv
        for _ in range(50):
            try:
                assert await docker.remove_volume(client, volume)
                break
            except docker.DockerError:
                await asyncio.sleep(0.2)
        assert not await docker.remove_volume(client, volume)


async def page(port: int) -> str:
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 5)
    writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer.decode().split("\r\n\r\n")[1].strip()


async def test_a_bad_update_is_rolled_back_and_explained(client: Client, engine: Engine, image: str, network: str):
    spec = specification(image, network, replicas=2)
    async with removing(client, engine, spec.name):
        await docker.create_service(client, spec)
        assert await settle(engine, spec) == Converged()
        bad = replace(
            spec,
            labels=spec.labels | {"dokploy.deployment": "d2"},
            health=replace(spec.health or HealthCheck(""), command="echo no good; exit 1"),
        )
        service = await engine.service(spec.name)
        assert service
        await docker.update_service(client, bad, service)
        failed = await settle(engine, bad)
        assert isinstance(failed, Failed)
        assert failed.code == "HEALTH_CHECK_FAILED"
        assert failed.task
        assert failed.task.container_id
        status, outputs = await engine.container_health(failed.task.container_id)
        assert (status, set(outputs)) == ("unhealthy", {"no good"})
        assert await engine.container_logs(failed.task.container_id) == []
        for _ in range(200):
            service = await engine.service(spec.name)
            if service and service["UpdateStatus"]["State"] == "rollback_completed":
                break
            await asyncio.sleep(0.1)
        assert service
        assert service["Spec"]["Labels"]["dokploy.deployment"] == "d1"
        running = [task for task in await engine.tasks(spec.name) if task.desired_state == "running"]
        assert [(task.deployment, task.state) for task in running] == [("d1", "running")] * 2
        good = replace(bad, labels=spec.labels | {"dokploy.deployment": "d3"}, health=spec.health)
        await docker.update_service(client, good, service)
        assert await settle(engine, good) == Converged()


async def test_scale_restart_and_rollback(client: Client, engine: Engine, image: str, network: str):
    spec = specification(image, network)
    async with removing(client, engine, spec.name):
        await docker.create_service(client, spec)
        assert await settle(engine, spec) == Converged()
        first = {task.id for task in await engine.tasks(spec.name)}

        await docker.scale_service(client, spec.name, 2)
        assert await settle(engine, replace(spec, replicas=2)) == Converged()
        await docker.restart_service(client, spec.name)
        assert await settle(engine, replace(spec, replicas=2)) == Converged()
        running = {task.id for task in await engine.tasks(spec.name) if task.desired_state == "running"}
        assert len(running) == 2
        assert not running & first

        second = replace(spec, replicas=2, labels=spec.labels | {"dokploy.deployment": "d2"})
        service = await engine.service(spec.name)
        assert service
        await docker.update_service(client, second, service)
        assert await settle(engine, second) == Converged()
        await docker.roll_back_service(client, spec.name)
        failed = await settle(engine, second)
        assert isinstance(failed, Failed)
        assert failed.code == "ROLLED_BACK"

        await docker.scale_service(client, spec.name, 0)
        for _ in range(150):
            if not any(task.wanted for task in await engine.tasks(spec.name)):
                break
            await asyncio.sleep(0.2)
        assert [entry["Spec"]["Name"] for entry in await engine.services(LABEL)] == [spec.name]
    assert await engine.service(spec.name) is None
    assert await engine.tasks(spec.name) == []
    with pytest.raises(docker.NoService):
        await docker.restart_service(client, spec.name)
    with pytest.raises(docker.NoService):
        await docker.scale_service(client, spec.name, 1)


async def test_a_port_that_is_taken(client: Client, engine: Engine, image: str, network: str):
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        spec = specification(image, network, ports=(Port(8080, holder.getsockname()[1]),), order="stop-first")
        async with removing(client, engine, spec.name):
            await docker.create_service(client, spec)
            failed = await settle(engine, spec)
            assert isinstance(failed, Failed)
            assert failed.code == "PORT_IN_USE"


async def test_a_container_that_ends_at_once(client: Client, engine: Engine, network: str, image: str, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text(f'FROM {image}\nCMD ["sh", "-c", "echo last words; exit 7"]\n')
    await build(client, tmp_path, f"{RUN}:ends")
    spec = specification(f"{RUN}:ends", network, health=None)
    async with removing(client, engine, spec.name):
        await docker.create_service(client, spec)
        failed = await settle(engine, spec)
        assert isinstance(failed, Failed)
        assert (failed.code, failed.reason) == ("CONTAINER_FAILED", "The container ended with exit code 7.")
        assert failed.task
        assert failed.task.container_id
        assert await engine.container_logs(failed.task.container_id) == ["last words"]
    spec = specification(f"{RUN}:nothing", network)
    async with removing(client, engine, spec.name):
        await docker.create_service(client, spec)
        failed = await settle(engine, spec)
        assert isinstance(failed, Failed)
        assert failed.code == "IMAGE_NOT_FOUND"
