"""Patterns of paths."""

import time

import pytest

from schema.globs import matches, touched


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("README.md", "README.md"),
        ("*.md", "README.md"),
        ("docs/**", "docs/a/b.md"),
        ("docs/", "docs/a/b.md"),
        ("**/*.py", "main.py"),
        ("**/*.py", "a/b/main.py"),
        ("a/**/b", "a/b"),
        ("a/**/b", "a/x/y/b"),
        ("**", "anything/at/all"),
        ("src/?.c", "src/a.c"),
        ("*", "file"),
        ("a*c", "ac"),
        ("**/test/**", "test/x"),
        ("[ab].c", "b.c"),
    ],
)
def test_a_path_has_a_pattern(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.md", "docs/README.md"),
        ("docs/*", "docs/a/b.md"),
        ("docs/**", "docs2/a"),
        ("**/*.py", "main.pyc"),
        ("**/b", "ab"),
        ("a/**/b", "a/xb"),
        ("?", "ab"),
        ("?", "/"),
        ("readme.md", "README.md"),
        ("", "a"),
        ("a", ""),
        ("[ab].c", "c.c"),
    ],
)
def test_a_path_has_not_a_pattern(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


def test_a_pattern_that_is_made_to_take_long_does_not() -> None:
    began = time.perf_counter()
    assert not matches("*a" * 100 + "b", "a" * 4000)
    assert not matches("**/a" * 50 + "b", "a/" * 2000)
    assert not matches("**/*a*a*a*a*a*ab" * 10, "/".join(["a" * 200] * 20))
    assert time.perf_counter() - began < 1


def test_one_path_and_one_pattern_suffice() -> None:
    assert touched(["docs/**", "src/**"], ["README.md", "src/a.c"])
    assert not touched(["docs/**"], ["README.md"])
    assert not touched([], ["README.md"])
