"""Applications that run an image as it is, and what of this host can stand in a deployment's way: a port, a volume."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.docker.house import House
from tests.docker.installation import Installation, eventually, free_port
from tests.docker.sample import Sample, dockerfile
from workers import docker

pytestmark = pytest.mark.docker


@pytest.fixture
async def image(installation: Installation, tmp_path: Path) -> AsyncIterator[str]:
    """An image of this host whose registry does not answer."""
    name = f"127.0.0.1:{free_port()}/page:1"
    context = tmp_path / "image"
    (context / "www").mkdir(parents=True)
    (context / "www" / "index.html").write_text("an image\n")
    (context / "Dockerfile").write_text(dockerfile())
    await docker.build(
        installation.docker,
        context=context,
        dockerfile=context / "Dockerfile",
        tag=name,
        labels={},
        iidfile=tmp_path / "iid",
        deadline=60,
    )
    yield name

    async def removed() -> bool:
        with contextlib.suppress(docker.DockerFailed):  # the last container of another test may still be ending
            return await docker.remove_image(installation.docker, name)
        return False

    assert await eventually(removed)


async def test_an_image_of_this_host_runs_although_no_registry_answers(house: House, installation: Installation, image: str) -> None:
    app = await house.app(image=image)
    deployment = await app.deployed()
    assert await app.page() == "an image"
    assert deployment["kind"] == "image"
    assert [(stage["name"], stage["status"]) for stage in deployment["stages"]] == [("deploying", "completed")]
    assert deployment["image"] == f"dokploy/{app.service_name}:{deployment['id']}-1"
    told = [line["message"] for line in await installation.logs(deployment["id"])]
    assert f"{image} cannot be pulled; the copy on this host is used" in told


async def test_an_image_that_does_not_exist_fails_with_its_own_code(house: House) -> None:
    app = await house.app(image=f"127.0.0.1:{free_port()}/nothing:1")
    failed = await app.failed()
    assert failed["error"]["code"] == "IMAGE_NOT_FOUND"
    assert "cannot be pulled" in failed["error"]["message"]
    assert "Docker Engine" not in failed["error"]["message"]
    assert (await app.shown())["status"] == "error"


async def test_a_published_port_that_a_process_holds_is_named(house: House, sample: Sample) -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = holder.getsockname()[1]
        app = await house.app(gitSource=sample.source, ports=[{"containerPort": 8080, "publishedPort": port}])
        failed = await app.failed()
    assert failed["error"]["code"] == "PORT_IN_USE"
    assert failed["error"]["message"] == (
        f"A published port is already in use. Publish another one than {port}, or stop what listens there."
    )
    assert await app.service() is None
    assert (await app.shown())["status"] == "error"


async def test_several_replicas_cannot_publish_one_port_without_the_routing_mesh(house: House, image: str) -> None:
    app = await house.app(image=image, replicas=2, ports=[{"containerPort": 8080, "protocol": "tcp-raw"}])
    failed = await app.failed()
    assert failed["error"]["code"] == "PORT_IN_USE"
    assert "Without the routing mesh" in failed["error"]["message"]


@pytest.mark.parametrize("made", [["--label", "dokploy.application=somebody-else"], ["--opt", "type=tmpfs", "--opt", "device=tmpfs"]])
async def test_a_volume_that_somebody_else_made_is_refused_and_survives(
    house: House, installation: Installation, image: str, made: list[str]
) -> None:
    app = await house.app(image=image, volumes=[{"source": "data", "target": "/data"}])
    (volume,) = await installation.command("volume", "create", *made, f"{app.service_name}-data")
    try:
        failed = await app.failed()
        assert failed["error"]["code"] == "VOLUME_NOT_OURS"
        assert volume in failed["error"]["message"]
        assert await app.service() is None
        await app.deleted(volumes=True)
        assert await installation.engine.volume(volume) is not None
    finally:
        await installation.command("volume", "rm", volume)


async def test_an_applications_volumes_go_with_it_only_when_asked_for(house: House, installation: Installation, image: str) -> None:
    project = await house.project()
    keeping, losing = [await house.app(image=image, project=project, volumes=[{"source": "data", "target": "/data"}]) for _ in range(2)]
    started = [await app.deploy() for app in (keeping, losing)]
    assert [(await installation.ended(id))["status"] for id in started] == ["success", "success"]
    assert [await app.volumes() for app in (keeping, losing)] == [[f"{app.service_name}-data"] for app in (keeping, losing)]
    await losing.delete(volumes=True)
    await keeping.deleted(volumes=False)
    await losing.gone()
    assert await keeping.service() is None
    assert await losing.volumes() == []
    assert await installation.command("volume", "rm", *await keeping.volumes())
