"""Plain values: the source that shows what Python code returned, scalars and objects without rows."""

from collections.abc import Callable, Sequence
from typing import Any

from graphql import is_leaf_type, is_list_type, is_non_null_type

from schema.plan.build import Build
from schema.plan.values import leaf


def shown(build: Build, type_: Any, sets: list[Any], value: str, times: int = 1) -> str:
    """The expression that shows a value, so many times at most; `value` is a name or an attribute, and is evaluated more than once."""
    required = is_non_null_type(type_)
    bare = type_.of_type if required else type_
    if is_leaf_type(bare):
        return f"{build.code.constant(leaf(bare, required), bare.name)}({value}, trouble)"
    otherwise = f"odd({value}, {required}, trouble)"
    if is_list_type(bare):
        each = build.code.name("e")
        item = shown(build, bare.of_type, sets, each, times * build.items)
        return f"([{item} for {each} in {value}] if type({value}) is list else {otherwise})"
    kind = build.code.constant(bare.extensions["strawberry-definition"].origin, bare.name)
    return f"({_object(build, bare, sets, value, times)} if isinstance({value}, {kind}) else {otherwise})"


def _object(build: Build, type_: Any, sets: list[Any], value: str, times: int) -> str:
    parts = []
    for item in build.select(type_, sets, times):
        if item.field is None:
            parts.append(f"{item.key!r}: {type_.name!r}")
            continue
        if build.catalog.target(item.type):
            raise TypeError(f"{type_.name}.{item.name}: rows cannot be reached from a plain object here")
        attribute = f"{value}.{build.catalog.fields[type_.name, item.name].python_name}"
        parts.append(f"{item.key!r}: {shown(build, item.type, item.sets, attribute, times)}")
    return "{" + ", ".join(parts) + "}"


def projection(build: Build, type_: Any, sets: list[Any], times: int) -> str:
    """The name of a generated function that shows a value."""
    return build.code.function("value, trouble", [f"return {shown(build, type_, sets, 'value', times)}"])


def computing(build: Build, type_: Any, sets: list[Any], function: str, decoders: Sequence[Callable[[Any], Any] | None], times: int) -> str:
    """The name of a generated function that shows what a function of columns returns; what that raises stands in its place."""
    names = [f"c{number}" for number in range(len(decoders))]
    values = [f"{build.code.constant(decode)}({name})" if decode else name for name, decode in zip(names, decoders, strict=True)]
    lines = [
        "try:",
        f"    value = {function}({', '.join(values)})",
        "except Exception as error:",
        "    return failed(error, trouble)",
        f"return {shown(build, type_, sets, 'value', times)}",
    ]
    return build.code.function(", ".join(["trouble", *names]), lines)
