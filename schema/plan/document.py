"""A document as it is kept: validated once, compiled once for each shape of its variables and each sight.

A shape says of each variable whether it is null, and of Booleans, page sizes and sorts their value. So skip and include, absent
filters and page sizes vanish from the SQL: Postgres plans a literal LIMIT better than one that is a parameter.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLNonNull,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    get_operation_ast,
    type_from_ast,
    visit,
)
from graphql.execution.values import get_variable_values

from models.document_limits import DocumentLimits
from schema.documents.refused import Refused, refusal
from schema.documents.valid import MOST_PROBLEMS, valid
from schema.links import Link
from schema.plan.build import Sight
from schema.plan.catalog import Catalog
from schema.plan.compile import Plan, compiled
from schema.plan.select import GIVEN, Scope
from schema.recent import Recent

EVERY_ENTRY = 500
"""Characters that each kept document and plan weighs beside those of its text and source; one takes 10 to 100 bytes of memory."""
MOST_PLANS = 4_000_000
"""Characters of all kept plans."""
PLANS: Recent[tuple[Any, ...], Plan] = Recent(MOST_PLANS)
"""Plans of the gateway's own documents."""

_SMALLEST, _LARGEST = -(2**31), 2**31 - 1

_EXACT: Mapping[str, Callable[[Any], bool]] = {
    "String": lambda value: type(value) is str,
    "ID": lambda value: type(value) is str,
    "Boolean": lambda value: type(value) is bool,
    "Int": lambda value: type(value) is int and _SMALLEST <= value <= _LARGEST,
}
"""Whether a value needs no coercion to become one of these types."""


class Document:
    """One operation of a valid document, and its plans."""

    def __init__(
        self,
        catalog: Catalog,
        text: str,
        name: str | None,
        links: tuple[Link, ...] = (),
        words: Mapping[str, str] | None = None,
        limits: DocumentLimits | None = None,
        plans: Recent[tuple[Any, ...], Plan] = PLANS,
    ) -> None:
        """Parse and validate. Raises `Refused`."""
        tree = valid(catalog.schema, text, limits or DocumentLimits())
        operation = get_operation_ast(tree, name)
        if operation is None:
            raise refusal("Say with operationName which of the document's operations to run.", "INVALID_INPUT")
        self.text, self.name, self.kind = text, name, operation.operation.value
        self._catalog, self._operation, self._links, self._words = catalog, operation, links, words
        self._fragments = {each.name.value: each for each in tree.definitions if isinstance(each, FragmentDefinitionNode)}
        self._variables = _variables(catalog, operation, _sizes(tree))
        self._deciding = [each for each in self._variables if each.known is not _given]
        self._plans = plans

    @property
    def weight(self) -> int:
        """In characters."""
        return len(self.text) + EVERY_ENTRY

    @property
    def roots(self) -> tuple[str, ...]:
        """The names of the fields that it asks of the root at most."""
        scope = Scope(self._catalog.schema, self._fragments, {each.name: GIVEN for each in self._variables})
        return tuple(each.name for each in scope.select(self._catalog.root(self.kind), [self._operation.selection_set]))

    def coerced(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the variables. Raises `Refused`."""
        found: dict[str, Any] = {}
        for each in self._variables:
            value = given.get(each.name)
            if value is not None and each.exact is not None and each.exact(value):
                found[each.name] = value
            elif value is not None or each.demanding:
                break
            elif each.name in given:
                found[each.name] = None
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
        shape = (self, sight, *[each.known(values.get(each.name)) for each in self._deciding])
        found = self._plans.get(shape)
        if found is None:
            known = {each.name: each.known(values.get(each.name)) for each in self._variables}
            scope = Scope(self._catalog.schema, self._fragments, known)
            found = compiled(self._catalog, scope, self._operation, sight, links=self._links, words=self._words)
            self._plans.put(shape, found, self.weight + found.weight)
        return found


def _given(value: Any) -> Any:
    """What a plan knows of a value that is never null and only read when the plan runs."""
    return GIVEN


def _known(value: Any) -> Any:
    """What a plan knows of a value. Members that are stored are text; the others say how to sort."""
    asks_for_order = isinstance(value, Enum) and not isinstance(value, str)
    return value if value is None or isinstance(value, bool) or asks_for_order else GIVEN


def _size(value: Any) -> Any:
    """What a plan knows of a page's size: all of it."""
    return value


class Variable(NamedTuple):
    """A variable of the operation."""

    name: str
    exact: Callable[[Any], bool] | None
    demanding: bool
    """Whether it may not be left out or null, or something stands for it then."""
    known: Callable[[Any], Any]
    """What a plan knows of its value."""


def _variables(catalog: Catalog, operation: OperationDefinitionNode, sizes: set[str]) -> list[Variable]:
    found = []
    for each in operation.variable_definitions or ():
        name, type_ = each.variable.name.value, type_from_ast(catalog.schema, each.type)
        required = isinstance(type_, GraphQLNonNull)
        bare = str(type_.of_type if isinstance(type_, GraphQLNonNull) else type_)
        known = _size if name in sizes and bare == "Int" else _given if required and bare in ("String", "ID", "Int") else _known
        found.append(Variable(name, _EXACT.get(bare), required or each.default_value is not None, known))
    return found


class _Sizes(Visitor):
    """Gathers the variables that are sizes of pages, or called like one in another operation of the document."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        """Look at an argument of a field."""
        if node.name.value in ("first", "last", "limit") and isinstance(node.value, VariableNode):
            self.found.add(node.value.name.value)


def _sizes(tree: DocumentNode) -> set[str]:
    gathering = _Sizes()
    visit(tree, gathering)
    return gathering.found
