"""Schemathesis on the GraphQL schema: whatever it makes up, no answer is an error of ours, and each field of the root answers something."""

import asyncio
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import schemathesis
from graphql import introspection_from_schema
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from gateway.embedded.stack import Stack
from schema.surface import surface
from tests.services.conftest import Api
from tests.services.gateways import Gateway, gateways
from tests.services.place import Cast, Place, cast

SHORT, LONG = 30, 400
"""Documents for each field of the root."""
UNTOLD = {"logout", "login", "register", "updateMe"}
"""What would end the session of whoever asks, or takes a password."""

pytestmark = [pytest.mark.clients, pytest.mark.usefixtures("gateway")]


@dataclass
class Tally:
    """What became of the documents, by field of the root."""

    found: dict[str, Counter[str]] = field(default_factory=dict)
    ours: list[str] = field(default_factory=list)
    """Answers that are our fault."""

    def add(self, label: str, document: str, answer: httpx2.Response) -> None:
        body = answer.json()
        codes = {error["extensions"]["code"] for error in body.get("errors", ())}
        self.found.setdefault(label, Counter())["refused" if codes else "answered"] += 1
        if answer.status_code >= 500 or "INTERNAL_SERVER_ERROR" in codes:
            self.ours.append(f"{document}\n{answer.text}")

    def __str__(self) -> str:
        rows = [f"{label:40}{counts['answered']:>9}{counts['refused']:>9}" for label, counts in sorted(self.found.items())]
        return "\n".join([f"\n{'field of the root':40}{'answered':>9}{'refused':>9}", *rows])


def literal(value: str) -> Any:
    return schemathesis.graphql.nodes.String(value)


def known_to_it(ids: list[str]) -> None:
    """Tell it what ids, numbers and times are like here."""
    nodes = schemathesis.graphql.nodes
    schemathesis.graphql.scalar("ID", st.sampled_from(ids).map(literal))
    schemathesis.graphql.scalar("Int", st.sampled_from([1, 2, 3] * 8 + [0, -1, 2**31 - 1]).map(nodes.Int))
    schemathesis.graphql.scalar("DateTime", st.sampled_from(["2026-01-02T03:04:05Z", "yesterday"]).map(literal))


def within(document: str, place: Place) -> str:
    """A document whose ids of a backup or a restore are now and then those of the place, and those beside them its database's.

    A period is one that there is, and what has ids of its own is asked for by the place's.
    """
    document = re.sub(r'\bperiod: "[^"]*"', 'period: "1h"', document)
    owned = {"alert": place.alert, "alertRules": place.application, "notification": place.notification}
    owned |= dict.fromkeys(("notificationChannel", "notificationChannelSecret"), place.channel)
    for field_, id in owned.items():
        document = re.sub(rf'\b{field_}\(id: "[^"]*"', f'{field_}(id: "{id}"', document)
    parts = {"backupId": place.backup, "restoreId": place.restore}
    named = [name for name in parts if f"{name}:" in document]
    if not named or random.Random(document).random() < 0.5:
        return document
    for name, id in [(named[0], parts[named[0]]), ("id", place.database)]:
        document = re.sub(rf'\b{name}: "[^"]*"', f'{name}: "{id}"', document)
    return document


def fuzzed(url: str, token: str, place: Place, ids: list[str], examples: int) -> Tally:
    """Send so many documents for each field of the root."""
    known_to_it(ids)
    tally = Tally()
    found = schemathesis.graphql.from_dict(introspection_from_schema(surface().catalog.schema))
    with httpx2.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        for each in found.get_all_operations():
            operation = each.ok()
            kind, _, name = operation.label.partition(".")
            if name not in UNTOLD and kind != "Subscription":
                _sent(tally, client, url, operation, place, examples)
    return tally


def _sent(tally: Tally, client: httpx2.Client, url: str, operation: Any, place: Place, examples: int) -> None:
    @seed(1)
    @settings(max_examples=examples, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        document = within(case.body, place)
        tally.add(operation.label, document, client.post(url, json={"query": document}))

    send()


@pytest.fixture
async def running(stack: Stack) -> AsyncIterator[Gateway]:
    """A gateway in a process of its own."""
    async with gateways(stack, 1, DOKPLOY_RATE_LIMITS="off") as (gateway,):
        yield gateway


async def answered(api: Api, gateway: Gateway, examples: int) -> Tally:
    people: Cast = await cast(api)
    place = await people.place()
    owner = await people.actor("global owner")
    ids = [place.team, place.project, place.application, place.deployment, place.waiting, place.member, place.database, owner.id]
    return await asyncio.to_thread(fuzzed, f"{gateway.url}/api/graphql", owner.token, place, ids, examples)


async def holds(api: Api, gateway: Gateway, examples: int, capsys: pytest.CaptureFixture[str]) -> None:
    tally = await answered(api, gateway, examples)
    with capsys.disabled():
        sys.stderr.write(f"{tally}\n")
    assert tally.ours == []
    queries = {f"Query.{name}" for name in surface().catalog.root("query").fields}
    assert {label for label, counts in tally.found.items() if counts["answered"]} >= queries


async def test_every_field_answers_and_none_fails(api: Api, running: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    await holds(api, running, SHORT, capsys)


@pytest.mark.full
async def test_every_field_answers_hundreds_of_documents(api: Api, running: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    await holds(api, running, LONG, capsys)


def test_an_error_of_ours_is_counted() -> None:
    tally = Tally()
    tally.add("Query.me", "{me}", httpx2.Response(200, json={"data": None, "errors": [{"extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}))
    tally.add("Query.me", "{me}", httpx2.Response(503, json={"errors": [{"extensions": {"code": "SERVICE_UNAVAILABLE"}}]}))
    tally.add("Query.me", "{me}", httpx2.Response(200, json={"data": {}}))
    assert (len(tally.ours), tally.found["Query.me"]) == (2, Counter(refused=2, answered=1))
