"""Execute: a document's plan, run for a caller. One implementation fetches; nothing runs twice."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from graphql.execution.values import VariableValues, get_argument_values

from models.database import connection
from models.settings import settings
from schema.context import Context, Seen
from schema.documents.refused import beyond, within
from schema.operation import Operation
from schema.plan.build import Sight
from schema.plan.catalog import Catalog
from schema.plan.compile import Ask, Function, Plan
from schema.plan.document import MOST_PLANS, Document
from schema.plan.values import Trouble, absent, failed
from schema.recent import Recent
from schema.shared_results import Shared

KEPT = 1_000_000
"""Characters of the documents that are kept."""

Perform = Callable[[Operation[Any], Context, dict[str, Any]], Awaitable[Any]]
"""Runs an operation's own function with the arguments of its root field."""

Follow = Callable[[Operation[Any], Context, dict[str, Any]], Awaitable[AsyncIterator[Any]]]
"""Begins a stream with the arguments of its root field."""


@dataclass
class Answer:
    """What a document found: its data, with exceptions where something failed, and these once more."""

    data: dict[str, Any] = field(default_factory=dict)
    trouble: Trouble = field(default_factory=list)
    introspects: bool = False
    values: int = 0
    """What the plan says of how many there are."""


def sight_of(context: Context) -> Sight:
    """What the caller sees."""
    if context.user is None:
        return Sight.nothing
    return Sight.everything if context.operator else Sight.some


Encode = Callable[[Answer], Awaitable[bytes]]
"""Encodes the result of an answer."""


class Engine:
    """Runs documents; keeps those that were seen last."""

    def __init__(self, catalog: Catalog, perform: Perform) -> None:
        self.catalog = catalog
        self._perform = perform
        self._documents: Recent[tuple[str, str | None], Document] = Recent(KEPT)
        self._plans: Recent[tuple[Any, ...], Plan] = Recent(MOST_PLANS)
        self._shared: Shared[bytes] = Shared()

    def document(self, text: str, name: str | None) -> Document:
        """A document. Raises `Refused` when it cannot be run."""
        found = self._documents.get((text, name))
        if found is None:
            found = Document(self.catalog, text, name, limits=settings().graphql_limits, plans=self._plans)
            self._documents.put((text, name), found, found.weight)
        return found

    def knows(self, text: str, name: str | None) -> bool:
        """Whether a document is kept."""
        return (text, name) in self._documents

    async def run(self, document: Document, given: Mapping[str, Any], context: Context) -> Answer:
        """Run a query or a mutation. Raises `Refused`, `ValidationFailed`, and what the database raises while it is away."""
        values, seconds = document.coerced(given), settings().graphql_limits.seconds
        plan = self._plan(document, values, context)
        answer = Answer(introspects=plan.introspects, values=plan.values)
        for ask in plan.asks:  # what its answer selects must be sound before anything is done
            ask.answer.check(values)
        async with within(seconds):
            if plan.reads is not None:
                answer.data = await called(plan.reads, values, context, answer.trouble)
            if plan.asks and document.kind == "query":
                await self._ask(document.kind, plan, values, context, answer)
        if plan.asks and document.kind == "mutation":
            await self._ask(document.kind, plan, values, context, answer, seconds)
        return answer

    def _plan(self, document: Document, values: dict[str, Any], context: Context) -> Plan:
        plan = document.plan(values, sight_of(context))
        limits = settings().graphql_limits
        if plan.cost > limits.cost:
            raise beyond("cost", limits.cost)
        if plan.values > limits.values:
            raise beyond("values", limits.values)
        return plan

    async def _ask(
        self, kind: str, plan: Plan, values: dict[str, Any], context: Context, answer: Answer, seconds: float = math.inf
    ) -> None:
        """Call the operations' own functions in turn while there are seconds left. What has begun is not cut short."""
        read, time = answer.data, asyncio.get_running_loop().time
        answer.data, until = {}, time() + seconds
        asks = {ask.key: ask for ask in plan.asks}
        for key in plan.keys:
            if key in read:
                answer.data[key] = read[key]
            elif key in asks:
                if time() < until:
                    answer.data[key] = await self._asked(kind, asks[key], values, context, answer.trouble)
                else:
                    answer.data[key] = failed(beyond("seconds", seconds).errors[0], answer.trouble)
                if kind == "mutation" and asks[key].required and isinstance(answer.data[key], Exception):
                    return

    async def _asked(self, kind: str, ask: Ask, values: dict[str, Any], context: Context, trouble: Trouble) -> Any:
        try:
            value = await self._perform(ask.operation, context, self.arguments(kind, ask, values))
        except Exception as error:
            trouble.append(error)
            return error
        return await self.shown(ask, value, values, context, trouble)

    async def stream(
        self, document: Document, given: Mapping[str, Any], context: Context, follow: Follow, encode: Encode
    ) -> AsyncGenerator[msgspec.Raw]:
        """Run a subscription: an encoded result for each value of its stream, which is made once for all who see the same.

        Raises `Refused`, and what keeps the stream from beginning or ends it.
        """
        values = document.coerced(given)
        plan = self._plan(document, values, context)
        (ask,) = plan.asks
        async for value in await follow(ask.operation, context, self.arguments(document.kind, ask, values)):
            found = self._shared.get(ask, value)
            if found is None:
                answer = Answer(values=plan.values)
                answer.data[ask.key] = await self.shown(ask, value, values, context, answer.trouble)
                found = await encode(answer)
                if ask.answer.pure and not answer.trouble:
                    self._shared.put(ask, value, found)
            yield msgspec.Raw(found)

    def arguments(self, kind: str, ask: Ask, values: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a root field. Raises `GraphQLError`."""
        declared = self.catalog.root(kind).fields[ask.node.name.value]
        return get_argument_values(declared, ask.node, VariableValues({}, values), hide_suggestions=True)

    async def shown(self, ask: Ask, value: Any, values: Mapping[str, Any], context: Context, trouble: Trouble) -> Any:
        """What an operation's function returned, seen through the selection."""
        if value is None:
            return absent(trouble) if ask.required else None
        return await called(ask.answer, values, context, trouble, value)


async def called(function: Function, values: Mapping[str, Any], context: Context, trouble: Trouble, value: Any = None) -> Any:
    """Run a generated function for a caller."""
    seen = await context.seen() if function.sees else Seen()
    return await function.run(connection, values, seen, context, trouble, value)
