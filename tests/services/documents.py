"""Random documents over the real schema, with everything in them that clients write."""

import base64
import json
import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
)

from schema.access import Role
from schema.fields import Listing
from schema.names import api_name
from schema.page import Direction, SortOrder
from schema.plan.catalog import Catalog
from schema.plan.keyset import order_of
from schema.series import PERIODS
from schema.surface import surface
from tests.services.kinds import KINDS, argument_kind, field_kinds

PAGES = frozenset(
    {"teams", "members", "projects", "applications", "deployments", "databases", "backups", "restores"}
    | {"alerts", "notificationChannels", "notifications"}
)
ALWAYS = (
    *("projects", "projects", "applications", "applications", "deployments", "databases"),
    *("project", "application", "deployment", "me"),
)
"""Root fields to begin with; the others are chosen when their kind is wished for."""
ENTERED = frozenset(each.operation.graphql_name for each in surface().operations if each.operation.discloses)
"""Root fields that are entered in the audit trail when they are read: asked twice, the trail is another one."""
FAVOURED = ("success", "running", "finishedAt", "duration")
"""Members of enums that are chosen more often than the others."""

OWNERS = {
    "deploymentLogs": "deployment",
    "databaseLogs": "database",
    "applicationLogs": "application",
    "databaseMetrics": "database",
    "applicationMetrics": "application",
    "backupSchedule": "database",
    "alertRules": "application",
}
"""The kind of the id that a root field takes, where it is not called after it."""


@dataclass
class Pool:
    """What arguments can be taken from."""

    ids: dict[str, list[str]]
    times: list[str]
    parents: dict[str, str] = field(default_factory=dict)
    """The database of each backup and restore."""
    cursors: dict[str, list[str]] = field(default_factory=dict)
    """By the list they belong to."""

    def keep(self, cursor: str) -> None:
        """Remember a cursor for later documents."""
        known = self.cursors.setdefault(_read(cursor)["of"], [])
        known.append(cursor)
        del known[:-100]


