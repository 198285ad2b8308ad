"""The repository that applications are deployed from, behind a proxy: a git server that can be slow, silent or away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gateway.embedded.probes import Tcp
from tests.docker.sample import Sample, served
from tests.faults.proxy import Proxy


@dataclass(frozen=True)
class Source:
    """A sample repository. While `proxy` is stalled every clone hangs, and goes on when it is restored."""

    sample: Sample
    proxy: Proxy

    @property
    def git(self) -> dict[str, Any]:
        """The `gitSource` of an application."""
        assert isinstance(self.proxy.listen, Tcp)
        address = f"{self.proxy.listen.host}:{self.proxy.listen.port}"
        return self.sample.source | {"repoUrl": urlunsplit(urlsplit(self.sample.url)._replace(netloc=address))}


@asynccontextmanager
async def offered(directory: Path) -> AsyncIterator[Source]:
    """A new sample, served while the block lasts."""
    async with served(directory) as sample:
        url = urlsplit(sample.url)
        async with Proxy(Tcp("127.0.0.1", 0), Tcp(str(url.hostname), int(url.port or 0))) as proxy:
            yield Source(sample, proxy)
