"""The chapter Authentication, and users/me."""

from tests.services.conftest import Api


async def test_the_first_user_becomes_owner_and_later_ones_are_plain_members(api: Api) -> None:
    first = (await api.owner.get("/users/me")).json()
    second = (await (await api.person()).get("/users/me")).json()
    assert first["roles"] == ["owner"]
    assert second["roles"] == ["member"]
    assert second["teams"] == []
