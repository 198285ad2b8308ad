"""How the measurements are told."""

import sys
from collections.abc import Iterable, Sequence


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, the first of them the heading; the first column is text, the others are figures."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())


def verdict(holds: bool, bound: str, measured: str) -> bool:
    """Say whether a bound holds."""
    print(f"{'HOLDS' if holds else 'MISSED'}: {bound}: {measured}", flush=True)
    return holds


def progress(line: str) -> None:
    """Tell somebody who waits."""
    print(line, file=sys.stderr, flush=True)
