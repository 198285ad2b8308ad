"""What somebody who is not logged in may ask."""

import pytest
from graphql import parse

from schema.documents.public import is_public, words_of
from schema.surface import surface

WORDS = words_of(bound.operation for bound in surface().operations)
LOGIN = 'login(input: {username: "a", password: "b"})'


@pytest.mark.parametrize(
    "text",
    [
        "{__typename}",
        "{a: __typename health {status __typename}}",
        f"mutation {{{LOGIN} {{token expiresIn user {{id username email roles}}}}}}",
        f"mutation {{{LOGIN} {{token user {{...U}}}}}} fragment U on User {{id username}}",
        'mutation ($name: String!) {register(input: {username: $name, email: "a@b.c", password: "long enough"}) {id}}',
    ],
)
def test_logging_in_is_public(text: str) -> None:
    assert is_public(parse(text), WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "{me {username}}",
        "{__schema {types {name}}}",
        "{__typename me @skip(if: true) {username}}",
        "{__typename @skip(if: false)}",
        "{... {__typename}}",
        f"mutation {{{LOGIN} {{token user {{...U}}}}}} fragment U on User {{id teams {{id}}}}",
        "{...F} fragment F on Query {__typename}",
        "{__typename} query Other {me {username}}",
        "query A {__typename} query B {__typename}",
        "{__typename} fragment F on Project {name}",
        f"mutation {{{LOGIN} {{token user {{teams {{id}}}}}}}}",
        "subscription {deploymentEvents(deploymentId: 1) {seq}}",
        "type Query {a: Int}",
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert not is_public(parse(text), WORDS)
