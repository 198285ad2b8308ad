"""How serious a printed line is, in the ways that programs say so."""

import re
from typing import Any, Final

import msgspec

from models import LogLevel

_NAMES: Final = {
    **dict.fromkeys(("trace", "debug", "verbose", "fine", "finer", "finest", "d", "t", "d1", "d2", "d3", "d4", "d5"), LogLevel.debug),
    **dict.fromkeys(("info", "information", "informational", "notice", "note", "log", "i", "n"), LogLevel.info),
    **dict.fromkeys(("warn", "warning", "w"), LogLevel.warning),
    **dict.fromkeys(
        ("error", "err", "severe", "critical", "crit", "fatal", "panic", "alert", "emergency", "emerg", "dpanic", "e", "f", "c"),
        LogLevel.error,
    ),
}
_WORDS: Final = "|".join(sorted((name for name in _NAMES if len(name) > 2), key=len, reverse=True))
_BEGINNING: Final = 160
"""Characters in which a level is looked for: what comes later is what the line is about."""
_LOGFMT: Final = re.compile(r"""(?:^|\s)(?:level|lvl|severity|loglevel)=["']?([A-Za-z]+)\b""")
_PLAIN: Final = (
    re.compile(rf"[\[<(|]\s*({_WORDS})\s*[\])>|:]", re.IGNORECASE),  # [error], <warn>, (info), | DEBUG |
    re.compile(rf"^(?:\S{{1,40}} ){{0,3}}({_WORDS}):", re.IGNORECASE),  # Error: …, and after a time or a name
    re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d"),  # klog
    re.compile(r"^([DIWEF]), \["),  # Ruby's Logger
)
_CAPITALS: Final = re.compile(r"\b[A-Z]{3,13}\b")


class _Object(msgspec.Struct):
    """What a line of JSON says of its level, by the names that loggers have for it."""

    level: Any = None
    lvl: Any = None
    severity: Any = None
    levelname: Any = None
    log_level: Any = msgspec.field(default=None, name="log.level")
    level_upper: Any = msgspec.field(default=None, name="Level")
    serilog: Any = msgspec.field(default=None, name="@l")
    mongodb: Any = msgspec.field(default=None, name="s")


_decoder: Final = msgspec.json.Decoder(_Object)


def level_of(line: str) -> LogLevel:
    """The level that a line says it has, as an object of JSON, in logfmt or in plain words; `info` when it says none."""
    if line.startswith("{") and (said := _of_object(line)) is not None:
        return said
    beginning = line[:_BEGINNING]
    if "=" in beginning and (found := _LOGFMT.search(beginning)) is not None:
        return _NAMES.get(found[1].lower(), LogLevel.info)
    for pattern in _PLAIN:
        if (found := pattern.search(beginning)) is not None:
            return _NAMES[found[1].lower()]
    for word in _CAPITALS.findall(beginning):
        if (level := _NAMES.get(word.lower())) is not None:
            return level
    return LogLevel.info


def _of_object(line: str) -> LogLevel | None:
    try:
        said = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return None
    for name in ("level", "lvl", "severity", "levelname", "log_level", "level_upper", "serilog", "mongodb"):
        value = getattr(said, name)
        if isinstance(value, str) and (found := _NAMES.get(value.lower())) is not None:
            return found
        if isinstance(value, int) and not isinstance(value, bool):
            return _of_number(value)
    return None


def _of_number(number: int) -> LogLevel:
    """Pino's and Bunyan's numbers: 10 trace, 20 debug, 30 info, 40 warning, 50 error, 60 fatal."""
    if number < 30:
        return LogLevel.debug
    if number < 40:
        return LogLevel.info
    return LogLevel.warning if number < 50 else LogLevel.error
