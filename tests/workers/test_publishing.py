"""How a port is published: by the edge, by Swarm or by the container itself."""

from typing import Any

import pytest

from models.settings import settings
from workers import publishing as choice
from workers.desired import spec_of
from workers.publishing import Publishing, explained, publishing
from workers.service_spec import Port, ServiceSpec

PROJECT = "0199a2b4-0000-7000-8000-000000000001"


def config(*protocols: str, volumes: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    ports = [
        {"container_port": 8000 + number, "published_port": 30000 + number, "protocol": protocol}
        for number, protocol in enumerate(protocols)
    ]
    nothing = {"env_vars": [], "health_check": None, "resources": None}
    return {"project_id": PROJECT, "service_name": "web", "ports": ports, "volumes": list(volumes), **nothing}


def spec(way: Publishing, *protocols: str) -> ServiceSpec:
    return spec_of(config(*protocols), "image:1", 2, labels={}, publishing=way)


def test_behind_the_edge_docker_publishes_nothing_that_speaks_http() -> None:
    found = spec(Publishing.edge, "tcp")
    assert (found.ports, found.order, found.endpoint_mode) == ((), "start-first", "dnsrr")


def test_what_cannot_pass_the_edge_is_published_on_the_host_and_stops_first() -> None:
    found = spec(Publishing.edge, "tcp", "tcp-raw", "udp")
    assert found.ports == (Port(8001, 30001, "tcp", "host"), Port(8002, 30002, "udp", "host"))
    assert found.order == "stop-first"


def test_the_routing_mesh_publishes_everything_and_starts_first() -> None:
    found = spec(Publishing.mesh, "tcp", "udp")
    assert found.ports == (Port(8000, 30000, "tcp", "ingress"), Port(8001, 30001, "udp", "ingress"))
    assert (found.order, found.endpoint_mode) == ("start-first", "vip")


def test_on_the_host_one_container_at_a_time_has_the_port() -> None:
    found = spec(Publishing.host, "tcp")
    assert found.ports == (Port(8000, 30000, "tcp", "host"),)
    assert (found.order, found.endpoint_mode) == ("stop-first", "dnsrr")


@pytest.mark.parametrize("way", Publishing)
def test_without_a_port_the_new_version_starts_first(way: Publishing) -> None:
    assert spec(way).order == "start-first"


@pytest.mark.parametrize(
    ("edge", "ipvs", "way", "words"),
    [
        ("embedded", False, Publishing.edge, "through the edge"),
        ("embedded", True, Publishing.edge, "through the edge"),
        ("off", True, Publishing.mesh, "routing mesh"),
        ("off", False, Publishing.host, "one container at a time"),
    ],
)
def test_the_setting_and_the_kernel_decide(monkeypatch: pytest.MonkeyPatch, edge: str, ipvs: bool, way: Publishing, words: str) -> None:
    monkeypatch.setenv("DOKPLOY_EDGE", edge)
    monkeypatch.setattr(choice, "has_ipvs", lambda: ipvs)
    settings.cache_clear()
    try:
        assert publishing() is way
        assert words in explained()
    finally:
        settings.cache_clear()
