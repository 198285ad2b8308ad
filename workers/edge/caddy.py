"""Caddy's admin API, over its socket."""

import asyncio
import json
from types import TracebackType
from typing import Any, Final, Self

import httpx2

SECONDS: Final = 10.0
"""For an answer; a configuration with 300 applications is taken in less than half a second."""
AGAIN: Final = (0.02, 0.1, 0.0)
"""Seconds before it is asked again; everything that is asked here may be asked twice."""


class EdgeAway(Exception):
    """Caddy cannot be reached."""


class ConfigurationRefused(Exception):
    """Caddy does not take this configuration; it goes on with the one before."""


class Caddy:
    """A connection to the Caddy whose admin API listens on a socket. Everything raises `EdgeAway`."""

    def __init__(self, socket: str) -> None:
        transport = httpx2.AsyncHTTPTransport(uds=socket)
        self._client = httpx2.AsyncClient(base_url="http://caddy", transport=transport, timeout=SECONDS)

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        await self._client.aclose()

    async def load(self, configuration: dict[str, Any]) -> None:
        """Have Caddy go over to a configuration, without a connection being lost; the same one again changes nothing.

        Raises `ConfigurationRefused`.
        """
        status, text = await self._asked("POST", "/load", json=configuration)
        if status != 200:
            raise ConfigurationRefused(_reason(text))

    async def loaded(self) -> dict[str, Any] | None:
        """The configuration that it goes by; None when it has been given none."""
        found: dict[str, Any] | None = json.loads(await self._got("/config/"))
        return found

    async def metrics(self) -> str:
        """Its counters, in the text format of Prometheus."""
        return await self._got("/metrics")

    async def _got(self, path: str) -> str:
        status, text = await self._asked("GET", path)
        if status != 200:
            raise EdgeAway(f"Caddy answers {status} to GET {path}.")
        return text

    async def _asked(self, method: str, path: str, **arguments: Any) -> tuple[int, str]:
        """Each configuration has an admin server of its own, and the one before drops what it took while it stops: ask again."""
        for pause in AGAIN:
            try:
                answer = await self._client.request(method, path, **arguments)
            except (httpx2.TransportError, OSError):
                await asyncio.sleep(pause)
            else:
                return answer.status_code, answer.text
        raise EdgeAway(EdgeAway.__doc__)


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or str(ConfigurationRefused.__doc__)
