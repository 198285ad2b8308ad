"""Asking for any operation over REST or GraphQL, read off its declaration: one behaviour suite serves both."""

from dataclasses import dataclass
from typing import Any, Literal

from schema.names import api_name
from schema.surface import Bound, surface
from tests.services.conftest import Person

Transport = Literal["rest", "graphql"]


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
    over: Transport, person: Person, id: str, row: str | None = None, input: dict[str, Any] | None = None, **arguments: Any
) -> Outcome:
    return await (_rest if over == "rest" else _graphql)(person, bound(id), row, input, arguments)


async def _rest(person: Person, found: Bound, row: str | None, input: dict[str, Any] | None, arguments: dict[str, Any]) -> Outcome:
    operation = found.operation
    answer = await person.call(operation.method, operation.path.format(id=row), json=input, params=arguments)
    body = answer.json() if answer.content else None
    if answer.status_code >= 400:
        return Outcome(body["error"]["code"], body["error"]["details"], None)
    assert answer.status_code == operation.status
    return Outcome(None, {}, body["data"] if operation.listing else body)


async def _graphql(person: Person, found: Bound, row: str | None, input: dict[str, Any] | None, arguments: dict[str, Any]) -> Outcome:
    operation = found.operation
    given: dict[str, tuple[str, Any]] = {"id": ("ID!", row)} if row is not None else {}
    if operation.signature.input is not None:
        given["input"] = (f"{operation.signature.input.__name__}!", input or {})
    types = {"limit": "Int", "search": "String", "projectId": "ID", "applicationId": "ID", "deleteVolumes": "Boolean!"}
    for name, value in arguments.items():
        given["first" if name == "limit" else api_name(name)] = (types[name], value)
    declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in given.items())
    passed = ", ".join(f"{name}: ${name}" for name in given)
    view = f"{{ nodes {{ {operation.view} }} }}" if operation.listing else f"{{ {operation.view} }}" if operation.view else ""
    call = f"{operation.graphql_name}{f'({passed})' if passed else ''} {view}"
    document = f"{operation.kind}{f'({declared})' if declared else ''} {{ answer: {call} }}"
    body = await person.graphql(document, **{name: value for name, (_, value) in given.items()})
    if errors := body.get("errors"):
        return Outcome(errors[0]["extensions"]["code"], errors[0]["extensions"]["details"], None)
    data = body["data"]["answer"]
    return Outcome(None, {}, data["nodes"] if operation.listing else data)
