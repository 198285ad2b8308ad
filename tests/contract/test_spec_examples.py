"""Every example of the specification, sent to the gateway: what it prints is taken, and what comes back has all that it prints.

The examples are data, in `examples/`; `entries.py` says what an entry is, `shapes.py` how an answer is described.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from models.limits import allowances
from schema.surface import PREFIX, surface
from tests.contract.circumstances import CIRCUMSTANCES
from tests.contract.entries import AWAITED, EVENTS, NOT_BUILT, SOCKET, Entry, Example, examples
from tests.contract.shapes import Comparison, fields, kinds_of_shape, lost
from tests.contract.specification import TEXT, Printed, printed
from tests.contract.state import State
from tests.webhooks.senders import SENDERS, sending

ERROR = {"error": {"code": "string", "message": "string", "details": {}, "timestamp": "time", "requestId": "string"}}


def cases(kind: str, wanted: Callable[[Entry], Any]) -> pytest.MarkDecorator:
    """A test for each example that is wanted, called by its heading."""
    found = [example for example in examples() if wanted(example.entry)]
    return pytest.mark.parametrize("example", [pytest.param(each, id=f"{each.title} {kind}") for each in found])


async def sent(state: State, entry: Entry, request: dict[str, Any] | None = None, query: dict[str, str] | None = None) -> httpx2.Response:
    """The answer to an example."""
    body: dict[str, Any] = {"json": state.filled(request)} if request is not None else {}
    if entry.content:
        body = {"content": entry.content, "headers": {"Content-Type": "application/json"}}
    if entry.signed:
        signed = sending(SENDERS[0], state.filled(request), event=entry.signed)
        body = {"content": signed.body, "headers": signed.headers}
    async with CIRCUMSTANCES[entry.given](state):
        headers = body.pop("headers", {}) | state.filled(entry.sends)
        answer = await state.send(entry.sender, entry.operation, entry.id, params=state.filled(query or {}), headers=headers, **body)
    assert answer.status_code == entry.status, answer.text
    return answer


def first_page(entry: Entry) -> dict[str, str]:
    """The query without its cursor."""
    return {name: value for name, value in entry.query.items() if name != "cursor"}


@cases("request", lambda entry: entry.request)
async def test_what_is_sent_is_taken_and_shown(state: State, example: Example) -> None:
    entry = example.entry
    answer = await sent(state, entry, entry.request)
    link = answer.json().get("_links", {}).get("self")
    if link is not None:
        shown = await state.send(entry.sender, f"GET {link}")
        assert lost(state.filled(entry.request), shown.json()) == []


@cases("request without what is optional", lambda entry: entry.optional)
async def test_what_is_optional_can_be_left_out(state: State, example: Example) -> None:
    entry = example.entry
    required = {name: value for name, value in (entry.request or {}).items() if name not in entry.optional}
    await sent(state, entry, required)


@cases("query", lambda entry: entry.query)
async def test_the_query_parameters_are_taken(state: State, example: Example) -> None:
    entry = example.entry
    if "cursor" in entry.query:
        first = await sent(state, entry, query=first_page(entry))
        state.names["nextCursor"] = first.json()["pagination"]["nextCursor"]
    answer = await sent(state, entry, query=entry.query)
    if "cursor" in entry.query:
        assert answer.json()["data"] != first.json()["data"]


@cases("response", lambda entry: True)
async def test_the_answer_has_all_that_is_printed(state: State, example: Example) -> None:
    entry = example.entry
    answer = await sent(state, entry, entry.request, first_page(entry))
    assert example.comparison.differences(entry.headers, readable(answer.headers, entry)) == []
    if example.response is not None:
        assert example.comparison.differences(example.response, answer.json()) == []
    if entry.status >= 400:
        assert Comparison().differences(ERROR, answer.json()) == []
    if entry.status in (204, 301):
        assert answer.content == b""


def readable(headers: httpx2.Headers, entry: Entry) -> dict[str, Any]:
    """The headers that an example names, numbers as numbers."""
    found = {name: headers[name] for name in entry.headers if name in headers}
    return {name: int(value) if value.isdigit() else value for name, value in found.items()}


def test_the_tiers_have_the_printed_numbers() -> None:
    tiers = [example.name.split()[3:] for example in examples() if example.name.startswith("Rate Limit Tiers: ")]
    known = allowances("{}") or {}
    assert [[tier.lower(), *map(int, numbers)] for tier, *numbers in tiers] == [
        [tier, known[tier].limit, known[tier].burst, known[tier].webhooks] for tier in known
    ]


def test_each_example_has_a_test_of_its_own_name() -> None:
    titles = [example.title for example in examples()]
    assert sorted(set(titles)) == sorted(titles)


def built() -> set[str]:
    """The operations that exist, written as in the specification."""
    written = [f"{each.operation.method} {PREFIX}{each.operation.path}" for each in surface().operations]
    return {re.sub(r"{(\w+)}", r":\1", each) for each in written}


def test_what_waits_is_not_built() -> None:
    assert NOT_BUILT.keys() & built() == set()
    assert {re.sub(r"{\w+}", ":id", f"GET {link}") for link in AWAITED} & {re.sub(r":\w+", ":id", each) for each in built()} == set()


def waits(found: Printed) -> bool:
    """Whether something printed stands under a heading that waits, or is an event of the socket."""
    return found.under[0] == SOCKET or not NOT_BUILT.keys().isdisjoint(found.under)


def missing(found: Printed) -> bool:
    """Whether the data lack something printed."""
    held = [each.parts.get(found.kind, {}) for each in examples() if (each.chapter, each.name) == (found.under[0], found.under[-1])]
    return not any(found.is_in(parts) for parts in held)


def unfounded(example: Example, everything: list[Printed]) -> bool:
    """Whether the specification prints nothing under the heading of an example."""
    return not any((example.chapter, example.name) == (found.under[0], found.under[-1]) for found in everything)


if TEXT.exists():  # it is no part of the repository, and the data suffice for the tests above

    def test_the_data_hold_every_example_of_the_specification() -> None:
        everything = printed(TEXT.read_text())
        assert [str(found) for found in everything if not waits(found) and missing(found)] == []
        assert [example.title for example in examples() if unfounded(example, everything)] == []

    def test_the_shapes_of_events_hold_every_event_of_the_specification() -> None:
        shapes = json.loads(EVENTS.read_text())
        events = [found for found in printed(TEXT.read_text()) if found.under[0] == SOCKET and found.kind == "response"]
        assert {found.under[-1] for found in events} == shapes.keys()
        assert [str(found) for found in events if not found.is_in(fields(shapes[found.under[-1]], kinds_of_shape))] == []

    def test_only_headings_of_the_specification_wait_and_nothing_under_them_is_built() -> None:
        everything = printed(TEXT.read_text())
        assert NOT_BUILT.keys() <= {heading for found in everything for heading in found.under}
        assert {found.under[-1] for found in everything if waits(found) and found.under[0] != SOCKET} & built() == set()
