"""`_links`: REST's rendering of relations and actions; they name operations, so no URL is written twice (DECISIONS 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.fields import WrongDeclaration
from schema.names import api_name
from schema.operation import Operation
from schema.resource import Resource


@dataclass(frozen=True)
class Link:
    """A link of one answer: the other operation's path, and the columns of the answer's row that hold the ids in it, in their order."""

    name: str
    path: str
    columns: tuple[str, ...]
    streams: bool = False
    """Whether it leads to a WebSocket."""


@dataclass(frozen=True)
class Links:
    """The links of an operation, the fields they need in its view, and the links whose operation does not exist yet."""

    links: tuple[Link, ...] = ()
    missing: tuple[str, ...] = ()
    by_path: tuple[Link, ...] = ()
    """Those of an answer that is no row: their ids are those of its own path."""

    @property
    def selection(self) -> str:
        """The fields that the links need."""
        return " ".join(dict.fromkeys(api_name(column) for link in self.links for column in link.columns))


def links_of(operation: Operation[Any], item: Resource | None, operations: Mapping[str, Operation[Any]], prefix: str) -> Links:
    """The links of an operation whose answer, or whose page's item, belongs to the chapter `item`; without one it is no row.

    Raises `WrongDeclaration` when the path of such an answer has fewer ids than a link needs.
    """
    found, missing, by_path = [], [], []
    for name, target in operation.links.items():
        other = operations.get(target)
        if other is None:
            missing.append(name)
            continue
        if item is None:
            if len(other.ids) > len(operation.ids):
                raise WrongDeclaration(f"{operation.id}: its path has no ids for the link '{name}'")
            by_path.append(Link(name, prefix + other.path, (), streams=other.follows is not None))
            continue
        found.append(Link(name, prefix + other.path, _columns(other, item)))
    return Links(tuple(found), tuple(missing), tuple(by_path))


def _columns(other: Operation[Any], item: Resource) -> tuple[str, ...]:
    """The columns of an item's row that hold the ids of another operation's path; when it is about such a row, the last is its own."""
    if other.chapter is not item:
        return (f"{other.chapter.singular}_id",)
    above = tuple(f"{name}_id" for name in list(other.signature.rows)[: len(other.ids) - 1])
    return (*above, "id")
