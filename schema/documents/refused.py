"""What is said of a document that is not run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphql import GraphQLError


class Refused(Exception):
    """The document cannot be run; carries the errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = errors


def refusal(message: str, code: str, **details: object) -> Refused:
    """A refusal with one error of a code."""
    return Refused([GraphQLError(message, extensions={"code": code, "details": details})])


def beyond(limit: str, most: float) -> Refused:
    """The refusal of a document that goes beyond one of the `DocumentLimits`."""
    return refusal(f"The document is beyond the limit of {most:g} {limit}.", f"{limit.upper()}_LIMIT_EXCEEDED", limit=most)


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Refuse what takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise beyond("seconds", seconds) from error