def _read(cursor: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return found


@dataclass
class Written:
    """A document with its variables."""

    text: str
    values: dict[str, Any]
    fields: int
    depth: int
    kinds: set[str]


class Writer:
    """Writes one document. It wishes for some kinds of fields and arguments, and takes what it wishes for where it can."""

    def __init__(self, catalog: Catalog, pool: Pool, dice: random.Random, *, hostile: bool, operator: bool) -> None:
        self.catalog, self.pool, self.dice, self.hostile, self.operator = catalog, pool, dice, hostile, operator
        self.schema = catalog.schema
        self.wishes = set(dice.sample(KINDS, 10))
        self.wishes |= {"statistics"} if "min or max" in self.wishes else set()
        self.goal = dice.choice([3, 4, 5, 6, 7])
        self.types: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.fragments: list[str] = []
        self.fields = self.deepest = 0
        self.kinds: set[str] = set()

    def write(self) -> Written:
        """A query."""
        query = self.catalog.root("query")
        names = [self.dice.choice(ALWAYS)]
        others = [name for name in self._reachable() if name not in (*ALWAYS, *ENTERED)]
        names += [name for name in others if field_kinds(self.catalog, query, name) & self.wishes]
        if self.wishes & {"statistics", "min or max"}:
            names.append("projects")
        if "sort on a nullable column" in self.wishes or any(each.startswith("filter") for each in self.wishes):
            names.append("deployments")
        chosen = [self._field(query, name, query.fields[name], self.goal, 0) for name in dict.fromkeys(names)]
        body = "{ " + " ".join(each for each in chosen if each) + " }"
        declared = ", ".join(f"${name}: {type_}" for name, type_ in self.types.items())
        text = f"query Q{f'({declared})' if declared else ''} {body} {' '.join(self.fragments)}"
        return Written(text, self.values, self.fields, self.deepest, self.kinds)

    def _reachable(self) -> list[str]:
        """The root fields that are not forbidden altogether: one that is leaves nothing of an answer."""
        needs = {name: each.needs for (_, name), each in self.catalog.operations.items()}
        fields = self.catalog.root("query").fields
        return [name for name in fields if self.operator or needs.get(name, Role.member) < Role.operator]

    def _chance(self, kind: str, chance: float) -> bool:
        """Whether something is written: more often when it is wished for."""
        holds = self.dice.random() < (max(0.2, chance) if kind in self.wishes else chance)
        if holds:
            self.kinds.add(kind)
        return holds

    def _variable(self, type_: str, value: Any) -> str:
        self.kinds.add("variable")
        name = f"v{len(self.types)}"
        self.types[name] = type_
        if self.dice.random() < 0.95 or type_.endswith("!"):
            self.values[name] = value
        return f"${name}"

    def _arguments(self, type_: Any, name: str, declared: Any, depth: int) -> str:
        listing = self._listing(type_, name)
        backward = listing is not None and self._chance("backward", 0.2)
        away = {"first", "after"} if backward else {"last", "before"}
        size = 1.0 if depth > 1 or self.goal > 4 else 0.6
        given: dict[str, str] = {}
        chosen: dict[str, Any] = {}
        for argument, each in sorted(declared.args.items(), key=lambda pair: pair[0] in ("after", "before")):
            required, never_null = is_required_argument(each), isinstance(each.type, GraphQLNonNull)
            kind = argument_kind(self.catalog, type_, name, argument)
            likely = size if argument in ("first", "last") else 0.2 if argument in ("sort", "order") else 0.05
            if (argument in away and not self.hostile) or not (self._wanted(kind, likely) or required):
                continue
            value, literal = self._value(type_, name, argument, get_nullable_type(each.type), chosen)
            if (value == "" or (value is None and never_null)) and not self.hostile:
                continue
            if value is not None:
                self.kinds.add(argument_kind(self.catalog, type_, name, argument, value))
            if self.dice.random() < 0.5 and not (never_null and value is None):
                literal = self._variable(f"{get_nullable_type(each.type)}{'!' if never_null else ''}", value)
            given[argument], chosen[argument] = literal, value
        return f"({', '.join(f'{key}: {value}' for key, value in given.items())})" if given else ""

    def _wanted(self, kind: str, likely: float) -> bool:
        return self.dice.random() < (max(0.7, likely) if kind in self.wishes else likely)

    def _listing(self, type_: Any, name: str) -> Listing | None:
        if type_.name == "Query":
            operation = self.catalog.operations.get(("query", name))
            return operation.listing if operation else None
        declared = self.catalog.fields.get((type_.name, name))
        return declared.source if declared and isinstance(declared.source, Listing) else None

    def _value(self, type_: Any, name: str, argument: str, bare: Any, chosen: dict[str, Any]) -> tuple[Any, str]:
        dice = self.dice
        if argument in ("first", "last"):
            value: Any = dice.choice([1, 2, 3, 3, 4, 7]) if not self.hostile else dice.choice([0, -1, 101, 3])
        elif argument in ("after", "before"):
            value = self._cursor(type_, name, chosen)
        elif argument == "search":
            value = dice.choice(["a", "a", "P", "p", "-", "web", "%", "é"])
        elif argument == "period":
            value = dice.choice([*PERIODS, "1y"] if self.hostile else [*PERIODS])
        elif argument.startswith("created"):
            value = self.pool.times[0 if argument.endswith("From") and dice.random() < 0.5 else dice.randrange(len(self.pool.times))]
        elif argument == "ids":
            value = [self._id("node", "id", {}) for _ in range(dice.choice([0, 1, 3, 5]))]
            return value, json.dumps(value)
        elif isinstance(bare, GraphQLList):
            options = list(get_named_type(bare).values)
            value = dice.sample(options, dice.choice([0, 2, 3, len(options)]))
            return value, json.dumps(value).replace('"', "")
        elif isinstance(bare, GraphQLEnumType):
            value = dice.choice([*bare.values, None] + 3 * [each for each in FAVOURED if each in bare.values])
            return value, "null" if value is None else value
        elif str(bare) == "ID":
            value = self._id(name, argument, chosen)
        else:
            value = dice.choice([1, 2, 50]) if str(bare) in ("Int", "BigInt") else None
        return value, json.dumps(value, ensure_ascii=False)

    def _id(self, name: str, argument: str, chosen: dict[str, Any]) -> str:
        if self.hostile:
            return self.dice.choice(["junk", "", "01900000-0000-7000-8000-000000000000"])
        kind = argument.removesuffix("Id") if argument != "id" else OWNERS.get(name, name)
        found = self.pool.ids[kind]
        if argument == "id" and kind in ("backup", "restore"):
            return self.pool.parents[self.dice.choice(found)]
        return self.dice.choice([id for id in found if "id" in chosen and self.pool.parents.get(id) == chosen["id"]] or found)

    def _cursor(self, type_: Any, name: str, chosen: dict[str, Any]) -> str:
        """A cursor of this list in this order, if one is known."""
        listing, of = self._listing(type_, name), f"{type_.name}.{name}"
        everything = [each for known in self.pool.cursors.values() for each in known]
        if self.hostile or listing is None or self.dice.random() < 0.01:
            return self.dice.choice(["junk", "", *everything])
        column = next((each for each in listing.sort if api_name(each) == chosen.get("sort")), None)
        order = SortOrder(chosen["order"]) if chosen.get("order") else None
        sort = order_of(of, listing, column, order, Direction.forward).name
        fitting = [each for each in self.pool.cursors.get(of, []) if _read(each)["sort"] == sort]
        return self.dice.choice(fitting) if fitting else ""

    def _directive(self) -> str:
        if not self._wanted("skip or include", 0.04) or self.dice.random() < 0.8:
            return ""
        self.kinds.add("skip or include")
        kind = self.dice.choice(["include", "skip"])
        value = self.dice.random() < 0.9
        shown = value if kind == "include" else not value
        literal = self._variable("Boolean!", shown) if self.dice.random() < 0.6 else json.dumps(shown)
        return f" @{kind}(if: {literal})"

    def _picked(self, type_: Any, left: int, depth: int) -> list[tuple[str, Any]]:
        fields = getattr(type_, "fields", {})
        available = list(fields.items())
        deeper = [pair for pair in available if not is_leaf_type(get_named_type(pair[1].type))] if left > 0 else []
        wished = [pair for pair in available if field_kinds(self.catalog, type_, pair[0]) & self.wishes]
        picked = [self.dice.choice(available) for _ in range(1 + self.dice.randrange(3 if depth < 4 else 2))]
        picked += self.dice.sample(wished, min(len(wished), 1 + self.dice.randrange(2)))
        onward = [pair for pair in deeper if pair[0] in (*PAGES, "nodes", "edges", "node", "lastDeployment", "application", "project")]
        if onward and not any(pair in onward for pair in picked):
            picked.append(self.dice.choice(onward))
        return [pair for at, pair in enumerate(picked) if not pair[1].args or pair not in picked[:at]]

    def _selections(self, type_: Any, left: int, depth: int) -> str:
        self.deepest = max(self.deepest, depth)
        found = []
        for name, declared in self._picked(type_, left, depth):
            if self._chance("__typename", 0.02):
                found.append("__typename")
            if left > 0 and self._chance("inline fragment", 0.03):
                found.append(f"... on {type_.name}{self._directive()} {self._selections(type_, left - 3, depth)}")
            if left > 0 and self._chance("fragment", 0.03):
                number = len(self.fragments)
                self.fragments.append("")
                self.fragments[number] = f"fragment F{number} on {type_.name} {self._selections(type_, left - 3, depth)}"
                found.append(f"...F{number}{self._directive()}")
            if (one := self._field(type_, name, declared, left, depth)) is not None:
                found.append(one)
        if not isinstance(type_, GraphQLObjectType):
            found += [f"... on {each.name} {self._selections(each, left - 4, depth)}" for each in self._nodes()]
        return "{ " + " ".join(found or ["__typename"]) + " }"

    def _nodes(self) -> list[Any]:
        return [
            self.schema.type_map[name]
            for name in self.dice.sample(
                ["Project", "Application", "Deployment", "User", "Team", "Member", "Database", "DatabaseBackup"], 2
            )
        ]

    def _field(self, type_: Any, name: str, declared: Any, left: int, depth: int) -> str | None:
        named = get_named_type(declared.type)
        if not is_leaf_type(named) and left <= 0:
            return None
        self.fields += 1
        self.kinds |= field_kinds(self.catalog, type_, name)
        alias = self.dice.choice(["a: ", "b: "]) if self._wanted("alias", 0.05) and self.dice.random() < 0.3 else ""
        if alias:
            self.kinds.add("alias")
        arguments = self._arguments(type_, name, declared, depth)
        inner = "" if is_leaf_type(named) else f" {self._selections(named, left - 1, depth + 1)}"
        return f"{alias}{name}{arguments}{self._directive()}{inner}"
