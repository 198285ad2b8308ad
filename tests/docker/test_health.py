"""A version that does not become healthy: nothing of a first one is left, and of an update the version before serves on."""

import pytest

from tests.docker.house import HEALTH_CHECK, House
from tests.docker.installation import Installation
from tests.docker.sample import Sample, dockerfile

pytestmark = pytest.mark.docker

NEVER = HEALTH_CHECK | {"command": "echo no good; exit 1"}


async def test_a_first_deployment_that_never_becomes_healthy_leaves_nothing(
    house: House, sample: Sample, installation: Installation
) -> None:
    app = await house.app(gitSource=sample.source, healthCheck=NEVER)
    failed = await app.failed()
    assert failed["error"]["code"] == "HEALTH_CHECK_FAILED"
    assert failed["error"]["message"] == "The health check did not pass."
    assert "health check: no good" in failed["error"]["output"]
    assert [stage["status"] for stage in failed["stages"]] == ["completed", "completed", "failed"]
    assert any(line["message"] == "health check: no good" for line in await installation.logs(failed["id"]))
    assert await app.service() is None
    shown = await app.shown()
    assert (shown["status"], shown["healthStatus"]) == ("error", "unknown")


async def test_an_update_that_never_becomes_healthy_ends_when_the_version_before_serves_again(house: House, sample: Sample) -> None:
    app = await house.app(gitSource=sample.source)
    first = await app.deployed()
    sample.commit(index="version 2\n", Dockerfile=dockerfile("HEALTHCHECK --interval=1s --retries=1 CMD echo no good; exit 1"))
    failed = await app.failed()
    service, running = await app.service(), await app.running()
    assert failed["error"]["code"] == "HEALTH_CHECK_FAILED"
    assert "health check: no good" in failed["error"]["output"]
    assert service
    assert service["UpdateStatus"]["State"] in ("rollback_completed", "completed")  # the latter when Swarm had to be pushed
    assert [task.deployment for task in running] == [first["id"]]
    assert await app.page() == "version 1"
    shown = await app.shown()
    assert (shown["status"], shown["healthStatus"], shown["image"]) == ("running", "healthy", first["image"])


async def test_a_container_that_ends_at_once_tells_its_last_words_without_its_secrets(
    house: House, sample: Sample, installation: Installation
) -> None:
    secret = "kanarienvogel"
    sample.commit(Dockerfile=dockerfile('CMD ["sh", "-c", "echo last words, $TOKEN; exit 7"]'))
    app = await house.app(gitSource=sample.source, envVars=[{"key": "TOKEN", "value": secret, "isSecret": True}])
    failed = await app.failed()
    assert (failed["error"]["code"], failed["error"]["message"]) == ("CONTAINER_FAILED", "The container ended with exit code 7.")
    assert "last words, [redacted]" in failed["error"]["output"]
    assert secret not in str(failed) + str(await installation.logs(failed["id"]))
