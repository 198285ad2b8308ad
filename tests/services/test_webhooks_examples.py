"""Every payload of npm's `@octokit/webhooks-examples`, signed and sent as GitHub does it."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import models
from tests.clients.programs import ready
from tests.services.conftest import Api
from tests.services.webhooks import deployments, hooked, sent
from tests.webhooks.senders import SENDERS, Sending, sending

PACKAGE = Path(__file__).parents[1] / "clients" / "webhooks-examples"
INDEX = PACKAGE / "node_modules" / "@octokit" / "webhooks-examples" / "api.github.com" / "index.json"
GITHUB = SENDERS[0]
EVENTS, PAYLOADS = 58, 329
REPOSITORY, BRANCH = "Codertocat/Hello-World", "main"
NOTHING = "0" * 40

Examples = list[tuple[str, dict[str, Any]]]

pytestmark = pytest.mark.clients


@pytest.fixture
async def examples() -> Examples:
    """The events with their payloads."""
    await ready(PACKAGE)
    told = json.loads(await asyncio.to_thread(INDEX.read_text))
    assert len(told) == EVENTS
    found = [(event["name"], payload) for event in told for payload in event["examples"]]
    assert len(found) == PAYLOADS
    return found


def pushes_the_branch(event: str, payload: dict[str, Any], branch: str) -> bool:
    """Whether a payload tells, to whoever reads it by hand, that the branch has moved to a commit."""
    moved = event == "push" and payload["ref"] == f"refs/heads/{branch}" and payload["after"] != NOTHING
    return moved and payload["repository"]["full_name"] == REPOSITORY and payload["before"] != payload["after"]


@pytest.mark.parametrize("branch", ["main", "master", "changes"])
async def test_pushes_deploy_and_everything_else_is_ignored(api: Api, examples: Examples, branch: str, tell: Callable[[str], None]) -> None:
    application = await hooked(api, GITHUB, gitSource={"repoUrl": f"https://github.com/{REPOSITORY}", "branch": branch})
    answers = [(event, payload, await sent(api, sending(GITHUB, payload, event=event))) for event, payload in examples]
    assert {answer.status_code for _, _, answer in answers} == {202}
    for event, payload, answer in answers:
        assert (answer.json()["status"] == "queued") == pushes_the_branch(event, payload, branch), (event, answer.text)
    expected = [payload["after"] for event, payload in examples if pushes_the_branch(event, payload, branch)]
    assert [row.commit_sha for row in await deployments(application)] == expected
    became = Counter(answer.json().get("reason", "deployed") for _, _, answer in answers)
    tell(f"{len(answers)} payloads, branch {branch}: {dict(became.most_common())}.")


async def test_none_that_was_tampered_with_is_heard(api: Api, examples: Examples, tell: Callable[[str], None]) -> None:
    await hooked(api, GITHUB, gitSource={"repoUrl": f"https://github.com/{REPOSITORY}", "branch": BRANCH})
    codes: Counter[int] = Counter()
    for event, payload in examples:
        request = sending(GITHUB, payload, event=event)
        tampered = Sending(GITHUB, request.body.replace(b":", b": ", 1), request.headers)
        codes[(await sent(api, tampered)).status_code] += 1
    assert codes == {401: PAYLOADS}
    assert await models.Deployment.all().count() == 0
    tell(f"{PAYLOADS} payloads tampered with: {dict(codes)}.")
