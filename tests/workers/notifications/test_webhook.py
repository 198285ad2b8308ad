"""Webhooks: what receivers verify with the library of Standard Webhooks."""

import json
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.workers.notifications.messages import DEPLOYMENT, ID, message
from workers.notifications.contract import NotTaken
from workers.notifications.webhook import body_of, deliver, headers_of

SECRET = f"whsec_{b64encode(bytes(range(32))).decode()}"
NOW = datetime.now(UTC)


def test_a_body_has_type_time_and_data() -> None:
    assert json.loads(body_of(message())) == {"type": "deployment.failed", "timestamp": "2024-12-07T10:00:00.250000Z", "data": DEPLOYMENT}
    assert body_of(message("test")) == b'{"type":"test","timestamp":"2024-12-07T10:00:00.250000Z","data":{}}'


@pytest.mark.parametrize(("event", "type"), [("alert_raised", "alert.raised"), ("deployment_succeeded", "deployment.succeeded")])
def test_the_type_is_the_event_with_a_dot(event: str, type: str) -> None:
    assert json.loads(body_of(message(event)))["type"] == type


def test_the_headers_are_those_of_the_standard() -> None:
    at = datetime(2024, 12, 7, 11, 0, 0, 900000, tzinfo=UTC)
    assert headers_of(message("test"), b'{"a":1}', SECRET, at) == {
        "webhook-id": str(ID),
        "webhook-timestamp": "1733569200",
        "webhook-signature": Webhook(SECRET).sign(str(ID), at, '{"a":1}'),
    }


def test_whoever_has_the_secret_can_verify_it() -> None:
    body = body_of(message(commitMessage="Größer – 更大"))
    assert Webhook(SECRET).verify(body, headers_of(message(), body, SECRET, NOW))["data"]["commitMessage"] == "Größer – 更大"


@pytest.mark.parametrize("change", ["webhook-id", "webhook-timestamp", "webhook-signature", "body", "secret"])
def test_what_was_changed_on_the_way_does_not_verify(change: str) -> None:
    body = body_of(message())
    headers = headers_of(message(), body, SECRET, NOW)
    changed = {
        "webhook-id": "other",
        "webhook-timestamp": str(int((NOW + timedelta(seconds=60)).timestamp())),
        "webhook-signature": f"v1,{b64encode(b'0' * 32).decode()}",
    }
    headers |= {name: value for name, value in changed.items() if name == change}
    secret = f"whsec_{b64encode(b'another').decode()}" if change == "secret" else SECRET
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" " if change == "body" else body, headers)


@pytest.mark.parametrize("secret", [None, "", "whsec_", "whsec_no base64!", b64encode(b"x" * 32).decode()])
async def test_without_a_secret_nothing_is_sent(secret: str | None) -> None:
    with pytest.raises(NotTaken, match="no secret") as caught:
        await deliver(message(), {"url": "https://example.com/", "secret": secret})
    assert caught.value.lasting


def test_what_the_readme_tells_receivers_to_do_verifies_it_and_nothing_else() -> None:
    [example] = re.findall(r"```python\n(import base64.*?)```", (Path(__file__).parents[3] / "README.md").read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(example, found)
    body = body_of(message())
    headers = headers_of(message(), body, SECRET, NOW)
    assert found["verify"](SECRET, headers, body)
    assert not found["verify"](SECRET, headers, body + b" ")
    assert not found["verify"](SECRET, headers_of(message(), body, SECRET, NOW - timedelta(minutes=6)), body)
