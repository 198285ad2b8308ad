"""How far an image build is, read from what the builders print."""

import re

_STEP = re.compile(r"#(\d+) \[(?P<stage>[^\]]*?)\s?(?P<number>\d+)/(?P<total>\d+)\] ")
_EXPORT = re.compile(r"#(\d+) exporting to ")
_DONE = re.compile(r"#(\d+) (?:DONE|CACHED)\b")
_LEGACY_STEP = re.compile(r"Step (\d+)/(\d+) : ")
_INSTRUCTION = re.compile(r"^[ \t]*(?:FROM|RUN|COPY|ADD|WORKDIR)[ \t]", re.IGNORECASE | re.MULTILINE)
BEFORE_EXPORT = 99


def count_steps(dockerfile: str) -> int:
    """About how many steps BuildKit will show for a Dockerfile."""
    return len(_INSTRUCTION.findall(dockerfile))


class BuildProgress:
    """Feed it every line; `percentage` goes from 0 to 100 and never falls.

    BuildKit: steps done or cached of all steps of the stages seen so far, or of `steps`, which keeps the first of several stages
    from looking like the whole. The legacy builder counts them itself.
    """

    def __init__(self, steps: int = 0) -> None:
        self.percentage = 0
        self._expected = steps
        self._totals: dict[str, int] = {}
        self._steps: set[str] = set()
        self._done: set[str] = set()
        self._export: str | None = None

    def feed(self, line: str) -> int:
        """Take in one line and return the percentage."""
        if match := _DONE.match(line):
            self._finish(match[1])
        elif match := _STEP.match(line):
            self._steps.add(match[1])
            self._totals[match["stage"]] = max(int(match["total"]), self._totals.get(match["stage"], 0))
        elif match := _EXPORT.match(line):
            self._export = match[1]
        elif match := _LEGACY_STEP.match(line):
            self._rise((int(match[1]) - 1) * 100 // max(int(match[2]), 1))
        elif line.startswith("Successfully built "):
            self._rise(100)
        return self.percentage

    def _finish(self, step: str) -> None:
        if step == self._export:
            self._rise(100)
        elif step in self._steps:
            self._done.add(step)
            total = max(sum(self._totals.values()), len(self._steps), self._expected)
            self._rise(min(len(self._done) * 100 // total, BEFORE_EXPORT))

    def _rise(self, percentage: int) -> None:
        self.percentage = max(self.percentage, min(percentage, 100))
