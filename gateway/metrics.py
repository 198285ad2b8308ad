"""What the gateway counts about itself. Each gateway has its own: Prometheus tells them apart by the label `instance`."""

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from gateway.drain import drain
from schema import container_logs, deployments

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Anything else is one method, `other`: whoever asks may name a new one each time."""
SECONDS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # type: ignore[no-untyped-call]

planned = Counter("dokploy_graphql_planned", "GraphQL requests that a plan answered by itself.")
completed = Counter("dokploy_graphql_completed", "GraphQL requests whose answer graphql-core worded over the plan's tree.", ["reason"])
requests = Histogram(
    "dokploy_http_request_duration_seconds",
    "How long requests took until their answer was sent; streams, sockets and what carries a file are not among them.",
    ["method", "status"],
    buckets=SECONDS,
)
streams = Gauge("dokploy_open_streams", "Sockets, streams of events and downloads that are open.")
streams.set_function(lambda: drain.streams)
followers = Gauge("dokploy_followers", "Followers of deployments, and of what containers print; a socket may have several.", ["of"])
followers.labels("deployments").set_function(lambda: deployments.FEEDS.followers)
followers.labels("logs").set_function(lambda: container_logs.FEEDS.followers)


@cache
def _requests(method: str, status: int) -> Histogram:
    return requests.labels(method, f"{status}xx")


def answered(method: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    _requests(method if method in METHODS else "other", status // 100).observe(seconds)
