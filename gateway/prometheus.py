"""`GET /api/metrics/prometheus`: what the database says of the installation, and what this gateway counts about itself."""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import REGISTRY, CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from models import AlertSeverity, ApplicationStatus, DeploymentStatus, StageName
from models.counts import Counts, counts
from models.lifecycle import TERMINAL
from models.settings import settings
from models.standing import Heard, heard
from schema.access import Role
from schema.context import Context

PATHS: Final = ("/api/metrics/prometheus", "/api/v1/metrics/prometheus")
SAME: Final = "The same at every gateway: take the maximum."
TAKEN_OVER: Final = ("deployment", "backup", "restore")


def is_scraper(connection: HTTPConnection) -> bool:
    """Whether this is Prometheus, with the token that was made for it; it is nobody, and is not counted."""
    token = settings().metrics_token
    given = connection.headers.get("authorization", "").encode("latin-1")
    wanted = b"Bearer " + token.get_secret_value().encode() if token else b""
    return connection.scope["path"] in PATHS and bool(wanted) and hmac.compare_digest(given, wanted)


class Installation(Collector):
    """What the database says. Nodes are named; tenants and what is theirs are not."""

    def __init__(self, found: Counts, edges: Sequence[Heard]) -> None:
        self._found, self._edges = found, edges

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        yield from self._of_deployments()
        yield self._of_queues()
        yield self._of_alerts()
        lost = self._found.of("lost_lines").number
        yield CounterMetricFamily("dokploy_log_lines_lost", f"Lines of containers that were too many to be kept. {SAME}", value=lost)
        passed, failed = self._found.of("edge_requests").number, self._found.of("edge_errors").number
        yield CounterMetricFamily("dokploy_edge_requests", f"Requests to applications that edges passed on. {SAME}", value=passed)
        yield CounterMetricFamily("dokploy_edge_errors", f"Those of them that were answered with 5xx. {SAME}", value=failed)
        yield from self._of_edges()

    def _of_deployments(self) -> Iterator[Metric]:
        found = self._found
        applications = GaugeMetricFamily("dokploy_applications_total", "Total number of applications", labels=["status"])
        for status in ApplicationStatus:
            applications.add_metric([status], found.of("application", status).number)
        yield applications
        ended = CounterMetricFamily("dokploy_deployments", "Total number of deployments", labels=["status"])
        unfinished = GaugeMetricFamily("dokploy_deployments_unfinished", f"Deployments that have not ended. {SAME}", labels=["status"])
        for each in DeploymentStatus:
            if each in TERMINAL:
                ended.add_metric([each], found.of("deployment", each).number)
            else:
                unfinished.add_metric([each], found.of("unfinished", each).number)
        yield ended
        yield unfinished
        stages = SummaryMetricFamily("dokploy_stage_duration_seconds", f"How long stages of deployments took. {SAME}", labels=["stage"])
        for name in StageName:
            stage = found.of("stage", name)
            stages.add_metric([name], stage.number, stage.seconds)
        yield stages
        taken = CounterMetricFamily("dokploy_take_overs", f"Times that a worker took over from one that was lost. {SAME}", labels=["kind"])
        for kind in TAKEN_OVER:
            taken.add_metric([kind], found.of("take_over", kind).number)
        yield taken

    def _of_queues(self) -> Metric:
        depth = GaugeMetricFamily("dokploy_queue_depth", f"What waits for a worker. {SAME}", labels=["queue"])
        depth.add_metric(["deployments"], self._found.of("unfinished", DeploymentStatus.pending).number)
        for queue in ("backups", "restores", "notifications"):
            depth.add_metric([queue], self._found.of("waiting", queue).number)
        return depth

    def _of_alerts(self) -> Metric:
        raised = GaugeMetricFamily("dokploy_alerts_raised", f"Alerts of applications that are not resolved. {SAME}", labels=["severity"])
        for severity in AlertSeverity:
            raised.add_metric([severity], self._found.of("alert", severity).number)
        return raised

    def _of_edges(self) -> Iterator[Metric]:
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


async def _metrics(request: Request) -> Response:
    if not is_scraper(request):
        context: Context = request.scope["context"]
        context.require(Role.operator)
    registry = CollectorRegistry()
    registry.register(Installation(await counts(), await heard()))
    return Response(generate_latest(registry) + generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def routes() -> list[Route]:
    """The route that Prometheus scrapes."""
    return [Route(path, _metrics, methods=["GET"]) for path in PATHS]
