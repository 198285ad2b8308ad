"""Random documents over the real schema, with everything in them that clients write."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)

LISTS = ("nodes", "edges")
UNREAD = frozenset({"health", "deploymentLogs"})
"""Root fields that functions answer and that have tests of their own."""


@dataclass
class Pool:
    """What arguments can be taken from."""

    ids: dict[str, list[str]]
    cursors: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)


@dataclass
class Written:
    """A document with its variables."""

    text: str
    values: dict[str, Any]
    fields: int
    depth: int
    kinds: Counter[str]


class Writer:
    """Writes one document."""

    def __init__(self, schema: GraphQLSchema, pool: Pool, dice: random.Random, *, hostile: bool) -> None:
        self.schema, self.pool, self.dice, self.hostile = schema, pool, dice, hostile
        self.types: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.fragments: list[str] = []
        self.fields = self.deepest = 0
        self.kinds: Counter[str] = Counter()

    def write(self) -> Written:
        """A query."""
        assert self.schema.query_type is not None
        body = self._selections(self.schema.query_type, self.dice.choice([6, 7, 8, 9]), 0)
        declared = ", ".join(f"${name}: {type_}" for name, type_ in self.types.items())
        text = f"query Q{f'({declared})' if declared else ''} {body} {' '.join(self.fragments)}"
        return Written(text, self.values, self.fields, self.deepest, self.kinds)

    def _variable(self, type_: str, value: Any) -> str:
        self.kinds["variable"] += 1
        name = f"v{len(self.types)}"
        self.types[name] = type_
        if self.dice.random() < 0.9 or type_.endswith("!"):
            self.values[name] = value
        return f"${name}"

    def _argument(self, parent: str, name: str, type_: Any) -> str:
        bare = get_nullable_type(type_)
        value, literal = self._value(parent, name, bare)
        required = isinstance(type_, GraphQLNonNull)
        self.kinds[f"argument {name}"] += 1
        if self.dice.random() < 0.5 and not (required and value is None):
            return self._variable(f"{bare}{'!' if required else ''}", value)
        return literal

    def _value(self, parent: str, name: str, bare: Any) -> tuple[Any, str]:
        dice = self.dice
        if name in ("first", "last"):
            value: Any = dice.choice([1, 2, 3, 4, 7, None]) if not self.hostile else dice.choice([0, -1, 101, 3])
        elif name in ("after", "before"):
            value = dice.choice([*self.pool.cursors[-40:], None]) if not self.hostile else dice.choice(["junk", "", *self.pool.cursors])
        elif name == "search":
            value = dice.choice(["a", "P", "%", "é", "app", "", None])
        elif name.startswith("created"):
            value = dice.choice([*self.pool.times, None])
        elif isinstance(bare, GraphQLList):
            options = list(get_named_type(bare).values)
            value = dice.sample(options, dice.randrange(3)) if dice.random() < 0.9 else None
            return value, json.dumps(value).replace('"', "")
        elif isinstance(bare, GraphQLEnumType):
            value = dice.choice([*bare.values, None])
            return value, "null" if value is None else value
        elif str(bare) == "ID":
            kind = name.removesuffix("Id") if name != "id" else parent
            value = dice.choice(self.pool.ids.get(kind) or [each for ids in self.pool.ids.values() for each in ids])
            value = dice.choice(["junk", "", "01900000-0000-7000-8000-000000000000"]) if self.hostile else value
        else:
            value = None
        return value, json.dumps(value, ensure_ascii=False)

    def _arguments(self, parent: str, declared: Any) -> str:
        given = []
        names = dict(declared.args)
        away = ("last", "before") if self.dice.random() < 0.6 else ("first", "after")
        for name, argument in names.items():
            required = isinstance(argument.type, GraphQLNonNull)
            likely = 0.7 if name in ("first", "last") else 0.25 if name in ("sort", "order") else 0.1
            if not required and ((name in away and not self.hostile) or self.dice.random() > likely):
                continue
            given.append(f"{name}: {self._argument(parent, name, argument.type)}")
        return f"({', '.join(given)})" if given else ""

    def _directive(self) -> str:
        if self.dice.random() > 0.08:
            return ""
        self.kinds["skip or include"] += 1
        holds = self.dice.random() < 0.7
        kind = "include" if holds else "skip"
        value = self.dice.random() < 0.85
        shown = value if kind == "include" else not value
        literal = self._variable("Boolean!", shown) if self.dice.random() < 0.6 else json.dumps(shown)
        return f" @{kind}(if: {literal})"

    def _selections(self, type_: Any, left: int, depth: int) -> str:
        self.deepest = max(self.deepest, depth)
        found = []
        available = [(name, each) for name, each in getattr(type_, "fields", {}).items() if name not in UNREAD]
        must = [each for each in available if each[0] in LISTS] if left > 0 else []
        count = 2 + self.dice.randrange(5) if depth else 1 + self.dice.randrange(2)
        picked = ([self.dice.choice(must)] if must else []) + [self.dice.choice(available) for _ in range(count)]
        for name, declared in picked:
            roll = self.dice.random()
            if roll < 0.05:
                self.kinds["__typename"] += 1
                found.append("__typename")
            elif roll < 0.11 and depth and left > 0:
                self.kinds["inline fragment"] += 1
                found.append(f"... on {type_.name}{self._directive()} {self._selections(type_, left - 1, depth)}")
            elif roll < 0.17 and depth and left > 0:
                self.kinds["fragment"] += 1
                number = len(self.fragments)
                self.fragments.append("")
                self.fragments[number] = f"fragment F{number} on {type_.name} {self._selections(type_, left - 1, depth)}"
                found.append(f"...F{number}{self._directive()}")
            elif (one := self._field(type_, name, declared, left, depth)) is not None:
                found.append(one)
        if isinstance(type_, GraphQLObjectType) is False and type_.name == "Node":
            found += [f"... on {each.name} {self._selections(each, left - 1, depth)}" for each in self.dice.sample(self._nodes(), 2)]
        return "{ " + " ".join(found or ["__typename"]) + " }"

    def _nodes(self) -> list[Any]:
        return [self.schema.type_map[name] for name in ("Project", "Application", "Deployment", "User", "Team")]

    def _field(self, type_: Any, name: str, declared: Any, left: int, depth: int) -> str | None:
        named = get_named_type(declared.type)
        if not is_leaf_type(named) and left <= 0:
            return None
        self.fields += 1
        self.kinds[f"{type_.name}.{name}"] += 1
        alias = self.dice.choice(["a: ", "b: "]) if self.dice.random() < 0.1 else ""
        self.kinds["alias"] += bool(alias)
        inner = "" if is_leaf_type(named) else f" {self._selections(named, left - 1, depth + 1)}"
        return f"{alias}{name}{self._arguments(name, declared)}{self._directive()}{inner}"
