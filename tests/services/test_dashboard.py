"""The dashboard for Grafana: it has what Grafana wants of one, and asks for nothing that the gateway does not export."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from models.standing import Standing, record
from tests.services.conftest import Api
from tests.services.test_prometheus import PATH

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SHOWN = {
    "dokploy_alerts_raised",
    "dokploy_applications_total",
    "dokploy_deployments_total",
    "dokploy_deployments_unfinished",
    "dokploy_edge_errors_total",
    "dokploy_edge_ports_left_out",
    "dokploy_edge_ports_served",
    "dokploy_edge_requests_total",
    "dokploy_edge_up",
    "dokploy_edge_well",
    "dokploy_followers",
    "dokploy_http_request_duration_seconds_bucket",
    "dokploy_http_request_duration_seconds_count",
    "dokploy_log_lines_lost_total",
    "dokploy_open_streams",
    "dokploy_queue_depth",
    "dokploy_stage_duration_seconds_count",
    "dokploy_stage_duration_seconds_sum",
    "dokploy_take_overs_total",
    "process_resident_memory_bytes",
}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [each for each in dashboard()["panels"] if each["type"] != "row"]


def expressions() -> list[str]:
    """What the panels ask for."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_it_has_what_grafana_wants() -> None:
    found = dashboard()
    assert (found["title"], found["uid"]) == ("Dokploy", "dokploy")
    assert found["schemaVersion"] >= 36, "since then a source of data is told by its type and uid"
    variables = {each["name"]: each for each in found["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["job"]["datasource"] == SOURCE
    assert len({each["id"] for each in found["panels"]}) == len(found["panels"])
    for panel in panels():
        assert panel["title"]
        assert panel["datasource"] == SOURCE
        assert panel["type"] in ("timeseries", "stat")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"]) > 0
        assert all(each["expr"] and each["legendFormat"] and each["datasource"] == SOURCE for each in panel["targets"])


def test_no_panel_is_on_another() -> None:
    places = [
        (x, y)
        for place in (each["gridPos"] for each in dashboard()["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(places)) == len(places)
    assert {x for x, _ in places} == set(range(24))


def test_each_series_is_of_the_chosen_job() -> None:
    for expression in expressions():
        assert SELECTOR.search(expression)
        assert len(SELECTOR.findall(expression)) == expression.count('{job=~"$job"')
        assert len(re.findall(r"\b(?:dokploy|process)_", expression)) == expression.count("{"), "and none is without braces"


async def test_it_asks_for_nothing_that_is_not_exported(api: Api, scraped: dict[str, str]) -> None:
    await api.client.get("/api/health")
    await record("one", Standing((30000,)))
    text = (await api.client.get(PATH, headers=scraped)).text
    exported = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    asked = {name for expression in expressions() for name in SELECTOR.findall(expression)}
    assert asked == SHOWN
    assert asked - exported == set()
