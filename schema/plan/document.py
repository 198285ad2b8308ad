"""A document as it is kept: validated once, compiled once for each shape of its variables and each sight.

A shape says of each variable whether it is null, and of Booleans, numbers and sorts their value. So skip and include, absent
filters and page sizes vanish from the SQL: Postgres plans a literal LIMIT better than one that is a parameter.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLNonNull,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    type_from_ast,
    validate,
)
from graphql.execution.values import get_variable_values

from schema.links import Link
from schema.plan.build import Sight
from schema.plan.catalog import Catalog
from schema.plan.compile import Plan, compiled
from schema.plan.select import GIVEN, Scope

MOST_TOKENS = 5_000
MOST_PROBLEMS = 20
MOST_SHAPES = 64
"""Plans that one document may have."""

_EXACT: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}
"""Types whose values need no coercion when they are of exactly this class."""


class Refused(Exception):
    """The document cannot be run; carries the errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


def refusal(message: str, code: str) -> Refused:
    """A refusal with one error of a code."""
    return Refused([GraphQLError(message, extensions={"code": code})])


class Document:
    """One operation of a valid document, and its plans."""

    def __init__(
        self, catalog: Catalog, text: str, name: str | None, links: tuple[Link, ...] = (), words: Mapping[str, str] | None = None
    ) -> None:
        """Parse and validate. Raises `Refused`."""
        try:
            tree = parse(text, no_location=True, max_tokens=MOST_TOKENS)
        except GraphQLError as error:
            raise _located(text, error) from error
        if validate(catalog.schema, tree, max_errors=MOST_PROBLEMS, hide_suggestions=True):
            raise Refused(validate(catalog.schema, parse(text), max_errors=MOST_PROBLEMS, hide_suggestions=True))
        operation = get_operation_ast(tree, name)
        if operation is None:
            raise refusal("Say with operationName which of the document's operations to run.", "INVALID_INPUT")
        self.text, self.name, self.kind = text, name, operation.operation.value
        self.private = validate(catalog.schema, tree, [NoSchemaIntrospectionCustomRule], max_errors=1)
        """What an anonymous caller may not ask."""
        self._catalog, self._operation, self._links, self._words = catalog, operation, links, words
        self._fragments = {each.name.value: each for each in tree.definitions if isinstance(each, FragmentDefinitionNode)}
        self._variables = _variables(catalog, operation)
        self._plans: dict[tuple[Any, ...], Plan] = {}

    def coerced(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the variables. Raises `Refused`."""
        found: dict[str, Any] = {}
        for name, exact, required in self._variables:
            value = given.get(name)
            if type(value) is not exact and (value is not None or required or name not in given):
                break
            found[name] = value
        else:
            return found
        values = get_variable_values(
            self._catalog.schema, self._operation.variable_definitions or (), dict(given), MOST_PROBLEMS, hide_suggestions=True
        )
        if isinstance(values, list):
            raise Refused(values)
        return dict(values.coerced)

    def plan(self, values: Mapping[str, Any], sight: Sight) -> Plan:
        """The plan for these values. Raises `ValidationFailed`."""
        known = {name: _known(values.get(name)) for name, _, _ in self._variables}
        shape = (sight, *known.values())
        found = self._plans.get(shape)
        if found is None:
            if len(self._plans) >= MOST_SHAPES:
                self._plans.clear()
            scope = Scope(self._catalog.schema, self._fragments, known)
            found = self._plans[shape] = compiled(self._catalog, scope, self._operation, sight, links=self._links, words=self._words)
        return found


def _located(text: str, error: GraphQLError) -> Refused:
    try:
        parse(text, max_tokens=MOST_TOKENS)
    except GraphQLError as found:
        error = found
    return Refused([GraphQLError(error.message, source=error.source, positions=error.positions, extensions={"code": "INVALID_INPUT"})])


def _known(value: Any) -> Any:
    """What a plan may know of a value. Members that are stored are text; the others say how to sort."""
    asks_for_order = isinstance(value, Enum) and not isinstance(value, str)
    return value if value is None or isinstance(value, bool | int) or asks_for_order else GIVEN


def _variables(catalog: Catalog, operation: OperationDefinitionNode) -> list[tuple[str, type | None, bool]]:
    """Name, class that needs no coercion, and whether null is refused, of each variable."""
    found: list[tuple[str, type | None, bool]] = []
    for each in operation.variable_definitions or ():
        type_ = type_from_ast(catalog.schema, each.type)
        required = isinstance(type_, GraphQLNonNull)
        bare = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        found.append((each.variable.name.value, _EXACT.get(str(bare)), required))
    return found
