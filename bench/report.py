"""What a bench prints: tables, and whether a bound holds."""

from collections.abc import Iterable, Sequence


def verdict(bound: str, measured: float, most: float, unit: str) -> bool:
    """Say whether a bound holds."""
    holds = measured <= most
    print(f"{'HOLDS' if holds else 'MISSED'}: {bound}: {measured:.2f} {unit} of {most:.2f} {unit}")
    return holds


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, the first of them the heading."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
