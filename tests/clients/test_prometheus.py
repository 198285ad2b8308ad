"""Prometheus itself: its linter reads what the gateway tells, and its server scrapes it and answers questions about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.embedded.stack import Stack
from gateway.embedded.up import free_port
from tests.clients.debian import unpacked
from tests.services.conftest import SCRAPER, _registered
from tests.services.gateways import HOST, Gateway, browser, gateways
from tests.services.test_dashboard import expressions

PATH = "/api/metrics/prometheus"
SCRAPED_SECONDS = 20.0
COMPLAINTS = ['dokploy_applications_total non-counter metrics should not have "_total" suffix']
"""The specification names it so."""
JOB = """
- job_name: {name}
  metrics_path: {path}
  authorization: {{credentials: {token}}}
  static_configs: [{{targets: ['{target}']}}]
"""

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
async def programs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """`promtool` and `prometheus`."""
    return await unpacked("prometheus", ["promtool", "prometheus"], tmp_path_factory.mktemp("prometheus"))


@pytest.fixture(scope="module")
async def busy(stack: Stack) -> AsyncIterator[Gateway]:
    """A gateway that has something to tell of each kind."""
    async with gateways(stack, 1, DOKPLOY_RATE_LIMITS="off", DOKPLOY_METRICS_TOKEN=SCRAPER) as (gateway,), browser(gateway) as client:
        person = await _registered(client, "scraped")
        await person.graphql("{ me { username } }")
        yield gateway


async def linted(promtool: Path, text: bytes) -> tuple[int | None, list[str]]:
    """The status of `promtool check metrics`, and what it complains of."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    out, _ = await process.communicate(text)
    return process.returncode, out.decode().splitlines()


async def test_promtool_complains_of_nothing_but_a_name_that_is_specified(busy: Gateway, programs: list[Path]) -> None:
    async with browser(busy) as client:
        answer = await client.get(PATH, headers={"Authorization": f"Bearer {SCRAPER}"})
    assert b"dokploy_http_request_duration_seconds_bucket" in answer.content
    status, complaints = await linted(programs[0], answer.content)
    assert complaints == COMPLAINTS
    assert status == 3, "complaints of style, and no error"


@asynccontextmanager
async def serving(prometheus: Path, directory: Path, target: str, **jobs: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A Prometheus that scrapes one target by several jobs, each with a token of its own. It begins 5 s after its start."""
    file = directory / "prometheus.yml"
    scraped = "".join(JOB.format(name=name, path=PATH, token=token, target=target) for name, token in jobs.items())
    file.write_text(f"global: {{scrape_interval: 500ms}}\nscrape_configs:{scraped}")
    address = f"{HOST}:{free_port(HOST, 0)}"
    argv = [f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}"]
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(prometheus, *argv, cwd=directory, stdout=log, stderr=log)
    try:
        async with httpx2.AsyncClient(base_url=f"http://{address}/api/v1", timeout=10) as client:
            yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answered(client: httpx2.AsyncClient, query: str) -> list[dict[str, Any]]:
    """The series that a query finds, once there are some."""
    async with asyncio.timeout(SCRAPED_SECONDS):
        while True:
            try:
                answer = await client.get("/query", params={"query": query})
            except httpx2.ConnectError:
                answer = None
            if answer is not None and answer.status_code == 200 and (found := answer.json()["data"]["result"]):
                series: list[dict[str, Any]] = found
                return series
            await asyncio.sleep(0.1)


async def test_a_server_with_the_token_scrapes_the_gateway_and_answers_questions(
    busy: Gateway, programs: list[Path], tmp_path: Path
) -> None:
    target = busy.url.removeprefix("http://")
    async with serving(programs[1], tmp_path, target, right=SCRAPER, wrong="another") as client:
        (up,) = await answered(client, "up == 1")
        assert (up["metric"]["job"], up["metric"]["instance"]) == ("right", target)
        (ended,) = await answered(client, 'max by (status) (dokploy_deployments_total{status="success"})')
        assert ended["metric"] == {"status": "success"}
        buckets = "sum by (le) (dokploy_http_request_duration_seconds_bucket{status='2xx'})"
        (quantile,) = await answered(client, f"histogram_quantile(0.9, {buckets}) > 0")
        assert 0 < float(quantile["value"][1]) <= 10
        (down,) = await answered(client, "up == 0")
        assert down["metric"]["job"] == "wrong"
        for expression in expressions():
            query = expression.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$job", ".*")
            assert (await client.get("/query", params={"query": query})).status_code == 200, expression
        targets = (await client.get("/targets")).json()["data"]["activeTargets"]
    assert ["401" in each["lastError"] for each in targets if each["labels"]["job"] == "wrong"] == [True]
