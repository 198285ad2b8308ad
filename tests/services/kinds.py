"""What a document can be made of: the kinds of fields and arguments that the differential test has to cover."""

from typing import Any

from graphql import GraphQLEnumType, get_named_type, is_leaf_type, is_specified_scalar_type
from tortoise import fields

from models.secrets import EncryptedJSONField
from schema.fields import Computed, Count, Extreme, Group, Listing, One
from schema.names import api_name
from schema.plan.catalog import Catalog, column_kind

FIELDS = (
    "column",
    "enum",
    "custom scalar",
    "JSON column",
    "computed",
    "batch computed",
    "to-one",
    "to-many",
    "edges",
    "nodes",
    "pageInfo",
    "totalCount",
    "count",
    "min or max",
    "statistics",
    "node(id)",
    "nodes(ids)",
    "function at the root",
)
ARGUMENTS = (
    "forward",
    "backward",
    "cursor",
    "filter =",
    "filter in",
    "filter >=",
    "filter <=",
    "search",
    "sort",
    "sort on a nullable column",
)
WORDS = ("variable", "fragment", "inline fragment", "alias", "skip or include", "__typename")
KINDS = FIELDS + ARGUMENTS + WORDS

_SOURCES: dict[type, str] = {
    Computed: "computed",
    One: "to-one",
    Listing: "to-many",
    Count: "count",
    Extreme: "min or max",
    Group: "statistics",
}


def field_kinds(catalog: Catalog, type_: Any, name: str) -> set[str]:
    """The kinds of a field."""
    if type_.name == "Query":
        return _root_kinds(catalog, name)
    if name in ("edges", "nodes", "pageInfo", "totalCount"):
        return {name}
    declared = catalog.fields.get((type_.name, name))
    if declared is None:
        return {"column"}
    if isinstance(declared.source, Computed):
        found = {"batch computed" if declared.source.batch else "computed"}
        kinds = [column_kind(declared.owner, each) for each in declared.source.columns] if declared.owner else []
        return found | ({"JSON column"} if any(isinstance(kind, fields.JSONField | EncryptedJSONField) for kind in kinds) else set())
    if type(declared.source) in _SOURCES:
        return {_SOURCES[type(declared.source)]}
    return _leaf_kinds(get_named_type(type_.fields[name].type))


def _root_kinds(catalog: Catalog, name: str) -> set[str]:
    operation = catalog.operations.get(("query", name))
    if operation is None:
        return {"node(id)" if name == "node" else "nodes(ids)"}
    if operation.handler is not None:
        return {"function at the root"}
    return {"to-many" if operation.listing else "to-one"}


def _leaf_kinds(named: Any) -> set[str]:
    if not is_leaf_type(named):
        return set()
    if isinstance(named, GraphQLEnumType):
        return {"enum"}
    return {"column" if is_specified_scalar_type(named) else "custom scalar"}


def argument_kind(catalog: Catalog, type_: Any, name: str, argument: str, value: Any = None) -> str:
    """The kind of an argument."""
    if argument in ("first", "last"):
        return "forward" if argument == "first" else "backward"
    if argument in ("after", "before"):
        return "cursor"
    if argument == "sort":
        return "sort on a nullable column" if value in (None, "finishedAt", "duration") else "sort"
    operation = catalog.operations.get(("query", name)) if type_.name == "Query" else None
    source = operation.listing if operation else getattr(catalog.fields.get((type_.name, name)), "source", None)
    if isinstance(source, Listing):
        for each, declared in source.filters.items():
            if api_name(each) == argument:
                return f"filter {declared.operator}"
    return argument
