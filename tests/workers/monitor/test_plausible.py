"""What a server says of itself is its owner's to decide: what cannot be is left out."""

from typing import Any

import pytest

from workers.databases.contract import Statistics
from workers.monitor.sample import plausible


def test_what_can_be_is_kept() -> None:
    told = Statistics(3, 1 << 40, 0.5, 0)
    assert plausible(told) == told
    assert plausible(Statistics(None, None, 1, None)) == Statistics(None, None, 1.0, None)


@pytest.mark.parametrize("wrong", ["x", -1, 1 << 63, 1.5, float("nan"), float("inf"), [], True])
def test_what_cannot_be_is_not(wrong: Any) -> None:
    assert plausible(Statistics(wrong, wrong, "x", wrong)) == Statistics(None, None, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", ["x", -0.1, 1.1, float("nan"), float("inf")])
def test_a_rate_is_a_part_of_one(rate: Any) -> None:
    assert plausible(Statistics(1, 1, rate, 1)) == Statistics(1, 1, None, 1)
