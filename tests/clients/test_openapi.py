"""The OpenAPI document before judges from outside: linters that must find nothing, and clients generated from it that must work."""

import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openapi_spec_validator
import pytest

from gateway.embedded.stack import Stack
from models.database import database
from tests.clients.programs import ran, ready
from tests.services.gateways import browser, gateways

JUDGES = Path(__file__).parent / "openapi"
BIN = JUDGES / "node_modules" / ".bin"
ROOT = Path(__file__).parents[2]
JUDGE_SECONDS = 60.0
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
ACCOUNT = {"username": "owner", "password": "correct horse battery"}

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
async def judges() -> None:
    """What comes from npm."""
    await ready(JUDGES)


@pytest.fixture(scope="module")
async def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document as the command line prints it."""
    path = tmp_path_factory.mktemp("openapi") / "openapi.json"
    path.write_text("\n".join(await ran(sys.executable, "-m", "gateway.cli", "openapi", cwd=ROOT, within=JUDGE_SECONDS)))
    return path


@pytest.fixture(scope="module")
async def url(stack: Stack, gateway: object) -> AsyncIterator[str]:
    """A gateway in a process of its own, of an installation that has an owner and nothing else."""
    async with gateways(stack, 1) as (found,), browser(found) as client:
        await database().execute_script("truncate account, team, project cascade")
        answer = await client.post("/api/auth/register", json={**ACCOUNT, "email": "owner@example.com"})
        assert answer.status_code == 201, answer.text
        yield found.url


def story(project: str) -> dict[str, Any]:
    """What a client saw that did as `client.ts` and `client.py` do."""
    return {
        "roles": ["owner"],
        "projects": [project],
        "total": 1,
        "application": ["typed", "nginx:latest", "pending", 8080],
        "applications": ["typed"],
        "missing": "RESOURCE_NOT_FOUND",
        "refused": ["name"],
        "deleted": 204,
    }


async def test_redocly_finds_nothing(judges: None, printed: Path) -> None:
    asked = ("lint", "--extends", "recommended", "--format", "json", printed)
    found = json.loads("".join(await ran(BIN / "redocly", *asked, cwd=JUDGES, within=JUDGE_SECONDS, environment=QUIET)))
    places = [(each["ruleId"], each["location"][0]["pointer"]) for each in found["problems"]]
    assert places == [("operation-2xx-response", "#/paths/~1api~1auth~1oidc~1login/get/responses")]  # it answers with a redirect alone


async def test_spectral_finds_nothing(judges: None, printed: Path) -> None:
    asked = ("lint", "--ruleset", "ruleset.yaml", "--fail-severity", "hint", "--format", "json", "--quiet", printed)
    assert json.loads("".join(await ran(BIN / "spectral", *asked, cwd=JUDGES, within=JUDGE_SECONDS))) == []


def test_openapi_spec_validator_finds_nothing(printed: Path) -> None:
    openapi_spec_validator.validate(json.loads(printed.read_text()))


async def test_the_gateway_serves_what_is_printed(url: str, printed: Path) -> None:
    async with httpx2.AsyncClient(base_url=url) as client:
        for prefix in ("/api", "/api/v1"):
            assert (await client.get(f"{prefix}/openapi.json")).json() == json.loads(printed.read_text())


async def test_a_strict_client_in_typescript_works(judges: None, printed: Path, url: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(JUDGES / "node_modules")
    for name in ("package.json", "tsconfig.json", "client.ts"):
        shutil.copy(JUDGES / name, tmp_path)
    # Without the flag, whatever has a default would have to be sent.
    await ran(BIN / "openapi-typescript", printed, "-o", "api.d.ts", "--default-non-nullable=false", cwd=tmp_path, within=JUDGE_SECONDS)
    await ran(BIN / "tsc", cwd=tmp_path, within=JUDGE_SECONDS)
    (told,) = await ran("node", "out/client.js", url, *ACCOUNT.values(), cwd=tmp_path, within=JUDGE_SECONDS)
    assert json.loads(told) == story("Typescript")


async def test_a_generated_client_in_python_works(printed: Path, url: str, tmp_path: Path) -> None:
    tidying = tmp_path / "config.yaml"
    tidying.write_text("post_hooks: []\n")
    asked = ("generate", "--path", printed, "--meta", "none", "--output-path", "dokploy_client", "--config", tidying, "--fail-on-warning")
    await ran(sys.executable, "-m", "openapi_python_client", *asked, cwd=tmp_path, within=JUDGE_SECONDS)
    environment = {"PYTHONPATH": str(tmp_path)}
    (told,) = await ran(
        sys.executable, JUDGES / "client.py", url, *ACCOUNT.values(), cwd=tmp_path, within=JUDGE_SECONDS, environment=environment
    )
    assert json.loads(told) == story("Python")
