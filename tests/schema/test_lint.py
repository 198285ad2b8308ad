"""Rules that the GraphQL schema keeps, among them those of the Relay server specification."""

import re
from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from schema.surface import surface

NAME, TYPE = re.compile(r"[a-z][a-zA-Z0-9]*"), re.compile(r"[A-Z][a-zA-Z0-9]*")
PAGING = {"first": "Int", "after": "String", "last": "Int", "before": "String"}


NO_NODES = {"TeamMembership"}
"""Its id is that of the team."""


def own(schema: GraphQLSchema) -> Iterator[tuple[str, object]]:
    return ((name, type_) for name, type_ in schema.type_map.items() if not name.startswith("__"))


def names(schema: GraphQLSchema) -> Iterator[str]:
    """Types are called LikeThis, fields and arguments likeThis."""
    for name, type_ in own(schema):
        if not TYPE.fullmatch(name):
            yield name
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field, declared in type_.fields.items():
                wrong = [field, *getattr(declared, "args", ())]
                yield from (f"{name}.{each}" for each in wrong if not NAME.fullmatch(each))


def descriptions(schema: GraphQLSchema) -> Iterator[str]:
    """Types and the fields of the root say what they are."""
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    yield from (name for name, type_ in own(schema) if type_ not in roots and not getattr(type_, "description", None))
    for root in roots:
        yield from (f"{root}.{name}" for name, field in (root.fields if root else {}).items() if not field.description)


def deprecations(schema: GraphQLSchema) -> Iterator[str]:
    """What is deprecated says why."""
    for name, type_ in own(schema):
        if isinstance(type_, GraphQLObjectType):
            yield from (f"{name}.{field}" for field, declared in type_.fields.items() if declared.deprecation_reason == "")
        if isinstance(type_, GraphQLEnumType):
            yield from (f"{name}.{value}" for value, declared in type_.values.items() if declared.deprecation_reason == "")


def lists(schema: GraphQLSchema) -> Iterator[str]:
    """Lists hold no nulls, but for `nodes(ids)`, as Relay has it."""
    for name, type_ in own(schema):
        if isinstance(type_, GraphQLObjectType):
            for field, declared in type_.fields.items():
                bare = get_nullable_type(declared.type)
                if is_list_type(bare) and not is_non_null_type(bare.of_type) and (name, field) != ("Query", "nodes"):
                    yield f"{name}.{field}"


def nodes(schema: GraphQLSchema) -> Iterator[str]:
    """Relay, "Object Identification": `Node` has an id, `node(id)` and `nodes(ids)` lead to it; whoever implements it has the same id."""
    node = schema.type_map.get("Node")
    if not isinstance(node, GraphQLInterfaceType) or str(node.fields["id"].type) != "ID!":
        yield "Node"
        return
    roots = schema.query_type.fields if schema.query_type else {}
    shapes = {"node": ("Node", {"id": "ID!"}), "nodes": ("[Node]!", {"ids": "[ID!]!"})}
    for name, shape in shapes.items():
        field = roots.get(name)
        if field is None or (str(field.type), {each: str(given.type) for each, given in field.args.items()}) != shape:
            yield f"Query.{name}"
    for name, type_ in own(schema):
        if isinstance(type_, GraphQLObjectType) and "id" in type_.fields and node not in type_.interfaces and name not in NO_NODES:
            yield name


def connections(schema: GraphQLSchema) -> Iterator[str]:
    """Relay, "Connections": edges with a cursor and a node, the page's ends, the four arguments of whatever leads there, and the name."""
    for name, type_ in own(schema):
        if not isinstance(type_, GraphQLObjectType):
            continue
        if "pageInfo" in type_.fields and not name.endswith("Connection"):
            yield name
        if name.endswith("Connection"):
            edge = get_named_type(type_.fields["edges"].type) if "edges" in type_.fields else None
            if not isinstance(edge, GraphQLObjectType) or not {"cursor", "node"} <= edge.fields.keys():
                yield f"{name}.edges"
            if "pageInfo" not in type_.fields or str(type_.fields["pageInfo"].type) != "PageInfo!":
                yield f"{name}.pageInfo"
        for field, declared in type_.fields.items():
            leads = get_named_type(declared.type).name
            given = {each: str(argument.type) for each, argument in declared.args.items() if each in PAGING}
            if leads.endswith("Connection") and given != PAGING:
                yield f"{name}.{field}"
    info = schema.type_map["PageInfo"]
    wanted = {"hasNextPage": "Boolean!", "hasPreviousPage": "Boolean!", "startCursor": "String", "endCursor": "String"}
    if not isinstance(info, GraphQLObjectType) or {each: str(info.fields[each].type) for each in wanted if each in info.fields} != wanted:
        yield "PageInfo"


RULES = (names, descriptions, deprecations, lists, nodes, connections)
WRONG = """
    interface Node {id: ID!}
    type Query {node(id: ID!): Node nodes(ids: [ID!]!): [Node!]! things(first: Int): ThingConnection! bad_name: [Int]}
    type Thing {id: ID! old: Int @deprecated(reason: "")}
    type ThingConnection {edges: [Thing!]! pageInfo: PageInfo}
    type PageInfo {hasNextPage: Boolean!}
    type Things {edges: [Thing!]! pageInfo: PageInfo!}
"""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_schema_keeps_it(rule: object) -> None:
    assert callable(rule)
    assert list(rule(surface().catalog.schema)) == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (names, "Query.bad_name"),
        (descriptions, "Thing"),
        (descriptions, "Query.things"),
        (deprecations, "Thing.old"),
        (lists, "Query.bad_name"),
        (nodes, "Query.nodes"),
        (nodes, "Thing"),
        (connections, "ThingConnection.edges"),
        (connections, "ThingConnection.pageInfo"),
        (connections, "Query.things"),
        (connections, "Things"),
        (connections, "PageInfo"),
    ],
)
def test_what_breaks_it_is_found(rule: object, told: str) -> None:
    assert callable(rule)
    assert told in list(rule(build_schema(WRONG)))
