"""What somebody who is not logged in may ask: so little that nothing of the schema can be guessed by what is valid and what is not."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from graphql import DirectiveNode, DocumentNode, FieldNode, Node, OperationDefinitionNode, Visitor, parse, visit

from schema.access import Role
from schema.operation import Operation

ANYBODYS: Final = "__typename"

Words = Mapping[tuple[str, str], frozenset[str]]
"""By kind and name of a root field, the names of the fields that may be asked for below it."""


def words(operations: Iterable[Operation[Any]]) -> Words:
    """Those of the operations that take no login: what their REST answers show."""
    public = (each for each in operations if each.needs is Role.anonymous)
    return {(each.kind, each.graphql_name): frozenset(_names(each.view)) | {ANYBODYS} for each in public}


def is_public(tree: DocumentNode, words: Words) -> bool:
    """Whether a document is one operation of public fields, without anything around them."""
    operation = tree.definitions[0]
    if len(tree.definitions) != 1 or not isinstance(operation, OperationDefinitionNode):
        return False
    looking = _Looking()
    visit(tree, looking)
    if looking.more:
        return False
    roots = [each for each in operation.selection_set.selections if isinstance(each, FieldNode)]
    return all(_is_among(root, words.get((operation.operation.value, root.name.value))) for root in roots)


def _is_among(root: FieldNode, below: frozenset[str] | None) -> bool:
    if below is None:
        return root.name.value == ANYBODYS
    return root.selection_set is None or set(_fields(root.selection_set)) <= below


class _Looking(Visitor):
    """Looks for fragments and directives."""

    def __init__(self) -> None:
        super().__init__()
        self.more = False

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        """Take note of it."""
        self.more = True

    def enter_inline_fragment(self, *_: object) -> None:
        """Take note of it."""
        self.more = True

    def enter_fragment_spread(self, *_: object) -> None:
        """Take note of it."""
        self.more = True


class _Fields(Visitor):
    """Gathers the names of fields."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def enter_field(self, node: FieldNode, *_: object) -> None:
        """Take note of it."""
        self.found.append(node.name.value)


def _fields(node: Node) -> list[str]:
    gathering = _Fields()
    visit(node, gathering)
    return gathering.found


def _names(view: str | None) -> list[str]:
    return _fields(parse(f"{{{view}}}")) if view else []
