"""Results that are shared: kept for as long as somebody has to be shown the value, and no longer."""

import pytest

from schema import shared_results
from schema.shared_results import Shared


class Value:
    """What happened."""


def test_a_result_is_there_for_the_same_value_shown_in_the_same_way() -> None:
    kept, value, way = Shared[str](), Value(), object()
    assert kept.put(way, value, "{}") == "{}"
    assert kept.get(way, value) == "{}"
    assert kept.get(object(), value) is None
    assert kept.get(way, Value()) is None


def test_nothing_is_kept_of_a_value_that_is_gone() -> None:
    kept, value, way = Shared[str](), Value(), object()
    for each in (way, object(), way):
        kept.put(each, value, "{}")
    del value
    assert (kept._kept, kept._weight) == ({}, 0)


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_results, "MOST", 3)
    kept, way, one, two = Shared[str](), object(), Value(), Value()
    kept.put(way, one, "{}")
    assert kept.put(way, two, "{}") == "{}"
    assert (kept.get(way, one), kept.get(way, two)) == ("{}", None)
    del one
    kept.put(way, two, "{}")
    assert kept.get(way, two) == "{}"
