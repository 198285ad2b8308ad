"""Complete: graphql-core words what a plan found when there is an error to report, or introspection to answer.

It walks the document over the plan's tree, by response key, and fetches nothing: so locations, paths and the way of null
upwards are the reference implementation's own.
"""

from collections.abc import Mapping
from typing import Any, cast

from graphql import ExecutionResult, GraphQLInterfaceType, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema, execute, parse

from schema.plan.document import Document
from schema.plan.execute import Answer


def attach(schema: GraphQLSchema) -> None:
    """Let every field of the schema be found in a plan's tree."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInterfaceType):
            type_.resolve_type = lambda value, info, abstract: value.type_name
        elif isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            type_.is_type_of = None
            for field in type_.fields.values():
                field.resolve = _from_tree


def _from_tree(root: Any, info: GraphQLResolveInfo[Any], **given: Any) -> Any:
    return root[info.path.key]


def completed(schema: GraphQLSchema, document: Document, given: Mapping[str, Any], answer: Answer) -> ExecutionResult:
    """The result of a document as graphql-core says it."""
    found = execute(
        schema,
        parse(document.text),
        answer.data,
        variable_values=dict(given),
        operation_name=document.name,
        hide_suggestions=True,
    )
    return cast("ExecutionResult", found)
