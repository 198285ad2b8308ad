"""No released GraphQL schema is broken, as npm `@graphql-inspector/core` sees it."""

import json
from pathlib import Path

import pytest

from tests.clients.programs import ran, ready

INSPECTOR = Path(__file__).parent / "graphql-inspector"
CONTRACT = Path(__file__).parents[1] / "contract"
RELEASED = sorted((CONTRACT / "released").glob("schema-*.graphql"))
NOW = CONTRACT / "schema.graphql"
SECONDS = 60.0

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
async def inspector() -> None:
    """The inspector with its packages."""
    await ready(INSPECTOR)


async def broken(before: Path, after: Path) -> set[str]:
    """The changes that break clients."""
    changes = [json.loads(line) for line in await ran("node", "diff.mjs", before, after, cwd=INSPECTOR, within=SECONDS)]
    return {change["message"] for change in changes if change["level"] == "BREAKING"}


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
async def test_what_was_released_still_holds(path: Path, inspector: None) -> None:
    assert await broken(path, NOW) == set()


@pytest.mark.parametrize(
    ("there", "then", "told"),
    [
        ("totalCount: Int!", "", "Field 'totalCount' was removed from object type 'ApplicationConnection'"),
        ("totalCount: Int!", "totalCount: Int", "Field 'ApplicationConnection.totalCount' changed type from 'Int!' to 'Int'"),
        ("node(id: ID!)", "node(id: ID!, kind: String!)", "Argument 'kind: String!' added to field 'Query.node'"),
        ("  failed\n", "", "Enum value 'failed' was removed from enum 'DeploymentStatus'"),
    ],
)
async def test_what_breaks_clients_is_found(there: str, then: str, told: str, tmp_path: Path, inspector: None) -> None:
    text, changed = NOW.read_text(), tmp_path / "changed.graphql"
    assert there in text
    changed.write_text(text.replace(there, then))
    assert any(told in each for each in await broken(NOW, changed))
