"""`_links`: REST's rendering of relations and actions; they name operations, so no URL is written twice (DECISIONS 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_snake as snake

from schema.names import api_name
from schema.operation import Operation, Resource


@dataclass(frozen=True)
class Link:
    """A link of one answer: the other operation's path, and the answer's key that holds the id in it."""

    name: str
    path: str
    key: str

    @property
    def column(self) -> str:
        """The column that holds the id."""
        return self.key.lstrip("_") if self.key == "_id" else snake(self.key.lstrip("_"))


@dataclass(frozen=True)
class Links:
    """The links of an operation, the fields they need in its view, and the links whose operation does not exist yet."""

    links: tuple[Link, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def selection(self) -> str:
        """What a view selects for the links, under keys of their own."""
        keys = dict.fromkeys(link.key for link in self.links)
        return " ".join(f"{key}: {key.lstrip('_')}" for key in keys)


def links_of(operation: Operation[Any], item: Resource, operations: Mapping[str, Operation[Any]], prefix: str) -> Links:
    """The links of an operation whose answer, or whose page's item, belongs to the chapter `item`."""
    found, missing = [], []
    for name, target in operation.links.items():
        other = operations.get(target)
        if other is None:
            missing.append(name)
            continue
        own = other.chapter is item
        found.append(Link(name, prefix + other.path, "_id" if own else f"_{api_name(f'{other.chapter.singular}_id')}"))
    return Links(tuple(found), tuple(missing))
