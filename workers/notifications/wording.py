"""What has happened, in words for people. What the data lack is left out, so that those of another version can be told, too."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from models import AlertSeverity, NotificationEvent

LONGEST_TITLE: Final = 150
LONGEST_TEXT: Final = 3000
"""Of what failed there may be a lot; chats take about so many characters."""
SHOWN_OF_A_COMMIT: Final = 7

_E = NotificationEvent
_DEPLOYMENTS: Final = {
    _E.deployment_succeeded: "deployed",
    _E.deployment_failed: "deployment failed",
    _E.deployment_cancelled: "deployment cancelled",
}


class Tone(Enum):
    """How something is meant."""

    good = "good"
    warning = "warning"
    bad = "bad"
    neutral = "neutral"


def title(event: NotificationEvent, data: Mapping[str, Any]) -> str:
    """One line of at most `LONGEST_TITLE` characters."""
    if event is _E.test:
        return "A test of this channel"
    if event in _DEPLOYMENTS:
        said = _DEPLOYMENTS[event]
    elif event is _E.alert_resolved:
        said = f"{_line(data, 'metric')} alert is over"
    else:
        said = f"{_line(data, 'severity')} {_line(data, 'metric')} alert"
    return _cut(_one_line(f"{_line(data, 'applicationName')}: {said}"), LONGEST_TITLE)


def text(event: NotificationEvent, data: Mapping[str, Any]) -> str:
    """Some lines of at most `LONGEST_TEXT` characters together."""
    if event is _E.test:
        return "Somebody wants to see whether it arrives."
    parts = _of_a_deployment(data) if event in _DEPLOYMENTS else iter([str(data.get("message") or "")])
    lines = [_one_line(line) for part in parts for line in part.splitlines()]
    return _cut("\n".join(filter(None, lines)), LONGEST_TEXT)


def tone(event: NotificationEvent, data: Mapping[str, Any]) -> Tone:
    """Whether it is good news or bad."""
    if event in (_E.deployment_succeeded, _E.alert_resolved):
        return Tone.good
    if event is _E.deployment_failed:
        return Tone.bad
    if event is _E.alert_raised:
        return Tone.bad if data.get("severity") == AlertSeverity.critical else Tone.warning
    return Tone.neutral


def _of_a_deployment(data: Mapping[str, Any]) -> Iterator[str]:
    yield str(data.get("errorMessage") or "")
    commit = _line(data, "commitSha")[:SHOWN_OF_A_COMMIT]
    where = " ".join(filter(None, (_line(data, "branch"), commit)))
    yield ": ".join(filter(None, (where, _line(data, "commitMessage"))))
    if data.get("duration") is not None:
        yield f"It took {_line(data, 'duration')} s."


def _line(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return "" if value is None else _one_line(str(value))


def _one_line(value: str) -> str:
    return "".join(each for each in " ".join(value.split()) if each.isprintable())


def _cut(value: str, most: int) -> str:
    return value if len(value) <= most else f"{value[: most - 1]}…"
