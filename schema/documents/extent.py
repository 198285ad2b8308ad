"""The extent of a document, measured before anything else is done with it: the time that validating takes grows by its square."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Lexer,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    TokenKind,
    Visitor,
    parse,
    visit,
)

from models.document_limits import DocumentLimits
from schema.documents.refused import Refused, beyond


def parsed(text: str, limits: DocumentLimits) -> DocumentNode:
    """The tree of a document. Raises `Refused` when it is no document, or more than the limits allow."""
    if len(text) > limits.length:
        raise beyond("length", limits.length)
    try:
        tree = parse(text, no_location=True, max_tokens=limits.tokens)
    except GraphQLError as error:
        raise _located(text, error, limits) from error
    _measure(tree, limits)
    return tree


def _located(text: str, error: GraphQLError, limits: DocumentLimits) -> Refused:
    if _has_more_tokens(text, limits.tokens):
        return beyond("tokens", limits.tokens)
    return Refused([GraphQLError(error.message, source=error.source, positions=error.positions, extensions={"code": "INVALID_INPUT"})])


def _has_more_tokens(text: str, most: int) -> bool:
    lexer = Lexer(Source(text))
    try:
        for _ in range(most + 1):
            if lexer.advance().kind is TokenKind.EOF:
                return False
    except GraphQLError:
        return False
    return True


class _Counting(Visitor):
    """Counts what is written, wherever it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.aliases = self.directives = self.fragments = 0

    def enter_field(self, node: FieldNode, *_: object) -> None:
        """Count an alias."""
        self.aliases += node.alias is not None

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        """Count a directive."""
        self.directives += 1

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        """Count a spread."""
        self.fragments += 1


class _Part(NamedTuple):
    """Selections, and the fragments that they are in."""

    selections: SelectionSetNode
    within: frozenset[str] = frozenset()


class _Level(NamedTuple):
    """What is selected of one object, by every field that leads to it."""

    parts: list[_Part]
    depth: int = 1


def _measure(tree: DocumentNode, limits: DocumentLimits) -> None:
    """Raise `Refused` for more than the limits allow."""
    counting = _Counting()
    visit(tree, counting)
    for name in ("aliases", "directives", "fragments"):
        if getattr(counting, name) > getattr(limits, name):
            raise beyond(name, getattr(limits, name))
    walk = _Walk(tree, limits)
    for each in tree.definitions:
        if isinstance(each, OperationDefinitionNode):
            walk.through(each.selection_set)
    for name, fragment in walk.fragments.items():
        if name not in walk.reached:  # which is validated all the same
            walk.through(fragment.selection_set)


class _Walk:
    """Goes through the selections of a document, fragments where they are spread, as the validation does."""

    def __init__(self, tree: DocumentNode, limits: DocumentLimits) -> None:
        self.fragments = {each.name.value: each for each in tree.definitions if isinstance(each, FragmentDefinitionNode)}
        self.reached: set[str] = set()
        self._limits = limits
        self._fields = 0

    def through(self, selections: SelectionSetNode) -> None:
        """Go down to all fields. Raises `Refused` for too many, and where they are too deep."""
        levels = [_Level([_Part(selections)])]
        while levels:
            level = levels.pop()
            if level.depth > self._limits.depth:
                raise beyond("depth", self._limits.depth)
            levels += self._below(level)

    def _below(self, level: _Level) -> list[_Level]:
        times: Counter[str] = Counter()
        parts: dict[str, list[_Part]] = {}
        for node, within in self._of(level):
            key = node.alias.value if node.alias else node.name.value
            times[key] += 1
            self._fields += times[key]
            if self._fields > self._limits.fields:
                raise beyond("fields", self._limits.fields)
            if node.selection_set:
                parts.setdefault(key, []).append(_Part(node.selection_set, within))
        return [_Level(each, level.depth + 1) for each in parts.values()]

    def _of(self, level: _Level) -> Iterator[tuple[FieldNode, frozenset[str]]]:
        """The fields of a level, each with the fragments that it is in. One inside of itself is left to the validation."""
        waiting, spread = list(level.parts), set[str]()
        while waiting:
            selections, within = waiting.pop()
            for node in selections.selections:
                if isinstance(node, FieldNode):
                    yield node, within
                elif isinstance(node, InlineFragmentNode):
                    waiting.append(_Part(node.selection_set, within))
                elif isinstance(node, FragmentSpreadNode):
                    name = node.name.value
                    if name in self.fragments and name not in spread | within:
                        spread.add(name)
                        waiting.append(_Part(self.fragments[name].selection_set, within | {name}))
        self.reached |= spread
