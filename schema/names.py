"""The one function that turns names of the code into names of the API."""

import functools

from pydantic.alias_generators import to_camel


@functools.lru_cache(4096)
def api_name(name: str) -> str:
    """`created_at` → `createdAt`; a trailing underscore (`list_`) only avoids a Python name."""
    return to_camel(name.strip("_"))
