"""Routing by the segments of a path: a look per segment, however many routes there are."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass
class Place:
    """Where some segments of a path lead: on to other places, and to the endpoints of a path that ends here."""

    named: dict[str, "Place"] = field(default_factory=dict)
    any: "Place | None" = None
    """For a segment without a place of its own: an id."""
    ids: tuple[str, ...] = ()
    """The names of the path's parameters, in order."""
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """By HTTP method."""


class Paths(BaseRoute):
    """Many routes as one. Where a segment has a name in one path and is an id in another, the name wins.

    What an endpoint raises goes through: the middleware `Errors` answers it. Raises ValueError when two paths call an id differently.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._start = Place()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        place = self._start
        for segment in route.path.split("/"):
            if segment.startswith("{"):
                ids = (*place.ids, segment[1:-1])
                place.any = place.any or Place(ids=ids)
                place = place.any
                if place.ids != ids:
                    raise ValueError(f"{route.path}: another path calls this id {place.ids[-1]}")
            else:
                place = place.named.setdefault(segment, Place(ids=place.ids))
        place.endpoints |= dict.fromkeys(route.methods or (), route.endpoint)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether there is such a path, whatever the method."""
        if scope["type"] != "http":
            return Match.NONE, {}
        place, ids = self._start, []
        for segment in scope["path"].split("/"):
            found = place.named.get(segment)
            if found is None:
                found = place.any
                if found is None or not segment:
                    return Match.NONE, {}
                ids.append(segment)
            place = found
        if not place.endpoints:
            return Match.NONE, {}
        return Match.FULL, {"endpoint": place.endpoints, "path_params": dict(zip(place.ids, ids, strict=True))}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the endpoint of the method. Raises `HTTPException` 405."""
        endpoints: dict[str, Endpoint] = scope["endpoint"]
        endpoint = endpoints.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(endpoints))})
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
