"""How much is answered to a question about the schema itself, told before it is asked: graphql-core answers it at one go."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    introspection_types,
    is_leaf_type,
)

from schema.plan.select import Scope, Selected

ROOTS: Final = {"__schema": "__Schema", "__type": "__Type"}

TIMES: Final = 5
"""As much as so many fields of rows each of them takes: graphql-core completes it, where a plan shows a row's."""

SOME_TYPES: Final = ("interfaces", "possibleTypes")
"""Lists of types that are not the mean of all."""


WRAPPED: Final = 3
"""How often a type is wrapped at most, as in `[Project!]!`: so many times inside of each other `ofType` is something."""


class Length(NamedTuple):
    """Of a list: how long it is in the mean of all types, and at most."""

    mean: float
    most: int


@lru_cache(maxsize=4)
def _lengths(schema: GraphQLSchema) -> Mapping[str, Length]:
    types = list(schema.type_map.values())
    fielded = [type_ for type_ in types if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)]
    arguments = [len(field.args) for type_ in fielded for field in type_.fields.values()]
    found = {
        "fields": [len(type_.fields) for type_ in fielded],
        "interfaces": [len(type_.interfaces) for type_ in fielded],
        "inputFields": [len(type_.fields) for type_ in types if isinstance(type_, GraphQLInputObjectType)],
        "enumValues": [len(type_.values) for type_ in types if isinstance(type_, GraphQLEnumType)],
        "possibleTypes": [_possible(schema, type_) for type_ in types],
    }
    lengths = {name: Length(sum(each) / len(types), max(each, default=0)) for name, each in found.items()}
    lengths["args"] = Length(sum(arguments) / max(len(arguments), 1), max(arguments, default=0))
    whole = {"types": len(types), "directives": len(schema.directives), "locations": 8}
    return lengths | {name: Length(length, length) for name, length in whole.items()}


def _possible(schema: GraphQLSchema, type_: GraphQLNamedType) -> int:
    return len(schema.get_possible_types(type_)) if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType) else 0


def introspected(schema: GraphQLSchema, scope: Scope, item: Selected) -> int:
    """How many fields, as much as those of rows, are answered at most by one of the `ROOTS`; lists inside of lists are multiplied."""
    lengths = _lengths(schema)

    def answered(name: str, selected: Selected, times: float, *, among_all: bool, unwrapped: int = 0) -> float:
        """What is below a field of `times` objects of this type, which are all that there are, or any."""
        type_ = introspection_types[name]
        if not isinstance(type_, GraphQLObjectType):
            raise TypeError(f"{name} has no fields")
        found = 0.0
        for each in scope.select(type_, selected.sets):
            found += times
            field = type_.fields.get(each.name)
            if field is None or is_leaf_type(get_named_type(field.type)):
                continue
            deeper = unwrapped + 1 if each.name == "ofType" else 0
            if deeper > WRAPPED:
                continue
            length = lengths.get(each.name, Length(1, 1))
            whole = among_all and each.name in lengths
            times_below, among = times * (length.mean if whole else length.most), whole and each.name not in SOME_TYPES
            found += answered(get_named_type(field.type).name, each, times_below, among_all=among, unwrapped=deeper)
        return found

    return TIMES * round(answered(ROOTS[item.name], item, 1, among_all=item.name == "__schema"))
