"""The settings of databases' servers: one input and one type for all engines, made of what each of them declares."""

from collections.abc import Mapping
from dataclasses import make_dataclass
from typing import Annotated, Any

import strawberry
from pydantic import create_model

import models
import workers
from schema.errors import ValidationFailed
from schema.inputs import Input, problem
from schema.rules import Between, Pattern

_NO_SIZE = "must be a size like 256MB"
_SETTINGS = {name: each for engine in workers.ENGINES.values() for each in engine.settings for name in (each.name, each.alias) if name}
_SHOWN = {each.name: each for each in _SETTINGS.values()}

NAMES = " ".join(_SHOWN)
"""Those that are shown, as a view selects them."""


def _is_number(setting: Any) -> bool:
    return not setting.sized and not setting.words


def _rule(name: str) -> Any:
    """What a setting may be for one engine or another."""
    own = [each for engine in workers.ENGINES.values() for each in engine.settings if name in (each.name, each.alias)]
    if _is_number(own[0]):
        return Annotated[int, Between(min(each.low for each in own), max(each.high for each in own))]
    if own[0].sized:
        return Annotated[str, Pattern("[0-9]+[MmGg][Bb]?", _NO_SIZE, 2, 16)]
    words = sorted({word for each in own for word in each.words})
    return Annotated[str, Pattern("|".join(words), f"must be one of {', '.join(words)}", 2, 32)]


def _fields() -> dict[str, Any]:
    return {name: (_rule(name) | None, None) for name in _SETTINGS}


DatabaseConfigurationInput: Any = strawberry.pydantic.input(
    create_model(
        "DatabaseConfigurationInput",
        __base__=Input,
        __doc__="Settings of a database's server; which there are depends on its type. Sizes are written like 256MB.",
        **_fields(),
    )
)
DatabaseConfiguration: Any = strawberry.type(
    make_dataclass(
        "DatabaseConfiguration",
        [(name, (int if _is_number(each) else str) | None, None) for name, each in _SHOWN.items()],
        namespace={"__doc__": "The settings of a database's server that somebody has chosen."},
    )
)


def shown(configuration: Mapping[str, Any]) -> Any:
    """The settings of a row, as they are printed."""
    return DatabaseConfiguration(**{name: f"{value}MB" if _SHOWN[name].sized else value for name, value in configuration.items()})


def read(type: models.DatabaseType, given: Any, memory: int) -> dict[str, Any]:
    """The settings that an input gives for a type of databases with so many MiB of memory; sizes are in MiB.

    Raises `ValidationFailed`: also for a setting that this type does not have.
    """
    engine = workers.ENGINES[type]
    own = {name: each for each in engine.settings for name in (each.name, each.alias) if name}
    found: dict[str, Any] = {}
    wrong = []
    for name, value in _given(given).items():
        place = ["configuration", name]
        setting = own.get(name)
        if setting is None:
            wrong.append(problem(place, "unknown", f"is no setting of {engine.title}", value))
        elif setting.name in found:
            wrong.append(problem(place, "unique", f"is the same as {setting.name}", value))
        elif (checked := _checked(setting, value, memory)) is not None and not isinstance(checked, str):
            found[setting.name] = checked
        elif setting.words and checked is None:
            found[setting.name] = value
        else:
            wrong.append(problem(place, "range", str(checked), value))
    if wrong:
        raise ValidationFailed(wrong)
    return found


def too_large(type: models.DatabaseType, configuration: Mapping[str, Any], memory: int) -> list[str]:
    """The settings of a row that would be more than so many MiB of memory allow."""
    return [
        each.name
        for each in workers.ENGINES[type].settings
        if each.share and each.name in configuration and configuration[each.name] > int(memory * each.share)
    ]


def _given(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    return {name: value for name in given.model_fields_set if (value := getattr(given, name)) is not None}


def _checked(setting: Any, value: Any, memory: int) -> int | str | None:
    """What is stored of a number or a size, or what is wrong with it; None for a word that is one of those that may be."""
    if setting.words:
        return None if value in setting.words else f"must be one of {', '.join(setting.words)}"
    number = workers.megabytes(value) if setting.sized else value
    if number is None:
        return _NO_SIZE
    high = min(setting.high, int(memory * setting.share)) if setting.share else setting.high
    if not setting.low <= number <= high:
        unit = "MB" if setting.sized else ""
        return f"must be between {setting.low}{unit} and {high}{unit}"
    return int(number)
