"""Caddy serves what the database says, whichever of them was restarted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import models
from gateway.demo.load import loaded
from gateway.embedded.up import free_port
from models import CertificateSource
from models.ports import reserved
from models.settings import settings
from models.standing import FRESH, Standing, heard, record
from tests.services.conftest import Api
from tests.workers.edge.test_agent import Told
from tests.workers.edge.test_serving import HOST, Container, Place, caddy_running
from workers.edge.agent import Agent
from workers.edge.caddy import Caddy
from workers.edge.caddy_config import Node
from workers.edge.counts import Counter
from workers.edge.dns import serving
from workers.edge.domain_config import DomainRoute
from workers.edge.keeper import Keeper, kept
from workers.edge.wanted import wanted


@pytest.fixture
async def place(short_tmp: Path, api: Api) -> AsyncIterator[Place]:
    """An edge that serves nothing yet."""
    async with AsyncExitStack() as resources:
        found: dict[str, tuple[str, ...]] = {}
        resolver = await resources.enter_async_context(serving(lambda application: found.get(application, ()), HOST, 0))
        caddy = await resources.enter_async_context(caddy_running(short_tmp))
        yield Place(free_port(HOST, 0), free_port("127.0.0.2", 0), caddy, Node(f"{HOST}:{resolver}", str(short_tmp / "log.sock")), found)


@pytest.fixture
def keeper(place: Place) -> Keeper:
    return Keeper(place.node, place.caddy, Agent(Told()))


async def published(api: Api, place: Place) -> models.Application:
    made = await api.application(ports=[{"containerPort": place.container_port, "publishedPort": place.port}])
    return await models.Application.get(id=made["id"])


async def test_a_port_is_served_as_long_as_its_application_is_there(api: Api, place: Place, keeper: Keeper) -> None:
    application = await published(api, place)
    container = await place.container("127.0.0.2", "one")
    place.addresses[str(application.id)] = (container.address,)
    assert await keeper.keep()
    async with loaded(place.port, 2) as tally:
        await asyncio.sleep(0.5)
    assert tally.answers["one"] > 10
    assert not tally.failures
    assert not await keeper.keep(), "nothing has changed"
    await application.delete()
    assert await keeper.keep()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(HOST, place.port)
    await container.stop()


async def test_another_keeper_finds_nothing_to_do(api: Api, place: Place, keeper: Keeper) -> None:
    await published(api, place)
    assert await keeper.keep()
    other = Agent(Told())
    await other.look()
    assert not await Keeper(place.node, place.caddy, other).keep(), "that it knows other addresses is no reason"


async def test_a_caddy_that_has_forgotten_everything_is_told_again(api: Api, place: Place, keeper: Keeper, short_tmp: Path) -> None:
    await published(api, place)
    assert await keeper.keep()
    await place.caddy.load({})
    assert await keeper.keep()
    assert not await keeper.keep()


async def test_a_port_that_another_program_has_is_left_out_until_it_is_free(api: Api, place: Place, keeper: Keeper) -> None:
    await published(api, place)
    other = await asyncio.start_server(lambda reader, writer: None, "", place.port)
    await keeper.keep()
    assert keeper.standing.left_out == (place.port,)
    other.close()
    await other.wait_closed()
    assert await keeper.keep()
    assert keeper.standing.left_out == ()


async def test_what_does_not_speak_http_is_no_matter_of_the_edge(api: Api) -> None:
    made = await api.application(ports=[{"containerPort": 5432, "protocol": "tcp-raw"}, {"containerPort": 53, "protocol": "udp"}])
    assert made["id"]
    assert await wanted() == ((), ())


async def test_a_changed_container_port_leads_to_what_runs_until_the_change_has_been_deployed(api: Api, place: Place) -> None:
    application = await published(api, place)
    live = (await api.owner.made(f"/applications/{application.id}/deploy", {}))["deploymentId"]
    application.ports = [{**application.ports[0], "container_port": 9999}]
    await application.save()
    assert [route.container for route in (await wanted())[0]] == [9999]
    before = [{"container_port": place.container_port, "published_port": place.port, "protocol": "tcp"}]
    await models.Deployment.filter(id=live).update(status="success", ports=before, finished_at=datetime.now(UTC))
    assert [route.container for route in (await wanted())[0]] == [place.container_port]


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_without_keep_alive_no_connection_to_a_container_is_used_twice(
    api: Api, place: Place, keeper: Keeper, *, keep_alive: bool
) -> None:
    port = {"containerPort": place.container_port, "publishedPort": place.port, "keepAlive": keep_alive}
    made = await api.application(ports=[port])
    assert made["id"]
    await keeper.keep()
    container = await place.container("127.0.0.2", "one")
    place.addresses[made["id"]] = (container.address,)
    async with loaded(place.port, 2) as tally:
        await asyncio.sleep(0.5)
    await container.stop()
    assert not tally.failures
    assert (container.connections < tally.requests / 2) is keep_alive
    assert container.connections == tally.requests or keep_alive


@pytest.mark.parametrize(
    ("public", "address", "served"),
    [
        ("https://dokploy.example.com", "127.0.0.1:8000", True),
        ("https://dokploy.example.com:8443", "127.0.0.1:8000", False),
        ("http://dokploy.example.com", "127.0.0.1:8000", False),
        ("https://dokploy.example.com", "", False),
        ("", "127.0.0.1:8000", False),
    ],
)
async def test_the_gateways_own_host_is_served_when_it_is_https_on_the_edges_port(
    api: Api, monkeypatch: pytest.MonkeyPatch, public: str, address: str, *, served: bool
) -> None:
    application = await models.Application.get(id=(await api.application(ports=[{"containerPort": 80}]))["id"])
    theirs = {"project_id": application.project_id, "path": "/api", "certificate": CertificateSource.internal}
    await models.Domain.create(application_id=application.id, domain="dokploy.example.com", **theirs)
    for name, value in {"public_url": public, "edge_gateway": address, "edge_ports": (80, 443)}.items():
        monkeypatch.setitem(settings().__dict__, name, value)
    (route,) = (await wanted())[1]
    gateway = DomainRoute("dokploy.example.com", application="", container=0, address="127.0.0.1:8000")
    assert (route == gateway) is served, "whoever had the name before"
    assert (8000 in reserved()) is bool(address)


async def test_what_an_edge_says_is_heard_until_it_is_old(api: Api) -> None:
    await record("one", Standing((30000, 30001), (30002,), "Something."))
    await record("one", Standing((30000,)))
    await record("two", Standing(trouble="Something."))
    heard_now = await heard()
    assert [(each.node, each.standing) for each in heard_now] == [("one", Standing((30000,))), ("two", Standing(trouble="Something."))]
    assert all(each.is_fresh for each in heard_now)
    await models.EdgeNode.filter(name="two").update(seen_at=datetime.now(UTC) - timedelta(seconds=60))
    assert [each.is_fresh for each in await heard()] == [True, False]
    assert [each.node for each in await heard(FRESH)] == ["one"]


async def test_a_caddy_that_is_away_is_trouble_that_everybody_can_see(api: Api, place: Place) -> None:
    async with Caddy("/nowhere/caddy.sock") as nobody:
        running = asyncio.create_task(kept(Keeper(place.node, nobody, Agent(Told())), "here"))
        async with asyncio.timeout(10):
            while not (found := await heard()):
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [(each.node, each.standing.trouble) for each in found] == [("here", "Caddy cannot be reached.")]


async def served(api: Api, place: Place) -> tuple[models.Application, Container, Counter]:
    """An application with a container, and who counts what is passed on to it."""
    application, container = await published(api, place), await place.container("127.0.0.2", "one")
    place.addresses[str(application.id)] = (container.address,)
    return application, container, Counter()


async def test_what_was_passed_on_is_stored_by_application_whatever_was_configured_meanwhile(api: Api, place: Place) -> None:
    application, container, counter = await served(api, place)
    keeper = Keeper(place.node, place.caddy, Agent(Told()), counter)
    await keeper.keep()
    async with loaded(place.port, 4) as first:
        await asyncio.sleep(0.5)
    await api.application(ports=[{"containerPort": 1}])
    assert await keeper.keep(), "and Caddy has begun to count anew"
    async with loaded(place.port, 4) as second:
        await asyncio.sleep(0.2)
    await container.stop()
    await counter.take(place.caddy)
    await counter.store(1.0)
    (row,) = await models.Traffic.all()
    assert (row.application_id, row.requests, row.errors) == (application.id, first.requests + second.requests, 0)
    assert 0 < row.p50 <= row.p95 <= row.p99
    await counter.store(1.0)
    assert await models.Traffic.all().count() == 1


async def test_what_is_asked_while_the_configuration_changes_is_counted(api: Api, place: Place) -> None:
    """Half of the new connections are taken by the servers from before, until they end."""
    _, container, counter = await served(api, place)
    keeper = Keeper(place.node, place.caddy, Agent(Told()), counter)
    await keeper.keep()
    await api.application(ports=[{"containerPort": 1}])
    asked, keeping = 0, asyncio.create_task(keeper.keep())
    while not keeping.done():
        reader, writer = await asyncio.open_connection(HOST, place.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        asked += (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert await keeping
    await container.stop()
    await counter.take(place.caddy)
    counted = sum(each.requests for each in counter.added.values())
    assert asked > 100
    assert 0.8 * asked < counted <= asked, "all but those of the very last moment"


async def test_what_docker_published_before_there_was_an_edge_is_left_to_it_until_the_next_deployment(api: Api, place: Place) -> None:
    application = await published(api, place)
    live = (await api.owner.made(f"/applications/{application.id}/deploy", {}))["deploymentId"]
    assert len((await wanted())[0]) == 1
    await models.Deployment.filter(id=live).update(status="success", finished_at=datetime.now(UTC))
    assert (await wanted())[0] == ()


async def test_the_installations_own_ports_are_given_to_nobody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "reserved_ports", frozenset({8123}))
    made = await api.application()
    for port in (8123, settings().edge_resolver[1]):
        ports = [{"containerPort": 80, "publishedPort": port}]
        answer = await api.owner.patch(f"/applications/{made['id']}", {"ports": ports})
        assert (answer.status_code, answer.json()["error"]["details"]["reason"]) == (409, "PORT_TAKEN")


async def test_a_port_on_which_only_ipv6_is_listened_to_is_left_out(api: Api, place: Place, keeper: Keeper) -> None:
    await published(api, place)
    other = await asyncio.start_server(lambda reader, writer: None, "::1", place.port)
    await keeper.keep()
    assert keeper.standing.left_out == (place.port,)
    other.close()
    await other.wait_closed()
