"""Clients that people use, as they come, against a running gateway: queries, mutations, pages and subscriptions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from gateway.embedded.stack import Stack
from models.database import database
from tests.clients.programs import ran, ready
from tests.services.conftest import Api, _registered
from tests.services.gateways import Gateway, browser, gateways
from tests.services.test_deployments import GIT, deployed

CLIENTS = Path(__file__).parent / "graphql-clients"
SECONDS = 60.0
NAMES = ["Anchor", "Buoy", "Compass", "Deck", "Engine"]

PAGE = """query ($after: String) {
  projects(first: 2, after: $after, sort: name, order: asc) {edges {node {name}} pageInfo {hasNextPage endCursor}}
}"""

pytestmark = [pytest.mark.clients, pytest.mark.usefixtures("gateway")]


@pytest.fixture(scope="module")
async def npm_clients() -> None:
    """The clients with their packages."""
    await ready(CLIENTS)


@pytest.fixture(scope="module")
async def running(stack: Stack) -> AsyncIterator[Gateway]:
    """A gateway in a process of its own."""
    async with gateways(stack, 1, DOKPLOY_RATE_LIMITS="off") as (gateway,):
        yield gateway


@pytest.fixture
async def house(running: Gateway) -> AsyncIterator[Api]:
    """Its owner, some projects, and nothing else."""
    async with browser(running) as client:
        await database().execute_script("truncate account, team, project cascade")
        found = Api(client, await _registered(client, "owner"))
        for name in NAMES:
            await found.owner.made("/projects", {"name": name})
        yield found


async def ended(house: Api) -> tuple[str, list[int]]:
    """A deployment that has ended, and the numbers of its events."""
    project = (await house.owner.get("/projects?search=Anchor")).json()["data"][0]
    row = await deployed(house, await house.application(project, gitSource=GIT))
    return str(row.id), list(range(1, row.last_seq + 1))


def expected(events: list[int]) -> dict[str, Any]:
    """What every client finds; it makes a project of its own."""
    names = [*NAMES, "Funnel"]
    pages = [names[place : place + 2] for place in range(0, len(names), 2)]
    return {"me": "owner", "made": "Funnel", "pages": pages, "events": events, "refused": "RESOURCE_NOT_FOUND"}


@pytest.mark.parametrize(
    "client",
    ["graphql-sse, distinct connections", "graphql-sse, single connection", "meros", "urql", "apollo", "apollo, persisted queries"],
)
async def test_a_client_from_npm_works(client: str, house: Api, running: Gateway, npm_clients: None) -> None:
    deployment, events = await ended(house)
    asked = {"url": f"{running.url}/api/graphql", "token": house.owner.token, "name": "Funnel", "deployment": deployment}
    (line,) = await ran("node", "use.mjs", client, json.dumps(asked), cwd=CLIENTS, within=SECONDS)
    assert len(events) > 3
    assert json.loads(line) == expected(events)


async def test_gql_from_pypi_works(house: Api, running: Gateway) -> None:
    deployment, events = await ended(house)
    url, headers = f"{running.url}/api/graphql", {"Authorization": f"Bearer {house.owner.token}"}
    found: dict[str, Any] = {"pages": [], "events": []}
    async with Client(transport=AIOHTTPTransport(url, headers=headers), fetch_schema_from_transport=True) as session:
        found["me"] = (await session.execute(gql("{me {username}}")))["me"]["username"]
        make = gql("mutation ($name: String!) {createProject(input: {name: $name}) {name}}")
        make.variable_values = {"name": "Funnel"}
        found["made"] = (await session.execute(make))["createProject"]["name"]
        after, more = None, True
        while more:
            page = gql(PAGE)
            page.variable_values = {"after": after}
            connection = (await session.execute(page))["projects"]
            found["pages"].append([edge["node"]["name"] for edge in connection["edges"]])
            after, more = connection["pageInfo"]["endCursor"], connection["pageInfo"]["hasNextPage"]
        with pytest.raises(TransportQueryError) as refused:
            await session.execute(gql('{application(id: "00000000-0000-0000-0000-000000000000") {id}}'))
        assert refused.value.errors
        found["refused"] = refused.value.errors[0]["extensions"]["code"]
    socket = WebsocketsTransport(
        url.replace("http", "ws", 1), init_payload=headers, subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL]
    )
    async with Client(transport=socket) as session:
        follow = gql("subscription ($id: ID!) {deploymentEvents(deploymentId: $id) {seq}}")
        follow.variable_values = {"id": deployment}
        async for result in session.subscribe(follow):
            found["events"].append(result["deploymentEvents"]["seq"])
    assert found == expected(events)
