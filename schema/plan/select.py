"""Select: the selection sets of a document, made flat. Fragments, aliases, repeated fields, skip and include are gone after it."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    value_from_ast,
)
from graphql.language import BooleanValueNode
from graphql.pyutils import Undefined

from schema.inputs import refuse

GIVEN = object()
"""What is known of a variable that has some value: which one is seen when the plan runs."""


@dataclass(frozen=True)
class Argument:
    """An argument that was given and is not null: a constant, a variable, or a literal with variables inside."""

    constant: Any = None
    variable: str | None = None
    literal: Any = None
    type: Any = None

    def value(self, variables: Mapping[str, Any]) -> Any:
        """The value of a literal that holds variables."""
        found = value_from_ast(self.literal, self.type, dict(variables))
        if found is Undefined:
            refuse("arguments", "type", "hold a variable without the value that they need")
        return found


@dataclass
class Selected:
    """One response key of an object: every selection of it, merged."""

    key: str
    name: str
    field: GraphQLField | None
    """None for `__typename`, `__schema`, `__type` and the links of a view."""
    arguments: dict[str, Argument]
    nodes: list[FieldNode]
    sets: list[SelectionSetNode] = dataclasses.field(default_factory=list)

    @property
    def type(self) -> GraphQLOutputType:
        """The type of the field."""
        if self.field is None:
            raise TypeError(f"{self.name} is no field of the schema")
        return self.field.type

    @property
    def named(self) -> GraphQLObjectType:
        """The type of the field without its lists and nulls, for a field that has fields of its own."""
        return cast("GraphQLObjectType", get_named_type(self.type))


@dataclass(frozen=True)
class Scope:
    """A document, and what is known of its variables: a value, `GIVEN` or None."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    known: Mapping[str, Any]

    def select(self, type_: GraphQLObjectType, sets: list[SelectionSetNode]) -> list[Selected]:
        """The selections of an object, in the order in which the answer names them."""
        found: dict[str, Selected] = {}
        seen: set[str] = set()
        for each in sets:
            for node in self._fields(type_, each, seen):
                key = node.alias.value if node.alias else node.name.value
                if key not in found:
                    declared = type_.fields.get(node.name.value)
                    found[key] = Selected(key, node.name.value, declared, self._arguments(declared, node), [])
                found[key].nodes.append(node)
                if node.selection_set:
                    found[key].sets.append(node.selection_set)
        return list(found.values())

    def _fields(self, type_: GraphQLObjectType, selections: SelectionSetNode, seen: set[str]) -> Iterator[FieldNode]:
        for node in selections.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or self._applies(node.type_condition.name.value, type_):
                    yield from self._fields(type_, node.selection_set, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = self.fragments[node.name.value]
                if self._applies(fragment.type_condition.name.value, type_):
                    yield from self._fields(type_, fragment.selection_set, seen)

    def _included(self, node: Any) -> bool:
        for directive in node.directives or ():
            condition = directive.arguments[0].value
            if isinstance(condition, VariableNode):
                holds = self.known[condition.name.value]
                if holds is GIVEN:
                    continue
            else:
                holds = isinstance(condition, BooleanValueNode) and condition.value
            if not isinstance(holds, bool):
                refuse(condition.name.value, "required", "decides whether something is part of the answer, and is null")
            if holds is (directive.name.value == "skip"):
                return False
        return True

    def _applies(self, name: str, type_: GraphQLObjectType) -> bool:
        other = self.schema.type_map[name]
        return other is type_ or (is_abstract_type(other) and self.schema.is_sub_type(other, type_))

    def _arguments(self, declared: GraphQLField | None, node: FieldNode) -> dict[str, Argument]:
        found: dict[str, Argument] = {}
        if declared is None:
            return found
        for each in node.arguments or ():
            type_ = declared.args[each.name.value].type
            if isinstance(each.value, VariableNode):
                value = self.known.get(each.value.name.value)
                if value is not None:
                    found[each.name.value] = Argument(variable=each.value.name.value) if value is GIVEN else Argument(value)
                continue
            constant = value_from_ast(each.value, type_)
            if constant is Undefined:
                found[each.name.value] = Argument(literal=each.value, type=type_)
            elif constant is not None:
                found[each.name.value] = Argument(constant)
        return found
