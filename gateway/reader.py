"""Reading what a GraphQL request asks for, the same on every transport."""

from starlette.types import Scope

from gateway.admission import count
from gateway.graphql import Asking, Runner
from gateway.persisted import Persisted
from schema.context import Context
from schema.plan.document import Document


class Reader:
    """Finds the document of a request, and counts what it costs."""

    def __init__(self, runner: Runner, persisted: Persisted) -> None:
        self._runner, self._persisted = runner, persisted

    async def read(self, scope: Scope, given: Asking, context: Context) -> tuple[Document, Asking]:
        """The document of a request, and the request with its text. What it costs beyond the one request, which was counted, is counted.

        Raises `Refused`, `InvalidInput`, `RateLimitExceeded` or `ServiceUnavailable`.
        """
        asked = await self._persisted.resolved(given)
        known = self._runner.knows(asked)
        document = self._runner.prepared(asked, context)
        if (further := self._runner.cost(document, known=known) - 1) > 0:
            await count(scope, context, further)
        await self._persisted.keep(given, context)
        return document, asked
