"""GraphQL over HTTP as the working group's audit sees it: npm `graphql-http`, every rule of it."""

import json
from pathlib import Path

import pytest

from gateway.embedded.stack import Stack
from tests.clients.programs import ran, ready
from tests.services.conftest import _registered
from tests.services.gateways import browser, gateways

CLIENT = Path(__file__).parent / "graphql-http"
AUDIT_SECONDS = 60.0
RULES = 61

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
async def npm_client() -> None:
    """The audit with its packages."""
    await ready(CLIENT)


async def audited(url: str, token: str) -> list[dict[str, str]]:
    """What became of each rule."""
    lines = await ran("node", "audit.mjs", json.dumps({"url": url, "token": token}), cwd=CLIENT, within=AUDIT_SECONDS)
    return [json.loads(line) for line in lines]


async def test_every_rule_is_kept(stack: Stack, npm_client: None) -> None:
    async with gateways(stack, 1, DOKPLOY_RATE_LIMITS="off") as (gateway,), browser(gateway) as client:
        person = await _registered(client, "auditor")
        found = await audited(f"{gateway.url}/api/graphql", person.token)
        assert [rule for rule in found if rule["status"] != "ok"] == []
        assert len(found) == RULES


async def test_the_audit_finds_what_is_wrong(stack: Stack, npm_client: None) -> None:
    async with gateways(stack, 1, DOKPLOY_RATE_LIMITS="off") as (gateway,):
        broken = {rule["id"] for rule in await audited(f"{gateway.url}/api/openapi.json", "") if rule["status"] == "error"}
    assert {"4655", "03D4"} <= broken
