"""What is live, over the clients that people use: what they follow, how they go on, and how each of them learns that it is over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

import models
from gateway.embedded.stack import Stack
from models.database import database
from schema import tokens
from tests.clients.live import CLIENTS, NAMES, Connection, Followed, Program, program
from tests.clients.programs import ready
from tests.services.conftest import SCRAPER, Api, Person, _registered
from tests.services.gateways import browser, gateways
from tests.services.test_deployments import GIT, played
from tests.services.test_following_logs import printed
from tests.services.test_live import told

LOGS: Final = "subscription ($id: ID!, $after: BigInt! = 0) {applicationLogs(applicationId: $id, afterSeq: $after) {seq message}}"
EVENTS: Final = "subscription ($id: ID!, $after: Int! = 0) {deploymentEvents(deploymentId: $id, afterSeq: $after) {seq message}}"
WATCH: Final = "subscription ($id: ID!) {applicationEvents(applicationId: $id) {deploymentId status seq}}"
SOON: Final = 5.0
"""Seconds within which somebody who lost a right cannot use it any more, on what is open (DECISIONS 16)."""
SHORT: Final = 5
"""Seconds that the token lives which expires."""
SINGLE: Final = "graphql-sse, single connection"
"""Of an answer that refuses this client keeps the status alone; after one it opens another stream, and forgets the first."""

pytestmark = [pytest.mark.clients, pytest.mark.usefixtures("gateway")]
over_each = pytest.mark.parametrize("client", NAMES)


@dataclass
class House:
    """A gateway with its owner, and the clients."""

    api: Api
    clients: Program

    async def open_streams(self) -> int:
        """How many streams the gateway says are open."""
        answer = await self.api.client.get("/api/metrics/prometheus", headers={"Authorization": f"Bearer {SCRAPER}"})
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        return int(next(sample.value for sample in samples if sample.name == "dokploy_open_streams"))

    async def nothing_is_open(self) -> None:
        """Wait until the gateway holds nothing any more. Raises TimeoutError."""
        async with asyncio.timeout(SOON):
            while await self.open_streams():
                await asyncio.sleep(0.05)

    async def deploying(self) -> tuple[str, str]:
        """An application, and a deployment of it that waits."""
        application = (await self.api.application(gitSource=GIT))["id"]
        return application, (await self.api.owner.made(f"/applications/{application}/deploy", {}))["deploymentId"]

    async def session(self) -> Person:
        """The owner, logged in once more."""
        owner = self.api.owner
        return Person(owner.client, owner.username, owner.id, await tokens.issued(await models.User.get(id=owner.id)))

    async def show(self, person: Person, application: str) -> str:
        """Let somebody see an application's project, as the member of a team whose id this is."""
        owner = self.api.owner
        team: str = (await owner.made("/teams", {"name": f"Crew {application}"}))["id"]
        await owner.made(f"/teams/{team}/members", {"userId": person.id, "role": "viewer"})
        project = (await owner.get(f"/applications/{application}")).json()["projectId"]
        assert (await owner.patch(f"/projects/{project}", {"teamId": team})).is_success
        return team


@pytest.fixture(scope="module")
async def shared(stack: Stack) -> AsyncIterator[House]:
    """What all tests have in common."""
    await ready(CLIENTS)
    async with (
        gateways(stack, 1, DOKPLOY_RATE_LIMITS="off", DOKPLOY_METRICS_TOKEN=SCRAPER) as (running,),
        browser(running) as client,
        program(running.url) as clients,
    ):
        await database().execute_script("truncate account, team, project cascade")
        yield House(Api(client, await _registered(client, "owner")), clients)


@pytest.fixture
async def house(shared: House) -> AsyncIterator[House]:
    """Afterwards nothing is followed any more."""
    yield shared
    await shared.clients.stop()
    await shared.nothing_is_open()


@over_each
async def test_who_goes_and_comes_back_while_lines_are_printed_misses_none(house: House, client: str) -> None:
    application, batches = (await house.api.application())["id"], 40
    connection = house.clients.connection(client, house.api.owner.token)
    await printed(application, "first")

    async def printing() -> None:
        for number in range(batches):
            await printed(application, f"{number}", "and one more")
            await asyncio.sleep(0.02)

    writer = asyncio.create_task(printing())
    seen: list[int] = []
    while len(seen) < 2 * batches + 1:
        following = await connection.follow(LOGS, id=application, after=seen[-1] if seen else 0)
        seen += await following.seqs(min(15, 2 * batches + 1 - len(seen)))
        await following.stop()
    await writer
    assert seen == list(range(1, 2 * batches + 2))
    await house.nothing_is_open()


@over_each
async def test_a_deployment_is_followed_to_its_end_and_resumed_from_the_middle(house: House, client: str) -> None:
    _, deployment = await house.deploying()
    connection = house.clients.connection(client, house.api.owner.token)
    following = await connection.follow(EVENTS, id=deployment)
    assert await following.seqs(2) == [1, 2]
    await told(deployment, "one", "two")
    assert [(await following.next())["message"] for _ in range(2)] == ["one", "two"]
    last = (await played(deployment)).last_seq
    assert await following.rest() == (list(range(5, last + 1)), "complete")
    for after in (3, last):
        resumed = await connection.follow(EVENTS, id=deployment, after=after)
        assert await resumed.rest() == (list(range(after + 1, last + 1)), "complete")
    await house.nothing_is_open()


