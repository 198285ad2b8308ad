"""One declaration per operation: the REST route, the OpenAPI operation and the GraphQL field are read off it.

Reading rules, all mechanical:

1. Reads are declared, not coded: `list` and `get` have no body. An action is an async function; it returns the row that it
   made or changed, and its answer is that row seen through the view (REST) or through the client's selection (GraphQL).
2. A parameter annotated with a model comes from the path. It is fetched through visibility and authorised at `needs` before
   the body runs. In GraphQL it is `id: ID!`, in a subscription it is called after the parameter: `deploymentId: ID!`.
   A second id in the path is found through the first row: its parameter names a column of the second row, or else means its id.
3. `input` is the JSON body: one class is the REST decoder, the GraphQL input and the OpenAPI schema.
4. Any other parameter is a query parameter and a GraphQL argument.
5. GET is a query, `stream` (an async generator, or a function that returns one) a subscription and server-sent events, anything else a
   mutation. When a stream takes `after_seq`, the `seq` of its items is the id of the server-sent event, and a `Last-Event-ID` stands for
   the parameter.
6. `applications.deploy` is the operation's id, `deployApplication` its GraphQL field; `list` is `applications`, `get` is
   `application`, any other read or stream `applicationLogs`.
7. `links` name operations; their URLs come from those operations' paths.
8. `deprecate` says that an operation will go: REST by headers, OpenAPI and GraphQL by marks.
9. A `download` returns a `File`, an `upload` takes a `Content`, which is the body as it comes. REST alone has them: GraphQL carries no
   files. Neither holds a transaction meanwhile. Who downloads is entered in the audit trail before the first byte; an upload has
   itself entered, by its `Content`, in the transaction that stores what came. It takes no Idempotency-Key.
10. A stream that `follows` a query goes on where its answer ends: REST has it under the query's path with `follow=true`, as
    server-sent events or over a WebSocket with an item of the view in each frame; GraphQL has it as a subscription of the query's name.
11. `needs` has no default. A wrong declaration raises `WrongDeclaration` when the chapter is imported, or when the surface is
    bound where it needs the other chapters (views, links).
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel
from tortoise.models import Model

from schema.access import Role
from schema.fields import Listing
from schema.files import File
from schema.names import api_name

if TYPE_CHECKING:
    from schema.resource import Resource

F = TypeVar("F", bound=Callable[..., Any])

RESUMED_BY = "after_seq"
"""The parameter by which a stream goes on after an item."""
GROUPS = {"GET": "query", "STREAM": "subscription"}


@dataclass(frozen=True)
class Parameter:
    """A query parameter and GraphQL argument."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Signature:
    """What a handler takes and returns."""

    rows: Mapping[str, type[Model]] = field(default_factory=dict)
    input: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    returns: Any = None
    content: str | None = None
    """The parameter that is the body as it comes."""


@dataclass(frozen=True)
class Deprecation:
    """That an operation will go, and when (DECISIONS 1)."""

    since: date
    sunset: date
    """The day from which it may be gone."""
    guide: str
    """The URL of what to do instead."""
    version: str = "v1"

    @property
    def reason(self) -> str:
        """The same as a sentence."""
        return f"Deprecated since {self.since}, may be gone from {self.sunset}: {self.guide}"


@dataclass(frozen=True)
class Operation(Generic[F]):
    """What can be asked of the API, as data."""

    chapter: "Resource"
    verb: str
    method: str
    path: str
    needs: Role
    status: int
    view: str | None
    links: Mapping[str, str]
    signature: Signature
    summary: str
    handler: F | None = None
    listing: Listing | None = None
    atomic: bool = True
    """Whether its change and the entry of it in the audit trail are one transaction; not where it first hashes a password."""
    relation: str | None = None
    """For the list of a row's relation, or a part of a row: the name of that field. In GraphQL it is that field and nothing else."""
    discloses: bool = False
    """Whether it shows a secret: reading it is entered in the audit trail, and no answer is kept for an Idempotency-Key."""
    deprecation: Deprecation | None = None
    follows: "Operation[Any] | None" = None
    """The query that this stream goes on from: both have one path, and one name in GraphQL."""
    items: int | None = None
    """How long the lists of plain values are at most that it answers with, where nobody asks for so many of them."""

    @property
    def id(self) -> str:
        """`applications.deploy`."""
        return f"{self.chapter.plural}.{self.verb}"

    @property
    def kind(self) -> str:
        """`query`, `mutation` or `subscription`."""
        return GROUPS.get(self.method, "mutation")

    @property
    def graphql_name(self) -> str:
        """`deployApplication`; of a relation's list `application.deployments`."""
        singular, verb = self.chapter.singular, self.verb
        if self.follows is not None:
            return self.follows.graphql_name
        if self.relation is not None:
            return f"{singular}.{api_name(self.relation)}"
        if not singular:
            return api_name(verb)
        match verb:
            case "list":
                return api_name(self.chapter.plural)
            case "get":
                return api_name(singular)
        if self.kind != "mutation":
            return api_name(f"{singular}_{verb}")
        does, _, what = verb.partition("_")
        return api_name(f"{does}_{singular}{f'_{what}' if what else ''}")

    @property
    def downloads(self) -> bool:
        """Whether it answers with a file."""
        return self.signature.returns is File

    @property
    def uploads(self) -> bool:
        """Whether it takes a file."""
        return self.signature.content is not None

    @property
    def carries_file(self) -> bool:
        """Whether a file goes in or out: GraphQL does not have it then."""
        return self.downloads or self.uploads

    @property
    def is_root_field(self) -> bool:
        """Whether GraphQL has it as a field of a root type."""
        return self.relation is None and not self.carries_file

    @property
    def lists_relation(self) -> bool:
        """Whether it is the list of a row's relation: in GraphQL a page among that row's fields."""
        return self.relation is not None and self.listing is not None

    @property
    def repeatable(self) -> bool:
        """Whether it takes an Idempotency-Key: an action of somebody who is logged in."""
        return self.method == "POST" and self.needs is not Role.anonymous and self.atomic and not self.discloses

    @property
    def resumes(self) -> Parameter | None:
        """By what a stream goes on after an item that was received, unless it always begins anew."""
        found = [each for each in self.signature.parameters if self.kind == "subscription" and each.name == RESUMED_BY]
        return found[0] if found else None

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the path's ids."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def row_arguments(self) -> tuple[str, ...]:
        """The GraphQL names of the path's ids."""
        parameter = next(iter(self.signature.rows), "")
        first = api_name(f"{parameter}_id") if self.kind == "subscription" else "id"
        return (first, *self.ids[1:])[: len(self.ids)]
