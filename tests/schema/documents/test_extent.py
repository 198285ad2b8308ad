"""How large a document may be: each limit by itself, and what a document costs whose author means harm."""

import contextlib
import time

import pytest
from graphql import get_introspection_query

from models.document_limits import DocumentLimits
from schema.documents.extent import parsed
from schema.documents.refused import Refused
from schema.plan.document import Document
from schema.surface import surface

CIRCLE = "{...A} fragment A on Query {me {id} ...B} fragment B on Query {...A}"
SMALL = DocumentLimits(length=1000, tokens=100, aliases=2, directives=2, fragments=3, depth=3, fields=10)


def code(text: str, limits: DocumentLimits = SMALL) -> str | None:
    """The code of the refusal, None when there is none."""
    try:
        parsed(text, limits)
    except Refused as refused:
        (error,) = refused.errors
        assert error.extensions
        return str(error.extensions["code"])
    return None


@pytest.mark.parametrize(
    ("within", "beyond", "name"),
    [
        ("{a}" + " " * 997, "{a}" + " " * 998, "length"),
        ("{a(b: [" + "1 " * 91 + "])}", "{a(b: [" + "1 " * 92 + "])}", "tokens"),
        ("{a: x b: x}", "{a: x b: x c: x}", "aliases"),
        ("{a @x b @x}", "{a @x ...@x {b @x}}", "directives"),
        ("query @x {a}", "query ($v: I @x) @x {a @x}", "directives"),
        ("{...F ...F ...F} fragment F on T {a}", "{...F ...F ...F ...F} fragment F on T {a}", "fragments"),
        ("{a {b {c}}}", "{a {b {c {d}}}}", "depth"),
        ("{a {...F}} fragment F on T {b {c}}", "{a {...F}} fragment F on T {b {c {d}}}", "depth"),
        ("{a {... {... {b {c}}}}}", "{a {... {... {b {c {d}}}}}}", "depth"),
        ("{a b c d e f g h i j}", "{a b c d e f g h i j k}", "fields"),
        ("{a a a a}", "{a a a a a}", "fields"),
        ("{a {x} a {x} b c d e}", "{a {x} a {x} b c d e f}", "fields"),
        ("{... {a} ... {a} ...F} fragment F on T {a b c d e}", "{... {a} ... {a} ...F ...F} fragment F on T {a a b c d}", "fields"),
        ("{a {...F} b {...F}} fragment F on T {x y z}", "{a {...F} b {...F}} fragment F on T {w x y z u}", "fields"),
    ],
)
def test_a_limit_is_exact_and_has_a_code(within: str, beyond: str, name: str) -> None:
    assert (code(within), code(beyond)) == (None, f"{name.upper()}_LIMIT_EXCEEDED")


@pytest.mark.parametrize("text", ["{", '{a(b: "\\u{110000}")}', "{a(b: [[[", '"', "{" * 90, "\x00", "fragment"])
def test_what_is_no_document_is_told_so(text: str) -> None:
    assert code(text) == "INVALID_INPUT"


def test_what_would_be_no_document_is_not_read_to_its_end() -> None:
    assert code("{" + "a " * 98 + '"') == "INVALID_INPUT"
    assert code("{" + "a " * 100 + '"') == "TOKENS_LIMIT_EXCEEDED"


def test_a_fragment_inside_of_itself_is_left_to_the_validation() -> None:
    assert code(CIRCLE) is None
    with pytest.raises(Refused, match="within itself"):
        Document(surface().catalog, CIRCLE, None)


def test_the_introspection_of_every_tool_is_within_the_standard_limits() -> None:
    everything = dict.fromkeys(("descriptions", "specified_by_url", "directive_is_repeatable", "schema_description"), True)
    text = get_introspection_query(input_value_deprecation=True, **everything)
    assert code(text, DocumentLimits()) is None


def nested(count: int, inside: str) -> str:
    """A document whose validation takes the square of what it is long."""
    return "{" + f" {inside}" * count + "}"


def fragments(count: int, of: str) -> str:
    """So many fragments, each spread once."""
    spread = " ".join(f"...F{number}" for number in range(count))
    return f"{{{spread}}} " + " ".join(f"fragment F{number} on Query {{{of}}}" for number in range(count))


def chain(levels: int, type_: str, link: str, end: str) -> str:
    """Fragments that lead to each other."""
    steps = " ".join(f"fragment F{n} on {type_} {{{link.replace('NEXT', f'...F{n + 1}')}}}" for n in range(levels))
    return f"{steps} fragment F{levels} on {type_} {{{end}}}"


TWICE = "project {applications {nodes {NEXT}} b: applications {nodes {NEXT}}}"


HARMFUL = {
    "a field a thousand times": nested(1000, "me {id}"),
    "a leaf thousands of times": nested(4900, "__typename"),
    "one alias again and again": nested(1600, "a: __typename"),
    "hundreds of fragments": fragments(400, "__typename"),
    "fragments that are large": fragments(90, "me {id username email role tier createdAt} " * 4),
    "fragments in a circle": fragments(99, "...F0"),
    "fragments inside of fragments": "{...F0} "
    + "".join(f"fragment F{n} on Query {{...F{n + 1}}} " for n in range(99))
    + "fragment F99 on Query {__typename}",
    "twice as much with each fragment": "{applications {nodes {...F0}}} " + chain(6, "Application", TWICE, "id"),
    "directives by the thousand": "{__typename " + "@skip(if: false) " * 800 + "}",
    "directives that are not there": "{__typename " + "@nothing " * 2400 + "}",
    "operations by the hundred": " ".join(f"query Q{n} {{__typename}}" for n in range(900)),
    "variables by the thousand": "query(" + " ".join(f"$v{n}: Int" for n in range(1200)) + ") {__typename}",
    "inline fragments inside of each other": "{" + "...{" * 150 + "__typename" + "}" * 150 + "}",
    "lists inside of each other": "{applications(first: " + "[" * 2000 + "]" * 2000 + ") {totalCount}}",
    "objects inside of each other": "{applications(first: " + "{a: " * 1000 + "1" + "}" * 1000 + ") {totalCount}}",
}
MOST_TIMES = 60
"""How many times as long as that of a large, good document the preparing of any other one may take."""


def seconds(text: str, runs: int = 3) -> float:
    """How long a document takes to prepare or to refuse, at best."""
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        with contextlib.suppress(Refused):
            Document(surface().catalog, text, None)
        taken.append(time.perf_counter() - began)
    return min(taken)


@pytest.fixture(scope="module")
def good() -> float:
    """How long the introspection query takes, which every server has to read."""
    return seconds(get_introspection_query())


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_meant_to_harm_takes_no_longer_than_what_is_large(name: str, good: float) -> None:
    assert seconds(HARMFUL[name]) < MOST_TIMES * good


def test_without_limits_some_of_it_would_take_far_longer(good: float, monkeypatch: pytest.MonkeyPatch) -> None:
    without = DocumentLimits.model_construct(**dict.fromkeys(DocumentLimits.model_fields, 10**9))
    monkeypatch.setattr("schema.plan.document.DocumentLimits", lambda: without)
    assert seconds(HARMFUL["a field a thousand times"], runs=1) > MOST_TIMES * good
