"""Payloads that somebody has changed at random: without the secret nothing is heard, and with it nothing breaks."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import models
from tests.services.conftest import Api
from tests.services.webhooks import hooked, sent
from tests.webhooks.senders import SENDERS, Sender, Sending, sending

FEW, MANY = 150, 10_000
"""Mutations of each provider's payloads."""
every_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3), max_leaves=8
)
ODD = st.sampled_from(
    [
        "",
        "refs/heads/",
        "refs/heads/main",
        "0" * 40,
        "0" * 39,
        "f" * 40,
        "G" * 40,
        "../../etc",
        "\0",
        "\ud800",
        "https://",
        2**70,
        -1,
        1e308,
    ]
)


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where there is something in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


@st.composite
def mutated(draw: st.DrawFn, payload: dict[str, Any]) -> bytes:
    """A payload with some values changed or gone, or some bytes."""
    document: Any = json.loads(json.dumps(payload))
    for _ in range(draw(st.integers(1, 4))):
        found = [place for place in places(document) if place]
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        holder = document
        for step in way:
            holder = holder[step]
        if draw(st.booleans()):
            holder[last] = draw(ODD | VALUES)
        else:
            del holder[last]
    body = json.dumps(document).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=8)) + body[at + draw(st.integers(0, 8)) :]
    return body


async def _sent_mutated(api: Api, sender: Sender, number: int, tell: Callable[[str], None]) -> None:
    await hooked(api, sender)
    payloads = [sender.payload("push"), *(sender.payload(name) for name in sender.others)]
    events = [sender.push, *(event for event, _ in sender.others.values())]
    bodies: list[tuple[bytes, str]] = []

    @seed(number)
    @settings(max_examples=number, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(payloads).flatmap(mutated), st.sampled_from(events))
    def collect(body: bytes, event: str) -> None:
        bodies.append((body, event))

    collect()
    unsigned, signed, genuine = Counter[int](), Counter[int](), sending(sender, payloads[0])
    for body, event in bodies:
        headers = genuine.headers if sender.signs else sending(sender, body, secret="wrong", event=event).headers
        if body != genuine.body:
            unsigned[(await sent(api, Sending(sender, body, headers))).status_code] += 1
    assert set(unsigned) == {401}
    assert await models.Deployment.all().count() == 0
    for body, event in bodies:
        signed[(await sent(api, sending(sender, body, event=event))).status_code] += 1
    assert set(signed) <= {202, 400}
    assert signed[202]
    assert signed[400]
    tell(f"{sender.name}: {len(bodies)} mutated payloads: without the secret {dict(unsigned)}, with it {dict(signed)}.")


@every_sender
async def test_mutated_payloads_break_nothing(api: Api, sender: Sender, tell: Callable[[str], None]) -> None:
    await _sent_mutated(api, sender, FEW, tell)


@pytest.mark.full
@every_sender
async def test_many_mutated_payloads_break_nothing(api: Api, sender: Sender, tell: Callable[[str], None]) -> None:
    await _sent_mutated(api, sender, MANY, tell)
