"""What is asked of the Engine, and its answers from version 20.10 on."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from workers.engine import Engine, EngineUnavailable


class Api:
    """An Engine's API that answers what it is told to."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.asked: list[str] = []
        self.answer: Any = {}
        self.status = 200
        self.seconds = 0.0

    async def respond(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"ApiVersion": self.version})
        self.asked.append(request.path_qs)
        await asyncio.sleep(self.seconds)
        if self.answer is None:
            return web.Response(content_type="application/json")
        return web.json_response(self.answer, status=self.status)


@pytest.fixture(params=["1.41", "1.52"])
async def api(request: pytest.FixtureRequest, short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    found = Api(request.param)
    app = web.Application()
    app.router.add_get("/{path:.*}", found.respond)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(short_tmp / "docker.sock")).start()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short_tmp / 'docker.sock'}")
    yield found
    await runner.cleanup()


async def test_a_container_is_counted_once(api: Api) -> None:
    api.answer = {"memory_stats": {"usage": 5}}
    async with Engine() as engine:
        assert await engine.container_usage("c1") == api.answer
        api.answer, api.status = {"message": "No such container: c1"}, 404
        assert await engine.container_usage("c1") is None
        api.answer, api.status = {"message": "odd"}, 500
        with pytest.raises(EngineUnavailable):
            await engine.container_usage("c1")
    assert set(api.asked) == {f"/v{api.version}/containers/c1/stats?stream=0&one-shot=1"}


async def test_a_container_that_is_removed_before_it_is_counted_takes_nothing(api: Api) -> None:
    api.answer = None
    async with Engine() as engine:
        assert await engine.container_usage("c1") is None


@pytest.mark.parametrize("inside", [True, False])
async def test_volumes_are_measured_alone(api: Api, inside: bool) -> None:
    """Of API 1.52 on they are in another place."""
    volumes = [
        {"Name": "one", "UsageData": {"Size": 143, "RefCount": 1}},
        {"Name": "remote", "UsageData": {"Size": -1, "RefCount": 1}},
        {"Name": "unknown", "UsageData": None},
    ]
    api.answer = {"VolumeUsage": {"TotalCount": 3, "Items": volumes}} if inside else {"LayersSize": 1, "Volumes": volumes}
    async with Engine() as engine:
        assert await engine.volume_usage(5) == {"one": 143}
        api.answer = {"Volumes": None}
        assert await engine.volume_usage(5) == {}
    assert set(api.asked) == {f"/v{api.version}/system/df?type=volume&verbose=1"}


async def test_an_engine_that_is_measuring_already_refuses(api: Api) -> None:
    api.answer, api.status = {"message": "a disk usage operation is already running"}, 500
    async with Engine() as engine:
        with pytest.raises(EngineUnavailable, match="already running"):
            await engine.volume_usage(5)


async def test_volumes_are_waited_for_as_long_as_was_said(api: Api) -> None:
    api.seconds = 30
    async with Engine() as engine:
        with pytest.raises(EngineUnavailable):
            await engine.volume_usage(0.1)
