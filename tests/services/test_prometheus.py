"""What Prometheus scrapes: who may, what it says, and that Prometheus' own reader understands it."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

import models
from models.settings import settings
from models.standing import Standing, record
from tests.services.conftest import Api

PATH = "/api/metrics/prometheus"
TOKEN = "scrape me"


@pytest.fixture
def scraped(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The header that Prometheus sends."""
    monkeypatch.setitem(settings().__dict__, "metrics_token", SecretStr(TOKEN))
    return {"Authorization": f"Bearer {TOKEN}"}


def told(answer: httpx2.Response) -> dict[str, dict[tuple[str, ...], float]]:
    """The values by name and labels."""
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_it_says_how_many_applications_and_deployments_there_are(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application()
    deployment = (await api.owner.made(f"/applications/{application['id']}/deploy", {}))["deploymentId"]
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_applications_total"][("pending",)] == 1
    assert found["dokploy_deployments_total"][("success",)] == 0
    await models.Deployment.filter(id=deployment).update(status="success", finished_at=datetime.now(UTC))
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_deployments_total"][("success",)] == 1


async def test_it_says_how_each_edge_is(api: Api, scraped: dict[str, str]) -> None:
    await record("one", Standing((30000, 30001)))
    await record("two", Standing((30000,), (30001,), "Something."))
    found = told(await api.client.get(PATH, headers=scraped))
    assert found["dokploy_edge_up"] == {("one",): 1, ("two",): 1}
    assert found["dokploy_edge_well"] == {("one",): 1, ("two",): 0}
    assert found["dokploy_edge_ports_served"] == {("one",): 2, ("two",): 1}
    assert found["dokploy_edge_ports_left_out"] == {("one",): 0, ("two",): 1}
    await models.EdgeNode.filter(name="one").update(seen_at=datetime.now(UTC) - timedelta(seconds=60))
    assert told(await api.client.get(PATH, headers=scraped))["dokploy_edge_up"] == {("one",): 0, ("two",): 1}


async def test_only_prometheus_owners_and_admins_may_read_it(api: Api, scraped: dict[str, str]) -> None:
    stranger = await api.person()
    assert (await api.client.get(PATH)).status_code == 401
    assert (await api.client.get(PATH, headers={"Authorization": "Bearer something else"})).status_code == 401
    assert (await api.client.get(PATH, headers=stranger.headers)).status_code == 403
    assert (await api.client.get(PATH, headers=api.owner.headers)).status_code == 200
    assert (await api.client.get(PATH.replace("/api/", "/api/v1/"), headers=scraped)).status_code == 200
    assert (await api.client.get("/api/users/me", headers=scraped)).status_code == 401, "the token is for nothing else"


@pytest.mark.parametrize("token", [None, SecretStr("")], ids=["none", "empty"])
async def test_without_a_token_of_its_own_prometheus_may_not(api: Api, monkeypatch: pytest.MonkeyPatch, token: SecretStr | None) -> None:
    monkeypatch.setitem(settings().__dict__, "metrics_token", token)
    for given in ("Bearer ", "Bearer None", ""):
        assert (await api.client.get(PATH, headers={"Authorization": given} if given else {})).status_code == 401


async def test_no_tenant_is_named(api: Api, scraped: dict[str, str]) -> None:
    application = await api.application(name="very-secret-name")
    text = (await api.client.get(PATH, headers=scraped)).text
    assert "very-secret" not in text
    assert application["id"] not in text
