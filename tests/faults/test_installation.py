"""The installation by itself: whatever it is made of works while nothing is wrong, and every control does what it says."""

import asyncio
import signal

import httpx2
import psutil
import pytest

from tests.faults.installation import Installation, eventually, healthy
from tests.faults.source import Source


async def test_a_deployment_of_either_gateway_runs_as_a_service(installation: Installation, source: Source) -> None:
    app = await installation.app(gitSource=source.git)
    for gateway in range(2):
        id = await installation.deploy(app, gateway)
        row = await installation.succeeded(id)
        service = installation.stand_in.swarm.services[app.service]
        assert service.spec["Labels"]["dokploy.deployment"] == id
        assert service.spec["TaskTemplate"]["ContainerSpec"]["Image"] == row["image"]
        assert [call.kind for call in installation.stand_in.of("build", deployment=id)] == ["build"]
    kinds = [call.kind for call in installation.stand_in.of("service create", "service update", service=app.service)]
    assert kinds == ["service create", "service update"]


async def test_a_worker_is_known_by_what_it_holds_and_can_be_killed_frozen_and_restarted(
    installation: Installation, source: Source
) -> None:
    rule = installation.stand_in.rules.hold("build")
    id = await installation.deploy(await installation.app(gitSource=source.git))
    call = await rule.begun()
    worker = installation.worker_of(await installation.row(id))
    assert worker
    assert call.pid in [child.pid for child in worker.descendants()]
    worker.freeze()

    async def stopped() -> bool:
        return bool(psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)

    await eventually(stopped, within=5)
    worker.thaw()
    assert await worker.stop() == 0
    await installation.running(worker)
    rule.release()
    await installation.succeeded(id)
    before = worker.pid
    await worker.kill()
    assert not worker.runs
    await installation.running(worker)
    assert worker.pid != before


async def test_the_servers_are_restarted_and_forget_or_remember(installation: Installation) -> None:
    users = await installation.servers.value("select count(*) from account")
    for number in (signal.SIGKILL, signal.SIGINT):
        await installation.servers.restart_postgres(number)
        assert await installation.servers.value("select count(*) from account") == users == 1
    for forget in (installation.servers.restart_valkey, installation.servers.flush):
        async with installation.servers.redis(1) as client:
            await client.set("planted", "1")
            await forget()
            await installation.servers.valkey_answers()
        async with installation.servers.redis(1) as client:
            assert await client.get("planted") is None
    assert [report.split()[0] for report in installation.reports] == ["postgres", "postgres", "valkey"]


async def test_the_proxies_stand_between_the_gateways_and_the_servers(installation: Installation) -> None:
    client = installation.owner.client
    await eventually(lambda: healthy(client))
    installation.servers.postgres.stall()
    with pytest.raises(httpx2.TimeoutException):
        await client.get("/api/health", timeout=1)
    await installation.servers.restore()
    await eventually(lambda: healthy(client))
    await installation.servers.postgres.cut()
    assert (await client.get("/api/health")).status_code == 503
    await installation.servers.restore()
    await eventually(lambda: healthy(client))


async def test_a_clone_hangs_as_long_as_the_git_server_is_silent(installation: Installation, source: Source) -> None:
    source.proxy.stall()
    id = await installation.deploy(await installation.app(gitSource=source.git))
    await installation.until(id, "cloning")
    await asyncio.sleep(1)
    assert (await installation.row(id))["status"] == "cloning"
    await source.proxy.restore()
    await installation.succeeded(id)
