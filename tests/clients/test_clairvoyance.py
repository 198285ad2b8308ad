"""What somebody who is not logged in can find out about the schema, by guessing with the words it is made of: PyPI `clairvoyance`."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from graphql import GraphQLError, GraphQLSchema, parse, validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.embedded.stack import Stack
from schema.surface import surface
from tests.services.gateways import gateways

TOOL = ("tool", "run", "--from", "clairvoyance==2.5.5", "clairvoyance")
GIVES_UP = "It is very likely that Field Suggestion is not fully enabled on this endpoint."
SECONDS = 240.0
WORDS = 400

pytestmark = pytest.mark.clients


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Every name of the schema: nobody could guess better."""
    found = sorted(set(re.findall(r"[A-Za-z]\w+", surface().schema.as_str())))
    assert len(found) > WORDS
    path = tmp_path / "words.txt"
    path.write_text("\n".join(found))
    return path


async def guessed(url: str, words: Path, root: str) -> set[str]:
    """The names of the fields of the root that are found; the tool gives up where every word is answered alike."""
    out, uv = words.parent / f"{root}.json", Path(sys.executable).parent / "uv"
    argv = (uv, *TOOL, "-w", words, "-d", f"{root} {{ FUZZ }}", "-o", out, "-m", "1", url)
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(SECONDS):
        _, told = await process.communicate()
    if process.returncode:
        assert GIVES_UP in told.decode(), told.decode()[-3000:]
        assert not out.exists()
        return set()
    types: list[dict[str, Any]] = json.loads(out.read_text())["data"]["__schema"]["types"]
    return {field["name"] for each in types if each["name"] in ("Query", "Mutation") for field in each["fields"] or ()}


@asynccontextmanager
async def chatty(schema: GraphQLSchema) -> AsyncIterator[str]:
    """A server with the same schema that answers as graphql-core does by itself."""

    async def endpoint(request: Request) -> JSONResponse:
        try:
            errors = validate(schema, parse((await request.json())["query"]))
        except GraphQLError as error:
            errors = [error]
        told = {"errors": [each.formatted for each in errors]} if errors else {"data": {"__typename": "Query"}}
        return JSONResponse(told)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    await task


@pytest.mark.parametrize("root", ["query", "mutation"])
async def test_nothing_is_found_without_logging_in(stack: Stack, words: Path, root: str) -> None:
    async with gateways(stack, 1, DOKPLOY_RATE_LIMITS="off") as (gateway,):
        assert await guessed(f"{gateway.url}/api/graphql", words, root) == set()


async def test_where_something_is_told_it_is_found(words: Path) -> None:
    words.write_text("\n".join(surface().catalog.root("query").fields))  # all words would take minutes
    async with chatty(surface().catalog.schema) as url:
        assert {"applications", "me"} <= await guessed(url, words, "query")
