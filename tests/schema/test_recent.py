"""A cache that nobody can make grow."""

from schema.recent import Recent


def test_what_was_used_longest_ago_goes_first() -> None:
    recent: Recent[str, int] = Recent(10)
    for number, key in enumerate("abc"):
        recent.put(key, number, 4)
        recent.get("a")
    assert [recent.get(key) for key in "abc"] == [0, None, 2]
    assert recent.weight == 8


def test_a_value_in_place_of_another_weighs_what_it_weighs() -> None:
    recent: Recent[str, int] = Recent(10)
    for number in range(5):
        recent.put("a", number, 6)
    assert (recent.get("a"), recent.weight) == (4, 6)


def test_what_is_too_heavy_alone_is_not_kept() -> None:
    recent: Recent[str, int] = Recent(10)
    recent.put("a", 1, 5)
    recent.put("heavy", 2, 11)
    assert ("heavy" in recent, "a" in recent, recent.weight) == (False, True, 5)
