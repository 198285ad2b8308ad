"""What the specification prints as examples, read off its text: headings, JSON, status lines, headers, parameters, commands."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.shapes import Fields, fields, kinds_of_value, named

TEXT = Path(__file__).parents[3] / "shared" / "spec" / "api-specification.txt"
"""Where it lies beside a checkout; it is no part of the repository."""

CHAPTERS = (
    "Purpose", "API Overview", "Authentication", "Error Handling", "Pagination", "Rate Limiting", "API Endpoints", "Projects",
    "Applications", "Deployments", "Databases", "Webhooks", "Metrics", "Users & Teams", "WebSocket API", "SDK Examples",
    "API Versioning", "Rate Limiting Details", "Security", "OpenAPI Specification",
)  # fmt: skip

OPERATION = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/api/[^\s?]+)(?:\?(\S+))?")
HEADING = re.compile(r"(?:[A-Z]|cURL)[A-Za-z0-9&/ -]*")
SENT_HEADER = re.compile(r"([A-Z][A-Za-z-]+): .+")
HEADER = re.compile(r"([A-Z][A-Za-z]*(?:-[A-Za-z]+)+): .+")
RESPONSE = re.compile(r"Response: (\d{3}) .+")
PARAMETER = re.compile(r" - (\w+)(?: \(\w+\))?:")
CODE = re.compile(r"(\d{3}) ([A-Z_]+) .+")
TIER = re.compile(r"(?:Anonymous|Authenticated|Premium)(?: \d+){3}")
ADDRESS = re.compile(r"(?:https|wss)://dokploy\.example\.com(/api/[^\s?]+)")
CALL = re.compile(r"client\.\w+\.\w+(?=\()")
VERSION = re.compile(r"/api/v\d/")
ID = re.compile(r"/(?:app|proj|deploy|db)-\d+")
LEFT_OUT = re.compile(r"(?<=: )(\[\.\.\.\]|\{\.\.\.\})")


@dataclass(frozen=True)
class Printed:
    """One thing that an example has: `kind` says what, `parts` are its fields or names."""

    under: tuple[str, ...]
    """Chapter, heading, and the operation or other name of the example."""
    kind: str
    parts: Fields
    left_out: tuple[str, ...] = ()
    """The fields printed as `[...]` or `{...}`."""

    def __str__(self) -> str:
        return f"{', '.join(dict.fromkeys(self.under))}: {self.kind} {' '.join(self.parts)}"

    def is_in(self, held: Fields) -> bool:
        """Whether data have it: exactly the fields of a body, and at least what else is named."""
        inside = tuple(f"{each}{end}" for each in self.left_out for end in ".[")
        body = self.kind in ("request", "response")
        more = body and any(name not in self.parts and not name.startswith(inside) for name in held)
        return not more and all(name in held and (name in self.left_out or types <= held[name]) for name, types in self.parts.items())


@dataclass
class Reader:
    """Reads the lines one after the other and knows under which headings it is."""

    lines: list[str]
    chapter: str = ""
    heading: str = ""
    operation: str = ""
    marker: str = ""
    found: list[Printed] = field(default_factory=list)

    def say(self, kind: str, names: Iterable[str], name: str = "") -> None:
        self.found.append(Printed(self._under(name), kind, named(names)))

    def _say_body(self, kind: str, text: str, name: str = "") -> None:
        body = json.loads(LEFT_OUT.sub('"..."', text))
        left_out = tuple(_left_out(body))
        self.found.append(Printed(self._under(name), kind, fields(body, kinds_of_value), left_out))

    def _under(self, name: str) -> tuple[str, ...]:
        return (self.chapter, self.heading, name or self.operation or self.heading)

    def read(self) -> list[Printed]:
        """All that is printed."""
        for number, line in enumerate(self.lines):
            if line == "{":
                self._body(number)
            elif self.heading == "cURL" and line.startswith("curl "):
                self._command(number)
            elif found := OPERATION.fullmatch(line):
                self._operation(found, number)
            elif self._is_heading(number):
                self._turn_to(line)
            else:
                self._other(line)
        return self.found

    def _is_heading(self, number: int) -> bool:
        alone = not self.lines[number - 1].strip() and number + 1 < len(self.lines) and not self.lines[number + 1].strip()
        return alone and HEADING.fullmatch(self.lines[number]) is not None

    def _turn_to(self, heading: str) -> None:
        self.heading, self.operation, self.marker = heading, "", ""
        if heading in CHAPTERS:
            self.chapter = heading

    def _operation(self, found: re.Match[str], number: int) -> None:
        self.operation, self.marker = f"{found[1]} {found[2]}", ""
        self.say("operation", [self.operation])
        if found[3]:
            self.say("query", [each.partition("=")[0] for each in found[3].split("&")])
        sent = [SENT_HEADER.fullmatch(line) for line in self._until_blank(number + 1)]
        if any(sent):
            self.say("sends", [each[1] for each in sent if each])

    def _until_blank(self, number: int) -> Iterator[str]:
        for line in self.lines[number:]:
            if not line.strip():
                return
            yield line

    def _body(self, number: int) -> None:
        end = self.lines.index("}", number)
        asked = self.marker == "Request" or (self.operation and not self.marker)
        self._say_body("request" if asked else "response", "\n".join(self.lines[number : end + 1]))

    def _command(self, number: int) -> None:
        """A cURL command; the comment above it is its name."""
        name = f"cURL: {self.lines[number - 1].removeprefix('# ')}"
        words = shlex.split("\n".join(self._until_blank(number)).replace("\\\n", " "))
        address = next(found[1] for word in words if (found := ADDRESS.fullmatch(word)))
        options = [(word, words[place + 1]) for place, word in enumerate(words) if word.startswith("-")]
        method = next((value for option, value in options if option == "-X"), "GET")
        self.say("operation", [f"{method} {ID.sub('/:id', address)}"], name)
        self.say("sends", [value.partition(":")[0] for option, value in options if option == "-H"], name)
        for body in [value for option, value in options if option == "-d"]:
            self._say_body("request", body, name)

    def _other(self, line: str) -> None:
        if line.startswith(("Request:", "Response")):
            self.marker = "Request" if line.startswith("Request") else "Response"
        if found := RESPONSE.fullmatch(line):
            self.say("status", [found[1]])
        elif line.startswith("Query Parameters:"):
            self.say("query", PARAMETER.findall(line))
        elif (found := HEADER.fullmatch(line)) and not self.operation:
            self.say("headers", [found[1]])
        else:
            self._prose(line)

    def _prose(self, line: str) -> None:
        """What chapters without operations say in their own ways."""
        match self.chapter:
            case "Error Handling" if found := CODE.fullmatch(line):
                self.say("status", [found[1]], f"{found[1]} {found[2]}")
            case "Rate Limiting Details" if TIER.fullmatch(line):
                self.say("operation", [], f"{self.heading}: {line}")
            case "Security" if "301 redirect" in line:
                self.say("status", ["301"])
            case "API Versioning":
                for version in VERSION.findall(line):
                    self.say("operation", [], f"{self.heading}: {version}")
            case "OpenAPI Specification" | "WebSocket API" if found := ADDRESS.search(line):
                self.say("operation", [f"GET {found[1]}"], f"GET {found[1]}")
            case "SDK Examples" if calls := CALL.findall(line):
                self.say("calls", calls)


def _left_out(value: Any, at: str = "") -> Iterator[str]:
    if value == "...":
        yield at
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _left_out(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _left_out(inner, f"{at}[]")


def printed(text: str) -> list[Printed]:
    """Every example of the specification, in its parts."""
    return Reader(text.splitlines()).read()
