"""The media type that a client is answered with (RFC 9110, section 12.5.1)."""

import pytest

from gateway.negotiation import preferred, ranges

OFFERED = ("application/json", "application/graphql-response+json", "text/event-stream")
JSON, RESULT, EVENTS = OFFERED


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", EVENTS),
        ("application/json", JSON),
        ("application/graphql-response+json", RESULT),
        ("APPLICATION/GRAPHQL-RESPONSE+JSON; charset=utf-8", RESULT),
        ("application/graphql-response+json, application/json", RESULT),
        ("application/json, application/graphql-response+json", JSON),
        ("application/json;q=0.9, application/graphql-response+json", RESULT),
        ("application/graphql-response+json, application/json;q=0.9", RESULT),
        ("*/*, application/graphql-response+json", RESULT),
        ("application/json;q=0, */*", RESULT),
        ("text/event-stream;q=0.5, application/*;q=0.1", EVENTS),
        ("text/html, */*;q=0.1", JSON),
        ("multipart/mixed;deferSpec=20220824, application/json", JSON),
        ("application/json;q=nonsense, text/event-stream;q=0.1", EVENTS),
        ("text/html", None),
        ("application/json;q=0", None),
        ("nonsense", None),
        (",;,", None),
    ],
)
def test_the_type_that_is_accepted_best_is_chosen(accept: str, expected: str | None) -> None:
    assert preferred(accept, OFFERED) == expected


def test_no_more_is_read_of_a_header_than_anybody_has_to_say() -> None:
    assert len(ranges("a/b," * 100_000)) < 1000
    assert preferred("a/b," * 100_000 + JSON, (JSON,)) is None
