"""What is known while a plan is compiled, and the pieces of SQL that everything is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from graphql import GraphQLObjectType, SelectionSetNode

from schema.fields import Entity, Realm
from schema.links import Link
from schema.plan.catalog import Catalog, Declared
from schema.plan.code import Code
from schema.plan.select import Scope, Selected


class Sight(Enum):
    """What a caller sees; each one has plans of its own."""

    everything = "everything"
    some = "some"
    """A set of projects and teams."""
    nothing = "nothing"
    """Nobody is logged in."""


class Rows:
    """One SELECT under construction; its rows are the variable `r` of the generated expressions."""

    def __init__(self, most: int) -> None:
        self.most = most
        """How many rows it can have."""
        self.columns: dict[str, int] = {}
        self.joins: list[str] = []
        self.values: dict[str, int] = {}
        """Generated expression → number of the parameter."""
        self.children: list[Callable[[str], None]] = []
        """What is to be generated once these rows are there, given the expression that lists them."""

    def column(self, sql: str) -> str:
        """The expression of a column of the row."""
        return f"r[{self.columns.setdefault(sql, len(self.columns))}]"

    def bind(self, expression: str) -> str:
        """The placeholder of a value."""
        return f"${self.values.setdefault(expression, len(self.values) + 1)}"

    def bind_ids(self, expression: str) -> str:
        """The placeholder of a list of ids, in a guise in which its length is not looked at when the statement is planned.

        A shorter list would promise a cheaper plan each time, and Postgres would plan the statement anew for every execution.
        """
        return f"(select {self.bind(expression)}::uuid[])::uuid[]"

    @property
    def given(self) -> str:
        """The values as further arguments of a call."""
        return "".join(f", {expression}" for expression in self.values)

    @property
    def selected(self) -> str:
        """The columns, in order."""
        return ", ".join(self.columns) or "1"


@dataclass(frozen=True)
class Place:
    """Where an object's data stands: in a row, under the alias of a table, for the rows that pass the guard."""

    rows: Rows
    alias: str
    entity: Entity
    guard: str = ""


Emit = Callable[["Build", Place, Selected, Declared], str]
"""Makes the expression of one field of a row."""


@dataclass
class Build:
    """A plan under construction."""

    catalog: Catalog
    scope: Scope
    sight: Sight
    sources: Mapping[type, Emit]
    links: tuple[Link, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    """What the transport calls an argument where that is not its name here."""
    code: Code = field(default_factory=Code)
    statements: list[str] = field(default_factory=list)
    cost: int = 0
    values: int = 0
    items: int = 10
    """How long a list of plain values is taken to be: as long as is asked for, or some."""

    def charge(self, rows: int) -> None:
        """Count what is going to be fetched."""
        self.cost += rows

    def select(self, type_: GraphQLObjectType, sets: list[SelectionSetNode], times: int) -> list[Selected]:
        """The selections of an object that is shown so many times at most; what is shown is counted."""
        found = self.scope.select(type_, sets)
        self.values += times * len(found)
        return found

    def fetched(self, sql: str, rows: Rows, condition: str = "") -> str:
        """The expression that runs a statement; without rows unless the condition holds."""
        self.statements.append(sql)
        call = f"await fetch({self.code.constant(sql, 's')}{rows.given})"
        return f"({call} if {condition} else [])" if condition else call

    def value(self, item: Selected, name: str) -> str | None:
        """The expression of an argument, or None when it was not given."""
        argument = item.arguments.get(name)
        if argument is None:
            return None
        if argument.variable is not None:
            return f"v[{argument.variable!r}]"
        if argument.literal is not None:
            return f"{self.code.constant(argument.value)}(v)"
        return self.code.constant(argument.constant)

    def visible(self, rows: Rows, entity: Entity, alias: str, *, inherited: bool = False) -> str:
        """The condition that a row may be seen; none where its parent, itself seen, belongs to the same project or team.

        It stands beside a narrower one. Inside `coalesce` Postgres takes it for neither rare nor worth an index of its own, and so
        goes by the narrower one's.
        """
        if self.sight is Sight.everything or entity.realm is Realm.person or inherited:
            return ""
        if entity.realm is Realm.installation:
            return " and false"
        return f" and coalesce({alias}.{entity.scope} = any({rows.bind_ids(self.seen(entity))}), false)"

    @staticmethod
    def seen(entity: Entity) -> str:
        """The expression of the set that decides over an entity."""
        return "seen.teams" if entity.realm is Realm.team else "seen.projects"


def inherits(parent: Entity, fk: str, target: Entity) -> bool:
    """Whether the rows that point to a parent by `fk` are seen by whoever sees it: it is the project or team they belong to."""
    return parent.realm is target.realm and parent.scope == "id" and fk == target.scope


def living(entity: Entity, alias: str) -> str:
    """The condition that a row is not marked as deleted."""
    return f" and {alias}.deleted_at is null" if entity.perishable else ""
