"""What a list can be filtered by: a class of annotations, one argument each.

class DeploymentFilters:
    status: DeploymentStatus                                   # equal
    status_in: Annotated[list[DeploymentStatus], Compare("status", "in")]
    created_from: Annotated[datetime, Compare("created_at", ">=")]
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

Operator = Literal["=", "in", ">=", "<="]


@dataclass(frozen=True)
class Compare:
    """The column that an argument is compared with, and how."""

    column: str
    operator: Operator = "="


@dataclass(frozen=True)
class Filter:
    """An argument that narrows a list."""

    column: str
    operator: Operator
    type: Any


def _filter(name: str, annotation: Any) -> Filter:
    if get_origin(annotation) is Annotated:
        type_, *notes = get_args(annotation)
        for note in notes:
            if isinstance(note, Compare):
                return Filter(note.column, note.operator, type_)
    return Filter(name, "=", annotation)


def filters_of(declared: type | None) -> dict[str, Filter]:
    """The filters that a class of annotations declares, by argument."""
    hints = {} if declared is None else get_type_hints(declared, include_extras=True)
    return {name: _filter(name, annotation) for name, annotation in hints.items()}
