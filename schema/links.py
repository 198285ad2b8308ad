"""`_links`: REST's rendering of relations and actions; they name operations, so no URL is written twice (DECISIONS 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.names import api_name
from schema.operation import Operation
from schema.resource import Resource


@dataclass(frozen=True)
class Link:
    """A link of one answer: the other operation's path, and the column of the answer's row that holds the id in it."""

    name: str
    path: str
    column: str


@dataclass(frozen=True)
class Links:
    """The links of an operation, the fields they need in its view, and the links whose operation does not exist yet."""

    links: tuple[Link, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def selection(self) -> str:
        """The fields that the links need."""
        return " ".join(dict.fromkeys(api_name(link.column) for link in self.links))


def links_of(operation: Operation[Any], item: Resource, operations: Mapping[str, Operation[Any]], prefix: str) -> Links:
    """The links of an operation whose answer, or whose page's item, belongs to the chapter `item`."""
    found, missing = [], []
    for name, target in operation.links.items():
        other = operations.get(target)
        if other is None:
            missing.append(name)
            continue
        own = other.chapter is item
        found.append(Link(name, prefix + other.path, "id" if own else f"{other.chapter.singular}_id"))
    return Links(tuple(found), tuple(missing))
