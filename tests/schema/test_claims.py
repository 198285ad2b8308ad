"""What becomes of the claims of an OpenID provider."""

from typing import Any

import pytest

from schema.claims import Person, free


def person(**claims: Any) -> Person:
    return Person("https://id.example", "1", {"email": "ada.lovelace@example.com", "email_verified": True} | claims)


@pytest.mark.parametrize(
    ("preferred", "name"),
    [
        ("Ada", "ada"),
        ("ada@corp.example", "ada"),
        ("Ada Lovelace", "ada-lovelace"),
        ("Jürgen Müller", "jurgen-muller"),
        ("corp\\ada", "corp-ada"),
        ("jo", "user-jo"),
        ("李", "user"),
        ("--..--", "user"),
        ("x" * 40, "x" * 32),
        ("x" * 31 + "-y", "x" * 31),
        ("a_b.c-d9", "a_b.c-d9"),
        ("", "ada.lovelace"),
        (None, "ada.lovelace"),
        (["ada"], "ada.lovelace"),
    ],
)
def test_a_user_name_is_made_of_what_somebody_is_called_there(preferred: Any, name: str) -> None:
    assert person(preferred_username=preferred).username == name


def test_a_user_name_that_is_taken_gets_the_next_number() -> None:
    assert free("ada", []) == "ada"
    assert free("ada", ["ada", "ada3"]) == "ada2"
    long = "x" * 32
    assert free(long, [long, *(f"{'x' * 31}{number}" for number in range(2, 10))]) == f"{'x' * 30}10"


NONE = (
    *({"email_verified": "true"}, {"email_verified": None}, {"email": "no address"}),
    *({"email": "a\0@b.c"}, {"email": ["a@b.c"]}, {"email": "x" * 300 + "@b.c"}),
)


@pytest.mark.parametrize("claims", NONE)
def test_only_an_address_that_is_one_and_is_verified_counts(claims: dict[str, Any]) -> None:
    assert person(**claims).email is None


def test_an_address_is_kept_in_lower_case() -> None:
    assert person(email="Ada@Example.COM").email == "ada@example.com"
