"""Outline: a view, in GraphQL's own syntax over one output type, as a tree of what it selects. Documents of the API are read off it."""

from dataclasses import dataclass

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    SelectionSetNode,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    parse,
    validate,
)
from graphql import GraphQLEnumType as _Enum
from graphql import GraphQLObjectType as _Object

from schema.fields import WrongDeclaration


@dataclass(frozen=True)
class Selection:
    """What stands under one response key.

    `scalar` names a leaf's scalar or enum and `values` an enum's members; an object has `fields` instead; `lists` counts the
    lists around it.
    """

    nullable: bool
    lists: int
    scalar: str | None = None
    values: tuple[str, ...] = ()
    fields: tuple[tuple[str, "Selection"], ...] = ()


def selection(type_: GraphQLOutputType, node: SelectionSetNode | None) -> Selection:
    """Return the tree of a selection set over a type that was validated against it before."""
    nullable, lists = True, 0
    if is_non_null_type(type_):
        nullable, type_ = False, type_.of_type
    while is_list_type(type_):
        lists += 1
        type_ = type_.of_type
        if is_non_null_type(type_):
            type_ = type_.of_type
    if is_leaf_type(type_):
        values = tuple(type_.values) if is_enum_type(type_) and isinstance(type_, _Enum) else ()
        return Selection(nullable, lists, type_.name, values)
    if not isinstance(type_, _Object) or node is None:
        raise TypeError(f"{type_} cannot be part of a view")
    fields = tuple(
        (child.alias.value if child.alias else child.name.value, selection(type_.fields[child.name.value].type, child.selection_set))
        for child in node.selections
        if isinstance(child, FieldNode)
    )
    return Selection(nullable, lists, fields=fields)


def outlined(name: str, type_: GraphQLOutputType, view: str) -> tuple[Selection, SelectionSetNode]:
    """The outline of an operation's view over its output type, and its selection set.

    Raises `WrongDeclaration` when the view selects what the type does not have.
    """
    schema = GraphQLSchema(query=_Object("View", {"value": GraphQLField(type_)}))
    try:
        document = parse(f"{{ value {{ {view} }} }}", no_location=True)
    except GraphQLSyntaxError as error:
        raise WrongDeclaration(f"{name}: {error.message}") from error
    if errors := validate(schema, document):
        raise WrongDeclaration(f"{name}: {errors[0].message}")
    definition = document.definitions[0]
    if not isinstance(definition, OperationDefinitionNode) or not isinstance(definition.selection_set.selections[0], FieldNode):
        raise WrongDeclaration(f"{name}: the view is no selection")
    selected = definition.selection_set.selections[0].selection_set
    if selected is None:
        raise WrongDeclaration(f"{name}: the view is no selection")
    return selection(type_, selected), selected
