"""Messages for Slack and what takes the same."""

import json

import pytest

from tests.workers.notifications.messages import message
from workers.notifications.slack import body_of


def test_a_message_has_a_title_and_a_bar_in_the_colour_of_the_news() -> None:
    assert json.loads(body_of(message(errorMessage=None))) == {
        "text": "web: deployment failed",
        "attachments": [{"color": "#e01e5a", "text": "main 6113728: Make it &lt;fast&gt; &amp; small\nIt took 12 s."}],
    }


def test_without_a_text_there_is_no_bar() -> None:
    assert json.loads(body_of(message("alert_resolved", message=None))) == {"text": "web: memory alert is over", "attachments": []}


@pytest.mark.parametrize("text", ["<!channel>", "<!here|here>", "<@U123>", "<https://evil.example|Log in>", "&lt;!channel&gt;"])
def test_nobody_who_writes_a_commit_writes_slacks_own_marks(text: str) -> None:
    sent = body_of(message(commitMessage=text)).decode()
    assert "<" not in sent and ">" not in sent
    assert text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in sent


@pytest.mark.parametrize("name", ["all", "channel", "everyone", "here", "Everyone"])
def test_nobody_who_writes_a_commit_calls_everybody(name: str) -> None:
    assert f"ping @\u200b{name} now".encode() in body_of(message(commitMessage=f"ping @{name} now"))
    assert f"ping @{name}s now".encode() in body_of(message(commitMessage=f"ping @{name}s now"))
