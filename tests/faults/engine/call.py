"""One call of the docker command line: what was asked, when, and how it ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

GROUPS = frozenset({"service", "network", "volume", "image", "buildx", "container", "system", "swarm"})
ALIASES = {"remove": "rm", "list": "ls"}
SHORT = {"-f": "--force", "-q": "--quiet", "-d": "--detach", "-a": "--all"}
SWITCHES = frozenset(
    {
        *("--detach", "--quiet", "--no-resolve-image", "--init", "--no-cache", "--force", "--rm", "--force-rm", "--attachable"),
        *("--all", "--no-trunc", "--no-healthcheck", "--version", "--no-prune"),
    }
)
"""Flags without a value; all others have one."""


@dataclass(eq=False)
class Call:
    """`kind` is the command without its arguments, `service create` for example; times are `time.time()`."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    pid: int
    kind: str = ""
    options: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    ended: float | None = None
    code: int | None = None
    """How it exited; None while it is under way and when it was killed."""
    killed: bool = False
    understood: bool = True
    """Whether the stand-in knows what this means."""

    def one(self, flag: str, otherwise: str = "") -> str:
        """The last value of a flag."""
        return self.options.get(flag, [otherwise])[-1]

    def many(self, flag: str) -> list[str]:
        """All values of a flag."""
        return self.options.get(flag, [])

    def pairs(self, flag: str) -> dict[str, str]:
        """All values of a flag, `key=value` each."""
        return {key: value for key, _, value in (each.partition("=") for each in self.many(flag))}

    def labels(self) -> dict[str, str]:
        """The labels that whatever is made or changed by this shall have."""
        return self.pairs("--label") | self.pairs("--label-add")

    @property
    def deployment(self) -> str:
        """The deployment that it is about, as its labels tell; empty when they do not."""
        return self.labels().get("dokploy.deployment", "")

    @property
    def service(self) -> str:
        """The service that it is about; empty when it is about none."""
        if not self.kind.startswith("service "):
            return ""
        return self.one("--name") or next(iter(self.rest), "").partition("=")[0]


def read(argv: list[str], environment: Mapping[str, str], pid: int) -> Call:
    """Take an argv apart as the docker client would."""
    call = Call(tuple(argv), environment, pid)
    words = list(argv)
    kind = [words.pop(0)] if words and not words[0].startswith("-") else []
    if kind and kind[0] in GROUPS and words and not words[0].startswith("-"):
        kind.append(ALIASES.get(words[0], words[0]))
        del words[0]
    call.kind = " ".join(kind)
    while words:
        word = words.pop(0)
        if word == "--":
            call.rest += words
            break
        if not word.startswith("-"):
            call.rest.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = SHORT.get(flag, flag)
        if not equals:
            value = "true" if flag in SWITCHES else words.pop(0) if words else ""
        call.options.setdefault(flag, []).append(value)
    return call
