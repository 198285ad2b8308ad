"""What somebody who is not logged in may ask: so little that nothing of the schema can be guessed by what is valid and what is not."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from graphql import DirectiveNode, DocumentNode, FieldNode, FragmentDefinitionNode, Node, OperationDefinitionNode, Visitor, parse, visit

from schema.access import Role
from schema.operation import Operation

ANYBODYS: Final = "__typename"

Words = Mapping[tuple[str, str], frozenset[str]]
"""By kind and name of a root field, the names of the fields that may be asked for below it."""


def words_of(operations: Iterable[Operation[Any]]) -> Words:
    """Those of the operations that take no login: what their REST answers show."""
    public = (each for each in operations if each.needs is Role.anonymous)
    return {(each.kind, each.graphql_name): frozenset(_names(each.view)) | {ANYBODYS} for each in public}


def is_public(tree: DocumentNode, public: Words) -> bool:
    """Whether a document is one operation of public fields, with no more than their words below them, and without directives."""
    operations = [each for each in tree.definitions if isinstance(each, OperationDefinitionNode)]
    fragments = [each for each in tree.definitions if isinstance(each, FragmentDefinitionNode)]
    if len(operations) != 1 or len(operations) + len(fragments) != len(tree.definitions) or _has_directives(tree):
        return False
    (operation,) = operations
    allowed, below = {ANYBODYS}, [each.selection_set for each in fragments]
    for root in operation.selection_set.selections:
        if not isinstance(root, FieldNode):
            return False
        known = public.get((operation.operation.value, root.name.value))
        if known is None and root.name.value != ANYBODYS:
            return False
        allowed |= known or set()
        below += [root.selection_set] if root.selection_set else []
    return all(set(_fields(each)) <= allowed for each in below)


def _has_directives(tree: DocumentNode) -> bool:
    looking = _Looking()
    visit(tree, looking)
    return looking.found


class _Looking(Visitor):
    """Looks for directives."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        """Take note of it."""
        self.found = True


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
