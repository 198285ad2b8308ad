"""`GET /api/metrics/prometheus`: what the database says of the installation, and what this gateway counts about itself."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from models import ApplicationStatus, DeploymentStatus
from models.database import database
from models.settings import settings
from models.standing import Heard, heard
from schema.access import Role
from schema.context import Context

PATHS: Final = ("/api/metrics/prometheus", "/api/v1/metrics/prometheus")
_APPLICATIONS: Final = "select status, count(*) as number from application where deleted_at is null group by status"
_DEPLOYMENTS: Final = "select status, count(*) as number from deployment where finished_at is not null group by status"


def is_scraper(connection: HTTPConnection) -> bool:
    """Whether this is Prometheus, with the token that was made for it; it is nobody, and is not counted."""
    token = settings().metrics_token
    given = connection.headers.get("authorization", "").encode("latin-1")
    wanted = b"Bearer " + token.get_secret_value().encode() if token else b""
    return connection.scope["path"] in PATHS and bool(wanted) and hmac.compare_digest(given, wanted)


class Installation(Collector):
    """What the database says. Nodes are named; tenants and what is theirs are not."""

    def __init__(self, applications: dict[str, int], deployments: dict[str, int], edges: Sequence[Heard]) -> None:
        self._applications, self._deployments, self._edges = applications, deployments, edges

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        applications = GaugeMetricFamily("dokploy_applications_total", "Total number of applications", labels=["status"])
        for status in ApplicationStatus:
            applications.add_metric([status], self._applications.get(status, 0))
        deployments = CounterMetricFamily("dokploy_deployments", "Total number of deployments", labels=["status"])
        for ended in (DeploymentStatus.success, DeploymentStatus.failed, DeploymentStatus.cancelled):
            deployments.add_metric([ended], self._deployments.get(ended, 0))
        yield applications
        yield deployments
        yield _of_edges("dokploy_edge_up", "Whether the edge of a node is heard of.", ((each, each.is_fresh) for each in self._edges))
        yield _of_edges("dokploy_edge_well", "Whether it serves all that it shall.", ((each, each.is_well) for each in self._edges))
        served = ((each, len(each.standing.served)) for each in self._edges)
        yield _of_edges("dokploy_edge_ports_served", "Published ports that it listens on.", served)
        left = ((each, len(each.standing.left_out)) for each in self._edges)
        yield _of_edges("dokploy_edge_ports_left_out", "Published ports that another program has.", left)


def _of_edges(name: str, told: str, values: Iterable[tuple[Heard, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=["node"])
    for edge, value in values:
        family.add_metric([edge.node], value)
    return family


async def _numbers(statement: str) -> dict[str, int]:
    return {row["status"]: row["number"] for row in await database().execute_query_dict(statement)}


async def _metrics(request: Request) -> Response:
    if not is_scraper(request):
        context: Context = request.scope["context"]
        context.require(Role.operator)
    registry = CollectorRegistry()
    registry.register(Installation(await _numbers(_APPLICATIONS), await _numbers(_DEPLOYMENTS), await heard()))
    return Response(generate_latest(registry) + generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def routes() -> list[Route]:
    """The route that Prometheus scrapes."""
    return [Route(path, _metrics, methods=["GET"]) for path in PATHS]