@over_each
async def test_of_operations_beside_each_other_one_ends_and_the_others_go_on(house: House, client: str) -> None:
    application, deployment = await house.deploying()
    foreign, foreign_deployment = await house.deploying()
    person = await house.api.person()
    await house.show(person, application)
    connection = house.clients.connection(client, person.token)
    logs, events, watching = [
        await connection.follow(query, id=id) for query, id in ((LOGS, application), (EVENTS, deployment), (WATCH, application))
    ]
    await printed(application, "one")
    assert await logs.seqs(1) == [1]
    assert await events.seqs(2) == [1, 2]
    assert (await watching.next())["status"] == "pending"
    for query, unseen in ((LOGS, foreign), (WATCH, foreign), (EVENTS, foreign_deployment)):
        for id in (unseen, "00000000-0000-7000-8000-000000000000", "nonsense"):
            assert await (await connection.follow(query, id=id)).rest() == ([], "RESOURCE_NOT_FOUND")
    if client != SINGLE:
        assert await (await connection.follow("subscription {nothing}")).rest() == ([], "VALIDATION_ERROR")
    await printed(application, "two")
    assert await logs.seqs(1) == [2]
    await logs.stop()
    last = (await played(deployment)).last_seq
    assert await events.rest() == (list(range(3, last + 1)), "complete")
    while (await watching.next())["status"] != "success":
        pass
    await watching.stop()
    await house.nothing_is_open()


@over_each
async def test_a_token_that_is_none_is_refused_by_its_code(house: House, client: str) -> None:
    application = (await house.api.application())["id"]
    for token in ("nonsense", f"{house.api.owner.token[:-4]}AAAA"):
        connection = house.clients.connection(client, token)
        assert await (await connection.follow(LOGS, id=application)).rest() == ([], "HTTP 401" if client == SINGLE else "INVALID_TOKEN")


async def begun(connection: Connection, application: str, deployment: str) -> list[Followed]:
    """Three operations beside each other that have told how things stand: a line is printed, a deployment waits."""
    found = [await connection.follow(query, id=id) for query, id in ((LOGS, application), (EVENTS, deployment), (WATCH, application))]
    assert [await each.seqs(count) for each, count in zip(found, (1, 2, 1), strict=True)] == [[1], [1, 2], [2]]
    return found


async def going_on(found: dict[str, list[Followed]], application: str, deployment: str) -> dict[str, list[list[int]]]:
    """What the operations of each client tell of one more line and event. Raises TimeoutError."""
    await printed(application, "two")
    await told(deployment, "line")
    return {client: [await each.seqs(1) for each in operations] for client, operations in found.items()}


async def codes(found: dict[str, list[Followed]], since: float, within: float) -> dict[str, list[str]]:
    """How the operations of each client end, in the seconds since a time. Raises TimeoutError."""
    async with asyncio.timeout_at(since + within):
        return {client: [(await each.rest(within))[1] for each in operations] for client, operations in found.items()}


async def test_logging_out_ends_all_that_is_followed_and_nothing_of_other_sessions(house: House) -> None:
    application, deployment = await house.deploying()
    await printed(application, "one")
    sessions = {client: await house.session() for client in NAMES}
    over = house.clients.connection
    leaving = {client: await begun(over(client, session.token), application, deployment) for client, session in sessions.items()}
    staying = {client: await begun(over(client, house.api.owner.token), application, deployment) for client in NAMES}
    since = asyncio.get_running_loop().time()
    for session in sessions.values():
        assert (await session.post("/auth/logout")).status_code == 204
    assert await codes(leaving, since, SOON) == {client: ["INVALID_TOKEN"] * 3 for client in NAMES}
    assert await going_on(staying, application, deployment) == {client: [[2], [3], [3]] for client in NAMES}


async def test_leaving_a_team_ends_what_is_followed_of_it_and_nothing_else_on_the_connection(house: House) -> None:
    person = await house.api.person()
    left, kept = [await house.deploying() for _ in range(2)]
    team, _ = [await house.show(person, application) for application, _ in (left, kept)]
    for application, _ in (left, kept):
        await printed(application, "one")
    losing, staying = dict[str, list[Followed]](), dict[str, list[Followed]]()
    for client in NAMES:
        connection = house.clients.connection(client, person.token)
        losing[client], staying[client] = await begun(connection, *left), await begun(connection, *kept)
    since = asyncio.get_running_loop().time()
    assert (await house.api.owner.delete(f"/teams/{team}/members/{person.id}")).status_code == 204
    assert await codes(losing, since, SOON) == {client: ["RESOURCE_NOT_FOUND"] * 3 for client in NAMES}
    assert await going_on(staying, *kept) == {client: [[2], [3], [3]] for client in NAMES}


async def test_a_token_that_expires_ends_all_that_is_followed_with_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    application, deployment = await house.deploying()
    await printed(application, "one")
    monkeypatch.setattr(tokens, "LIFETIME", SHORT)
    since = asyncio.get_running_loop().time()
    following = {
        client: await begun(house.clients.connection(client, (await house.session()).token), application, deployment) for client in NAMES
    }
    assert await codes(following, since, SHORT + SOON) == {client: ["INVALID_TOKEN"] * 3 for client in NAMES}
    await house.nothing_is_open()
