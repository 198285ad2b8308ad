"""The reference: every declared field by a resolver of its own over Tortoise rows, run by graphql-core. Slow, plain, and independent."""

from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLResolveInfo, execute, parse

from schema.access import Role
from schema.context import Context
from schema.inputs import uuid_of
from schema.page import relay_window
from schema.perform import Ask, perform
from schema.surface import CHAPTERS, ENTITIES, Bound, Surface, bind
from tests.oracle.resolve import Loading, Part, attach, filters_given, page_of


class Oracle:
    """A surface of its own, its fields bound to resolvers."""

    def __init__(self, surface: Surface | None = None) -> None:
        self.surface = surface or bind(CHAPTERS, ENTITIES)
        self.schema = self.surface.catalog.schema
        attach(self.surface.catalog)
        query = self.schema.query_type
        assert query is not None
        query.fields["node"].resolve = self._node
        query.fields["nodes"].resolve = self._nodes
        for bound in self.surface.operations:
            if bound.operation.kind == "query" and bound.operation.is_root_field:
                query.fields[bound.operation.graphql_name].resolve = _root(bound)

    async def _node(self, root: Any, info: GraphQLResolveInfo[Loading], id: str) -> Any:
        info.context.require(Role.member)
        key = uuid_of(id)
        for entity in self.surface.catalog.entities.values():
            if key is not None and (row := await (await info.context.visible(entity)).get_or_none(id=key)):
                return row
        return None

    async def _nodes(self, root: Any, info: GraphQLResolveInfo[Loading], ids: list[str]) -> Any:
        info.context.require(Role.member)
        return [await self._node(root, info, id) for id in ids]

    async def execute(self, text: str, variables: dict[str, Any] | None, context: Context, name: str | None = None) -> ExecutionResult:
        loading = Loading(context.user, context.session_id, context.request_id)
        found = execute(self.schema, parse(text), None, loading, variables, name, hide_suggestions=True)
        result = await found if isawaitable(found) else found
        assert isinstance(result, ExecutionResult)
        return result


def _root(bound: Bound) -> Any:
    operation = bound.operation

    async def resolve(root: Any, info: GraphQLResolveInfo[Loading], **given: Any) -> Any:
        context = info.context
        context.require(operation.needs)
        if operation.listing is not None:
            sort = given.get("sort")
            part = Part(
                relay_window(given.get("first"), given.get("after"), given.get("last"), given.get("before")),
                filters_given(operation.listing, given),
                given.get("search"),
                sort.value if sort else None,
                given.get("order"),
            )
            rows = await context.visible(bound.entities[0])
            return await page_of(f"Query.{operation.graphql_name}", bound.entities[0], operation.listing, rows, part)
        if operation.handler is None:
            return await context.fetch(bound.entities[0], given["id"], operation.needs)
        ids = tuple(given[name] for name in operation.row_arguments)
        from gateway.graphql import asked

        return await perform(bound, context, Ask(ids, lambda: asked(operation, given)))

    return resolve
