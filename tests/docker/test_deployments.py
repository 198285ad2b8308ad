"""From a git repository to a page that answers, and what is recorded and running then."""

import re
from datetime import datetime

import pytest

from tests.docker.house import HEALTH_CHECK, House
from tests.docker.installation import Installation
from tests.docker.sample import Sample, dockerfile

pytestmark = pytest.mark.docker


async def test_a_repository_becomes_a_running_page(house: House, sample: Sample, installation: Installation) -> None:
    app = await house.app(gitSource=sample.source)
    sha = sample.commit("Say hello\n\nat length", Dockerfile=dockerfile("RUN echo building it"))
    deployment = await app.deployed()
    assert await app.page() == "version 1"

    assert (deployment["kind"], deployment["branch"], deployment["commitSha"]) == ("git", "main", sha)
    assert (deployment["commitMessage"], deployment["author"]) == ("Say hello\n\nat length", "Ada Lovelace")
    assert (deployment["progress"], deployment["error"]) == (100, None)
    assert [(stage["name"], stage["status"]) for stage in deployment["stages"]] == [
        ("cloning", "completed"),
        ("building", "completed"),
        ("deploying", "completed"),
    ]
    assert all(isinstance(stage["duration"], int) and stage["finishedAt"] >= stage["startedAt"] for stage in deployment["stages"])
    assert isinstance(deployment["duration"], int)
    assert re.search(r"RUN echo building it", deployment["buildOutput"])

    lines = await installation.logs(deployment["id"])
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})
    told = {stage: [line["message"] for line in lines if line["stage"] == stage] for stage in ("cloning", "building", "deploying")}
    assert told["cloning"][-1] == f"Checked out {sha[:12]}: Say hello"
    assert "\n".join(told["building"]) == deployment["buildOutput"]
    assert told["deploying"][-1] == f"1 of 1 replicas run {deployment['image']}"
    events = await installation.follow(deployment["id"])
    assert [event["progress"] for event in events] == sorted(event["progress"] for event in events)
    assert len({event["progress"] for event in events if event["stage"] == "building"}) >= 3

    shown = await app.shown()
    assert (shown["status"], shown["healthStatus"], shown["image"]) == ("running", "healthy", deployment["image"])
    assert shown["gitSource"]["lastCommitSha"] == sha
    assert shown["gitSource"]["lastSync"] is not None
    # The image's HEALTHCHECK is enough: nobody waits longer than until it has passed.
    (task,) = await app.running()
    finished = datetime.fromisoformat(deployment["finishedAt"])
    assert (finished - task.timestamp).total_seconds() < 4


async def test_the_service_is_what_the_configuration_says(house: House, sample: Sample) -> None:
    limits = {"memoryLimit": 64, "cpuLimit": 0.5}
    environment = [{"key": "MODE", "value": "a b=c 'd' \"e\" $HOME ü"}]
    app = await house.app(gitSource=sample.source, resources=limits, healthCheck=HEALTH_CHECK, envVars=environment)
    deployment = await app.deployed()
    service = await app.service()
    assert service
    template, container = service["Spec"]["TaskTemplate"], service["Spec"]["TaskTemplate"]["ContainerSpec"]
    ours = {"dokploy.application": app.id, "dokploy.deployment": deployment["id"], "dokploy.epoch": "1"}
    assert service["Spec"]["Labels"].items() >= ours.items()
    assert container["Labels"].items() >= ours.items()
    assert container["Image"] == deployment["image"] == f"dokploy/{app.service_name}:{deployment['id']}-1"
    assert template["Resources"]["Limits"] == {"MemoryBytes": 64 << 20, "NanoCPUs": 500_000_000, "Pids": 512}
    assert container["Healthcheck"] == {
        "Test": ["CMD-SHELL", HEALTH_CHECK["command"]],
        "Interval": 1_000_000_000,
        "Timeout": 2_000_000_000,
        "Retries": 1,
    }
    assert environment[0]["value"] in await app.page("/env")
