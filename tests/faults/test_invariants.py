"""The checker of the invariants finds each kind of violation: something is planted by hand, found, and taken away again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.engine.stock import Container, Image, Network
from tests.faults.installation import App, Installation, installed
from tests.faults.invariants import ROWS, violations
from tests.faults.source import Source, offered


@dataclass
class Scene:
    """One application with one success, in an installation in which nobody works any more: what is planted stays."""

    installation: Installation
    app: App
    success: dict[str, Any]

    async def sentences(self) -> list[str]:
        return await violations(self.installation, within=0)

    async def sql(self, statement: str, *values: Any) -> None:
        await self.installation.servers.fetch(statement, *values)


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with installed() as installation, offered(tmp_path_factory.mktemp("scene")) as source:
        yield await _prepared(installation, source)


async def _prepared(installation: Installation, source: Source) -> Scene:
    app = await installation.app(gitSource=source.git)
    success = await installation.succeeded(await installation.deploy(app))
    assert await violations(installation) == []
    for worker in installation.workers:
        assert await worker.stop() == 0
    return Scene(installation, app, success)


WRONG = {
    "{id} has not ended: it is {status}": ("update deployment set status = 'building' where id = $1", "status"),
    "{id} has ended and still has a worker, or no time of its end": ("update deployment set worker = 'w-1-a' where id = $1", "worker"),
    "{id} is {status} and has {count} terminal events": (
        """insert into event (deployment_id, seq, at, kind, status, progress, level, message)
           select id, 0, now(), 'status', 'failed', 0, 'info', 'planted' from deployment where id = $1""",
        "",
    ),
    "{id} is {status}, and its last event is a {kind} of {said}": (
        """insert into event (deployment_id, seq, at, kind, status, progress, level, message)
           select id, last_seq + 1, now(), 'log', status, 0, 'info', 'planted' from deployment where id = $1""",
        "",
    ),
    "{id} has {count} events, numbered {first} to {last}, and remembers {last_seq}": (
        "update deployment set last_seq = last_seq + 1 where id = $1",
        "last_seq",
    ),
    "{id} has ended, and its stage {name} is {status}": (
        "update stage set status = 'running' where deployment_id = $1 and name = 'building'",
        "stage",
    ),
    "{id} is a success, and its stage {name} is {status}": (
        "update stage set status = 'failed' where deployment_id = $1 and name = 'building'",
        "stage",
    ),
    "{id} is an application that is {status}, and nobody deploys it": (
        "update application set status = 'deploying' where id = (select application_id from deployment where id = $1)",
        "application.status",
    ),
    "{id} is an application whose wish {wished} was not granted": (
        "update application set wished = granted + 1 where id = (select application_id from deployment where id = $1)",
        "application.wished",
    ),
}
RIGHT = {
    "status": "update deployment set status = 'success' where id = $1",
    "worker": "update deployment set worker = null where id = $1",
    "last_seq": "update deployment set last_seq = last_seq - 1 where id = $1",
    "stage": "update stage set status = 'completed' where deployment_id = $1",
    "application.status": "update application set status = 'running' where id = (select application_id from deployment where id = $1)",
    "application.wished": "update application set wished = granted where id = (select application_id from deployment where id = $1)",
    "": "delete from event where deployment_id = $1 and message = 'planted'",
}
IN_ROWS = sorted(ROWS.keys() - {"{application_id} has {count} active deployments"})


def prefix(sentence: str) -> str:
    """The words of a sentence that no row fills in."""
    return sentence.split("}", 1)[1].split("{")[0]


@pytest.mark.parametrize("sentence", IN_ROWS)
async def test_a_wrong_row_is_found(sentence: str, scene: Scene) -> None:
    assert await scene.sentences() == []
    wrong, right = WRONG[sentence]
    await scene.sql(wrong, scene.success["id"])
    found = await scene.sentences()
    await scene.sql(RIGHT[right], scene.success["id"])
    assert any(prefix(sentence) in each for each in found)
    assert all(str(scene.success["id"]) in each or scene.app.id in each or scene.app.service in each for each in found)
    assert await scene.sentences() == []


async def test_two_active_deployments_of_one_application_are_found(scene: Scene) -> None:
    definition = await scene.installation.servers.value("select indexdef from pg_indexes where indexname = 'one_active_deployment'")
    await scene.sql("drop index one_active_deployment")  # without its guard the database takes what must not be
    for _ in range(2):
        await scene.sql(
            """insert into deployment select copied.* from deployment d, lateral
               jsonb_populate_record(d, jsonb_build_object('id', $2::text, 'status', 'building')) copied where d.id = $1""",
            scene.success["id"],
            str(uuid4()),
        )
    found = await scene.sentences()
    await scene.sql("delete from deployment where status = 'building'")
    await scene.sql(definition)
    assert f"{scene.app.id} has 2 active deployments" in found
    assert await scene.sentences() == []


async def test_a_service_that_is_missing_foreign_or_of_another_version_is_found(scene: Scene) -> None:
    services, name = scene.installation.stand_in.swarm.services, scene.app.service
    service = services.pop(name)
    assert await scene.sentences() == [f"the service {name} is not there, and {scene.success['id']} was a success"]
    services["orphan"] = services[name] = service
    assert await scene.sentences() == ["the service orphan is there, and nothing of its application has succeeded or it is gone"]
    del services["orphan"]
    labels, container = service.spec["Labels"], service.spec["TaskTemplate"]["ContainerSpec"]
    service.spec["Labels"] = labels | {"dokploy.deployment": "another"}
    assert len([each for each in await scene.sentences() if f"the service {name} is of another" in each]) == 1
    service.spec["Labels"], image = labels, container["Image"]
    container["Image"] = "another:1"
    assert len([each for each in await scene.sentences() if "with another:1" in each]) == 1
    container["Image"] = image
    service.tasks[-1].state = "failed"
    assert await scene.sentences() == [f"the service {name} has 0 of 1 tasks running, and 1 are wanted"]
    service.tasks[-1].state = "running"
    assert await scene.sentences() == []


async def test_a_container_without_an_owner_is_found(scene: Scene) -> None:
    containers = scene.installation.stand_in.stock.containers
    orphan = Container("x:1", "sha256:0", {"dokploy.application": str(uuid4()), "dokploy.deployment": str(uuid4())})
    old = Container("x:1", "sha256:0", {"dokploy.application": scene.app.id, "dokploy.deployment": str(uuid4())}, state="running")
    foreign = Container("x:1", "sha256:0", {}, state="running")
    for container in (orphan, old, foreign):
        containers[container.id] = container
    found = await scene.sentences()
    for container in (orphan, old, foreign):
        del containers[container.id]
    assert [each.rpartition(", ")[2] for each in found] == ["which is gone", "which is not the last success"]
    assert await scene.sentences() == []


async def test_an_image_without_an_owner_is_found(scene: Scene) -> None:
    stock = scene.installation.stand_in.stock
    orphan = stock.keep(Image({"dokploy/x:1"}, {"dokploy.application": str(uuid4())}))
    failed = stock.keep(Image({f"dokploy/{scene.app.service}:failed"}, {"dokploy.application": scene.app.id}))
    nameless = stock.keep(Image(set(), {"dokploy.application": scene.app.id}))
    foreign = stock.keep(Image({"somebody/else:1"}, {}))
    found = await scene.sentences()
    for image in (orphan, failed, nameless, foreign):
        del stock.images[image.id]
    assert len(found) == 3
    assert "the image dokploy/x:1 is of the application" in found[0]
    assert found[1:] == [
        f"the image {name} is of none of the last 5 successes" for name in (f"dokploy/{scene.app.service}:failed", nameless.id)
    ]
    assert await scene.sentences() == []


async def test_a_network_without_an_owner_is_found(scene: Scene) -> None:
    networks, project = scene.installation.stand_in.stock.networks, str(uuid4())
    networks["orphan"] = Network("orphan", {"dokploy.project": project}, "overlay")
    networks["foreign"] = Network("foreign", {}, "overlay")
    found = await scene.sentences()
    del networks["orphan"], networks["foreign"]
    assert found == [f"the network orphan is of the project {project}, which has no application"]
    assert await scene.sentences() == []


async def test_a_work_directory_without_an_owner_is_found(scene: Scene) -> None:
    ended, strange = scene.installation.work / f"{scene.success['id']}-1", scene.installation.work / "strange"
    for directory in (ended, strange):
        directory.mkdir()
    found = await scene.sentences()
    for directory in (ended, strange):
        directory.rmdir()
    assert sorted(found) == sorted(f"the work directory {each.name} is nobody's" for each in (ended, strange))
    assert await scene.sentences() == []


async def test_everything_of_a_deleted_application_is_found(scene: Scene) -> None:
    await scene.sql("update application set deleted_at = now() where id = $1", scene.app.id)
    found = await scene.sentences()
    await scene.sql("update application set deleted_at = null where id = $1", scene.app.id)
    assert sorted(each.split()[1] for each in found) == ["container", "image", "service"]
    assert await scene.sentences() == []
