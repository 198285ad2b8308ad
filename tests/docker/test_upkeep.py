"""What the reconciler keeps in order between deployments: status and health, the service itself, images, and what nobody owns."""

from uuid import uuid4

import pytest

from tests.docker.house import App, House
from tests.docker.installation import KEPT_IMAGES, Installation, eventually
from tests.docker.sample import Sample, dockerfile
from workers import docker

pytestmark = pytest.mark.docker


async def names(app: App) -> set[str]:
    """The names of an application's images on this host."""
    found = await app.installation.command("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"dokploy/{app.service_name}")
    return set(found)


async def test_a_service_that_somebody_removes_or_scales_by_hand_is_brought_back(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    live = await app.deployed()
    assert await docker.remove_service(installation.docker, app.service_name)

    async def runs() -> bool:
        return [task.deployment for task in await app.running()] == [live["id"]]

    await eventually(runs)
    await docker.scale_service(installation.docker, app.service_name, 0)

    async def scaled() -> bool:
        service = await app.service()
        return bool(service and service["Spec"]["Mode"]["Replicated"].get("Replicas") == 1)

    assert not await scaled()
    await eventually(scaled)
    await eventually(runs)


async def test_what_a_person_has_stopped_stays_stopped(house: House, sample: Sample, installation: Installation) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    await app.deployed()
    await app.post("scale", {"replicas": 0})

    async def stopped() -> bool:
        shown = await app.shown()
        return (shown["status"], shown["healthStatus"]) == ("stopped", "unknown") and not await app.running()

    await eventually(stopped)
    await docker.scale_service(installation.docker, app.service_name, 1)

    async def started() -> bool:
        return bool(await app.running())

    await eventually(started)
    await eventually(stopped)


async def test_an_application_whose_container_dies_says_so_until_it_lives_again(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    await app.deployed()
    (task,) = await app.running()

    async def health() -> str:
        return str((await app.shown())["healthStatus"])

    async def unhealthy() -> bool:
        return await health() == "unhealthy"

    async def healthy() -> bool:
        return await health() == "healthy"

    assert await healthy()
    await installation.command("kill", str(task.container_id))
    await eventually(unhealthy)
    await eventually(healthy, within=60)
    assert (await app.shown())["status"] == "running"


async def test_only_the_images_of_the_last_successes_are_kept(house: House, sample: Sample, installation: Installation) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    deployments = []
    for number in range(KEPT_IMAGES + 1):
        sample.commit(index=f"version {number}\n", Dockerfile=dockerfile(f"LABEL number={number}"))
        deployments.append(await app.deployed())
    kept = {deployment["image"] for deployment in deployments[1:]}

    async def pruned() -> bool:
        return await names(app) == kept

    await eventually(pruned)
    gone = await installation.owner.post(f"/deployments/{deployments[0]['id']}/rollback", {})
    assert (gone.status_code, gone.json()["error"]["details"]["reason"]) == (409, "IMAGE_GONE")

    sample.commit(Dockerfile=dockerfile("RUN false"))
    await app.failed()
    assert await names(app) == kept

    assert await docker.remove_image(installation.docker, deployments[1]["image"], force=True)

    async def refused() -> bool:
        answer = await installation.owner.post(f"/deployments/{deployments[1]['id']}/rollback", {})
        if answer.status_code == 202:
            await installation.ended(answer.json()["deploymentId"])
            return False
        return bool(answer.json()["error"]["details"]["reason"] == "IMAGE_GONE")

    await eventually(refused, every=6)


async def test_what_belongs_to_no_application_is_removed_and_what_is_not_ours_stays(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source, ports=[])
    await app.deployed()
    ours = str(await installation.database.fetchval("select id from installation"))
    image, nobody = (await app.shown())["image"], str(uuid4())
    made = {}
    for installation_id in (ours, str(uuid4())):
        labels = ["--label", f"dokploy.installation={installation_id}", "--label", f"dokploy.application={nobody}"]
        made[installation_id] = (await installation.command("create", *labels, image))[0]
    directory = installation.work / f"{nobody}-1"
    directory.mkdir()
    other, own = made.pop(next(id for id in made if id != ours)), made[ours]

    async def swept() -> bool:
        left = await installation.command("ps", "--all", "--quiet", "--no-trunc")
        return own not in left and not directory.exists()

    try:
        await eventually(swept)
        assert other in await installation.command("ps", "--all", "--quiet", "--no-trunc")
        assert await app.running()
    finally:
        await installation.command("rm", other)
