"""Asking for any operation over REST or GraphQL, read off its declaration: one behaviour suite serves both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schema.names import api_name
from schema.plan.catalog import answer_field
from schema.surface import Bound, surface
from tests.services.conftest import Person

Transport = Literal["rest", "graphql"]
PAGE = {"limit": "first", "cursor": "after"}
"""What GraphQL calls the parameters of a page."""


@dataclass(frozen=True)
class Outcome:
    """What came of it: an error's code and details, or data."""

    code: str | None
    details: dict[str, Any]
    data: Any

    @property
    def fields(self) -> dict[str, str]:
        """The constraint of each problem, by its field."""
        return {each["field"]: each["constraint"] for each in self.details["errors"]}


def bound(id: str) -> Bound:
    return next(each for each in surface().operations if each.operation.id == id)


async def ask(
    over: Transport,
    person: Person,
    id: str,
    row: str | tuple[str, ...] | None = None,
    input: dict[str, Any] | None = None,
    **arguments: Any,
) -> Outcome:
    """Ask for an operation; `row` are the ids of its path."""
    ids = (row,) if isinstance(row, str) else row or ()
    return await (_rest if over == "rest" else _graphql)(person, bound(id), ids, input, arguments)


async def _rest(person: Person, found: Bound, ids: tuple[str, ...], input: dict[str, Any] | None, arguments: dict[str, Any]) -> Outcome:
    operation = found.operation
    path = operation.path.format(**dict(zip(operation.ids, ids, strict=True)))
    answer = await person.call(operation.method, path, json=input, params=arguments)
    body = answer.json() if answer.content else None
    if answer.status_code >= 400:
        return Outcome(body["error"]["code"], body["error"]["details"], None)
    assert answer.status_code == operation.status
    return Outcome(None, {}, body["data"] if operation.listing else body)


async def _graphql(person: Person, found: Bound, ids: tuple[str, ...], input: dict[str, Any] | None, arguments: dict[str, Any]) -> Outcome:
    given = dict(zip(found.operation.row_arguments, ids, strict=True))
    given |= {PAGE.get(name, api_name(name)): value for name, value in arguments.items()}
    if found.operation.signature.input is not None:
        given["input"] = input or {}
    body = await person.graphql(document(found, given), **given)
    if errors := body.get("errors"):
        return Outcome(errors[0]["extensions"]["code"], errors[0]["extensions"]["details"], None)
    data = body["data"]["answer"]
    data = data["part"] if found.operation.lists_relation else data
    return Outcome(None, {}, data["nodes"] if found.operation.listing else data)


def document(found: Bound, given: Mapping[str, Any]) -> str:
    """The document that asks for an operation with these arguments, each a variable."""
    operation, catalog = found.operation, surface().catalog
    types = {name: str(argument.type) for name, argument in answer_field(catalog, operation).args.items()} | {"id": "ID!"}
    declared = ", ".join(f"${name}: {types[name]}" for name in given)
    own = [name for name in given if not operation.lists_relation or name != "id"]
    passed = f"({', '.join(f'{name}: ${name}' for name in own)})" if own else ""
    view = f"{{ nodes {{ {operation.view} }} }}" if operation.listing else f"{{ {operation.view} }}" if operation.view else ""
    if operation.lists_relation and operation.relation:
        call = f"{operation.chapter.singular}(id: $id) {{ part: {api_name(operation.relation)}{passed} {view} }}"
    else:
        name = operation.chapter.singular if operation.relation else operation.graphql_name
        call = f"{name}{passed} {view}"
    return f"{operation.kind}{f'({declared})' if declared else ''} {{ answer: {call} }}"
