"""Documents whose authors mean harm: too deep, too broad, too many, too long, in circles, or no documents at all."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NAME = "__typename"
LINKS = ("project", "applications {nodes", "deployments {nodes", "lastDeployment")


@dataclass(frozen=True)
class Hostile:
    """A request that means harm: a document with its variables, or the bytes of a body."""

    name: str
    query: str = ""
    variables: Any = None
    raw: bytes | None = None

    @property
    def body(self) -> bytes:
        """As it is sent over HTTP."""
        return self.raw if self.raw is not None else json.dumps({"query": self.query, "variables": self.variables}).encode()

    @property
    def frame(self) -> bytes:
        """As it is sent over a socket."""
        return b'{"type":"subscribe","id":"hostile","payload":' + self.body + b"}"


def times(count: int, text: str) -> str:
    """A text so often, `#` being its number."""
    return " ".join(text.replace("#", str(number)) for number in range(count))


def nested(count: int, opening: str, closing: str, middle: str = "") -> str:
    """Something inside of itself."""
    return opening * count + middle + closing * count


def corpus() -> list[Hostile]:
    """All of them."""
    return [*_deep(), *_broad(), *_fragments(), *_directives(), *_values(), *_variables(), *_introspection(), *_dear(), *_bodies()]


def _deep() -> Iterator[Hostile]:
    for count in (6, 12, 25, 150, 1500):
        chain = nested(count, "project {applications {nodes {", "}}}", "id")
        yield Hostile(f"{count} times project and applications", f"{{applications {{nodes {{{chain}}}}}}}")
        yield Hostile(f"{count} inline fragments inside of each other", "{" + nested(count, "... {", "}", NAME) + "}")
        yield Hostile(f"{count} conditions inside of each other", "{" + nested(count, "... @include(if: true) {", "}", NAME) + "}")


def _broad() -> Iterator[Hostile]:
    for count in (100, 1000, 4900):
        yield Hostile(f"one leaf {count} times", "{" + times(count, NAME) + "}")
        yield Hostile(f"one object {count} times", "{" + times(count, "me {id}") + "}")
        yield Hostile(f"{count} aliases", "{" + times(count, f"a#: {NAME}") + "}")
        yield Hostile(f"one alias {count} times", "{" + times(count, f"a: {NAME}") + "}")
        yield Hostile(f"{count} fields that are not there", "{" + times(count, "nothing#") + "}")
        yield Hostile(f"one alias of {count} fields that differ", "{" + times(count, "a: application(id: #) {id}") + "}")
        yield Hostile(f"{count} operations", times(count, f"query Q# {{{NAME}}}"))
        follow = 's#: deploymentEvents(deploymentId: "x") {seq}'
        yield Hostile(f"{count} subscriptions at once", "subscription {" + times(count, follow) + "}")
    yield Hostile("a name as long as a document", "{" + "a" * 29_000 + "}")
    yield Hostile("many names that are nearly there", "{" + times(900, "aplications {id}") + "}")
    yield Hostile("as many fields as there may be", "{me {" + times(24, "a#: username b#: id c#: email d#: role") + "}}")


def fragments_that_differ(count: int) -> Hostile:
    """So many of them at one place: each is compared with each."""
    spread = times(count, "...F#")
    return Hostile(f"{count} fragments that differ", f"{{{spread}}} " + times(count, f"fragment F# on Query {{a#: {NAME}}}"))


def _fragments() -> Iterator[Hostile]:
    for count in (2, 20, 99, 400):
        spread = times(count, "...F#")
        yield Hostile(f"{count} fragments", f"{{{spread}}} " + times(count, f"fragment F# on Query {{{NAME} me {{id username}}}}"))
        yield fragments_that_differ(count)
        circle = " ".join(f"fragment F{number} on Query {{...F{(number + 1) % count}}}" for number in range(count))
        yield Hostile(f"{count} fragments in a circle", f"{{...F0}} {circle}")
        chain = " ".join(f"fragment F{number} on Query {{...F{number + 1}}}" for number in range(count))
        yield Hostile(f"{count} fragments in a row", f"{{...F0}} {chain} fragment F{count} on Query {{{NAME}}}")
        yield Hostile(f"one fragment {count} times", "{" + times(count, "...F") + f"}} fragment F on Query {{{NAME}}}")
        yield Hostile(f"{count} fragments for nothing", f"{{{NAME}}} " + times(count, "fragment F# on Query {me {id me {id}}}"))
    twice = "project {a: applications {nodes {NEXT}} b: applications {nodes {NEXT}}}"
    for count in (3, 6, 12, 40):
        chain = " ".join(f"fragment F{n} on Application {{{twice.replace('NEXT', f'...F{n + 1}')}}}" for n in range(count))
        whole = f"{{applications {{nodes {{...F0}}}}}} {chain} fragment F{count} on Application {{id}}"
        yield Hostile(f"twice as much with each of {count} fragments", whole)
    circle = twice.replace("NEXT", "...F")
    yield Hostile(
        "a fragment inside of itself below a field", f"{{applications {{nodes {{...F}}}}}} fragment F on Application {{{circle}}}"
    )


def _directives() -> Iterator[Hostile]:
    for count in (51, 900, 2400):
        yield Hostile(f"skip {count} times at one place", f"{{{NAME} " + "@skip(if: false) " * count + "}")
        yield Hostile(f"{count} directives that are not there", f"{{{NAME} " + times(count, "@d#") + "}")
    yield Hostile(
        "a field with each combination of conditions",
        "query(" + times(40, "$v#: Boolean!") + ") {" + times(40, f"a#: {NAME} @skip(if: $v#)") + "}",
        {f"v{n}": n % 2 == 0 for n in range(40)},
    )


def _values() -> Iterator[Hostile]:
    for count in (100, 2000):
        yield Hostile(f"{count} lists inside of each other", "{applications(first: " + nested(count, "[", "]") + ") {totalCount}}")
        yield Hostile(
            f"{count} objects inside of each other", "{applications(first: " + nested(count, "{a: ", "}", "1") + ") {totalCount}}"
        )
        yield Hostile(f"a list of {count} states", "{applications(statusIn: [" + times(count, "running") + "]) {totalCount}}")
        yield Hostile(f"a list of {count} states that are none", "{applications(statusIn: [" + times(count, "asleep#") + "]) {totalCount}}")
    for text in ("%" * 20_000, "_%" * 10_000, "\\\\" * 9_000, "a" * 25_000, "(a+)+$" * 3_000):
        yield Hostile(f"a search for {text[:4]} and so on", f'{{applications(search: "{text}") {{totalCount}}}}')
    yield Hostile("a number that has no end", "{applications(first: " + "9" * 25_000 + ") {totalCount}}")
    yield Hostile("a number with many digits behind the point", "{applications(first: 1." + "9" * 25_000 + ") {totalCount}}")
    yield Hostile("a text over very many lines", '{applications(search: """' + "\n" * 25_000 + '""") {totalCount}}')
    yield Hostile("nothing but a remark", "#" * 29_000)
    yield Hostile("nothing but commas", "," * 29_000)
    yield Hostile("a text that does not end", '{applications(search: "' + "a" * 25_000)
    yield Hostile("a cursor that is none", '{applications(first: 1, after: "' + "eyJ" * 8_000 + '") {totalCount}}')
    yield Hostile("an id that is none", '{application(id: "' + "0" * 25_000 + '") {id}}')


def _variables() -> Iterator[Hostile]:
    page = "query($v: Int) {applications(first: $v) {totalCount}}"
    deep: Any = 1
    for _ in range(90):
        deep = {"a": [deep]}
    yield Hostile("a variable that is an object inside of objects", page, {"v": deep})
    yield Hostile("a variable that is a long list", page, {"v": list(range(150_000))})
    yield Hostile("a variable that is a long text", "query($v: String) {applications(search: $v) {totalCount}}", {"v": "%a" * 400_000})
    yield Hostile(
        "a list of very many states",
        "query($v: [ApplicationStatus!]) {applications(statusIn: $v) {totalCount}}",
        {"v": ["running"] * 80_000},
    )
    yield Hostile(
        "a list of very many texts that are no states",
        "query($v: [ApplicationStatus!]) {applications(statusIn: $v) {totalCount}}",
        {"v": [f"s{n}" for n in range(80_000)]},
    )
    yield Hostile(
        "a list of very many numbers",
        "query($v: [ApplicationStatus!]) {applications(statusIn: $v) {totalCount}}",
        {"v": list(range(150_000))},
    )
    yield Hostile("very many variables that nobody asked for", "{__typename}", {f"v{n}": n for n in range(60_000)})
    yield Hostile("a number that is too large", page, {"v": 10**4000})
    yield Hostile(
        "an input with very many fields",
        "mutation($v: CreateProjectInput!) {createProject(input: $v) {id}}",
        {"v": {f"f{n}": n for n in range(60_000)}},
    )
    yield Hostile(
        "an input with a very long name",
        "mutation($v: CreateProjectInput!) {createProject(input: $v) {id}}",
        {"v": {"name": "a" * 900_000}},
    )
    for count in (100, 1200):
        declared = times(count, "$v#: Int")
        yield Hostile(f"{count} variables", f"query({declared}) {{{NAME}}}")
        yield Hostile(f"{count} variables of types that are not there", f"query({times(count, '$v#: T#')}) {{{NAME}}}")
        yield Hostile(f"{count} defaults", f"query({times(count, '$v#: [Int] = [1, 2, 3]')}) {{{NAME}}}")
    yield Hostile("a type with many brackets", f"query($v: {nested(190, '[', ']', 'Int')}) {{{NAME}}}")


def _introspection() -> Iterator[Hostile]:
    for count in (2, 4, 30):
        yield Hostile(
            f"fields of types of fields, {count} times", "{__schema {types {" + nested(count, "fields {type {", "}}", "name") + "}}}"
        )
        yield Hostile(
            f"{count} schemas at once", "{" + times(count, "s#: __schema {types {name fields {name type {name} args {name}}}}") + "}"
        )
    for outer, inner in ((2, 4), (30, 40)):
        fields = times(outer, "a#: fields {type {ofType {...F} ...F}}")
        below = times(inner, "b#: fields {name}")
        yield Hostile(
            f"{outer} times {inner} fields of types of fields", f"{{__schema {{types {{{fields}}}}}}} fragment F on __Type {{{below}}}"
        )
    yield Hostile(
        "every type by its name", "{" + times(100, 't#: __type(name: "Application") {fields {name type {name fields {name}}}}') + "}"
    )


def _dear() -> Iterator[Hostile]:
    for size in (10, 100):
        page = f"first: {size}"
        yield Hostile(
            f"pages of {size} in pages of {size} in pages of {size}",
            f"{{projects({page}) {{nodes {{applications({page}) {{nodes {{deployments({page}) {{nodes {{id}}}}}}}}}}}}}}",
        )
    leaves = times(90, "a#: name")
    shown = f"applications(first: 100) {{nodes {{{leaves}}}}}"
    yield Hostile("very many values of few rows", f"{{projects(first: 100) {{nodes {{{shown}}}}} project(id: 5) {{id}}}}")
    for count in (10, 100):
        yield Hostile(f"{count} pages side by side", "{" + times(count, "p#: applications(first: 100) {nodes {id name}}") + "}")
        yield Hostile(f"{count} searches side by side", "{" + times(count, "p#: deployments(first: 100) {totalCount}") + "}")


def _bodies() -> Iterator[Hostile]:
    yield Hostile("a list of requests", raw=json.dumps([{"query": "{__typename}"}] * 1000).encode())
    yield Hostile("lists inside of lists", raw=b"[" * 400_000)
    yield Hostile("objects inside of objects", raw=b'{"query":' * 90_000)
    yield Hostile(
        "variables inside of variables", raw=b'{"query":"{__typename}","variables":' + b'{"a":' * 90_000 + b"1" + b"}" * 90_000 + b"}"
    )
    yield Hostile("no text", raw=b'{"query":"\xff\xfe"}')
    yield Hostile("half a character", raw=b'{"query":"{__typename}","variables":{"a":"\\ud800"}}')
    yield Hostile("a number for a document", raw=b'{"query":5}')
    yield Hostile("a zero byte", raw=b'{"query":"{__typename}\\u0000"}')
    yield Hostile("a megabyte of blanks", raw=b'{"query":"{__typename}"' + b" " * 1_000_000 + b"}")
    yield Hostile("one key very often", raw=b"{" + b'"query":"{__typename}",' * 30_000 + b'"query":"{__typename}"}')
    yield Hostile("a hash of nothing", raw=b'{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"' + b"0" * 64 + b'"}}}')
    yield Hostile(
        "extensions inside of extensions", raw=b'{"query":"{__typename}","extensions":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"
    )
