"""Whose account somebody has who comes by an OpenID provider, whether they may come in, and as what (DECISIONS 14 and 16)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

import models
from models.settings import settings
from tests.services.conftest import PASSWORD
from tests.services.oidc import House, house, provider, refusal

__all__ = ["house", "provider"]

ROLES = {"bosses": "owner", "admins": "admin", "everybody": "member"}


async def forbidden(house: House, words: str, **settings: Any) -> None:
    """Whoever comes now is not let in."""
    sessions, accounts = await house.sessions(), await house.accounts()
    house.configure(**settings)
    answer = await house.login()
    assert refusal(answer) == (403, "FORBIDDEN"), answer.text
    assert words in answer.json()["error"]["message"]
    assert (await house.sessions(), await house.accounts()) == (sessions, accounts)


async def roles(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json()["user"]["roles"]
    return found


async def entries() -> list[tuple[str, str | None]]:
    """The entries of logins in the audit trail: what came of each, and who it was."""
    return [(each.outcome, each.username) for each in await models.AuditEntry.filter(action="auth.oidc").order_by("id")]


@pytest.mark.parametrize(
    "email", [{"email_verified": False}, {"email_verified": "true"}, {"email_verified": 1}, {"email": None}, {"email": "x"}, {"email": 7}]
)
@pytest.mark.parametrize("domains", [[], ["corp.example"]])
async def test_an_account_needs_an_email_address_that_is_verified(house: House, email: dict[str, Any], domains: list[str]) -> None:
    house.provider.says(**email)
    await forbidden(house, "does not say that your e-mail address is verified", emailDomains=domains)
    assert await entries() == [("FORBIDDEN", None)]


@pytest.mark.parametrize("address", ["alice@other.example", "alice@sub.corp.example", "alice@corp.example.evil.example"])
async def test_an_email_address_of_another_domain_does_not_let_in(house: House, address: str) -> None:
    house.provider.says(email=address)
    await forbidden(house, "of this domain", emailDomains=["corp.example"])


async def test_a_domain_is_the_same_in_capital_letters(house: House) -> None:
    house.configure(emailDomains=["CORP.Example"])
    assert (await house.login()).status_code == 200


async def test_whoever_has_left_the_domain_is_not_let_in_any_more(house: House) -> None:
    house.configure(emailDomains=["corp.example"])
    await house.login()
    house.provider.says(email="alice@elsewhere.example")
    await forbidden(house, "of this domain", emailDomains=["corp.example"])


async def test_nobody_new_is_let_in_while_registration_is_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.login()
    monkeypatch.setitem(settings().__dict__, "registration", "closed")
    assert (await house.login()).status_code == 200
    house.provider.person |= {"sub": "bob-2", "email": "bob@corp.example"}
    await forbidden(house, "Registration is closed")


async def test_an_account_that_is_disabled_stays_out(house: House) -> None:
    await house.login()
    user = await models.User.get(username="alice")
    assert (await house.api.owner.patch(f"/users/{user.id}", {"disabled": True})).status_code == 200
    await forbidden(house, "This account is disabled")
    assert await entries() == [("success", "alice"), ("FORBIDDEN", "alice")]


async def test_an_account_with_the_same_email_address_is_not_given_away(house: House) -> None:
    house.provider.says(email="owner@example.com")
    await forbidden(house, "Log in to it with its password")
    assert await models.Identity.all().count() == 0


async def test_an_account_with_the_same_email_address_is_linked_where_that_is_wanted(house: House) -> None:
    house.configure(linkByEmail=True)
    house.provider.says(email="Owner@Example.com")
    answer = await house.login()
    assert (answer.json()["user"]["id"], await roles(answer)) == (house.api.owner.id, ["owner"])
    house.configure()
    house.provider.says(email="somebody@else.example")
    assert (await house.login()).json()["user"]["id"] == house.api.owner.id
    password = await house.api.anonymous.post("/auth/login", {"username": "owner", "password": PASSWORD})
    assert password.status_code == 401, "whoever has set that address may not have been its owner"


async def test_whoever_had_claimed_an_address_is_out_once_its_owner_comes(house: House) -> None:
    member = await house.api.person()
    assert (await member.patch("/users/me", {"email": "alice@corp.example"})).status_code == 200
    house.configure(linkByEmail=True, roleClaim="groups", roles=ROLES)
    house.provider.says(groups=["bosses"])
    assert await roles(await house.login()) == ["owner"]
    assert (await member.get("/users/me")).status_code == 401
    password = await house.api.anonymous.post("/auth/login", {"username": member.username, "password": PASSWORD})
    assert password.status_code == 401


async def test_an_account_that_came_by_a_provider_is_not_given_to_the_next_with_its_address(house: House) -> None:
    house.configure(linkByEmail=True)
    await house.login()
    house.provider.says(sub="alice-the-second")
    await forbidden(house, "Log in to it with its password", linkByEmail=True)


async def test_an_owner_can_take_an_address_back_from_whoever_has_claimed_it(house: House) -> None:
    member = await house.api.person()
    await member.patch("/users/me", {"email": "alice@corp.example"})
    await forbidden(house, "belongs to an account here")
    assert (await house.api.owner.patch(f"/users/{member.id}", {"email": "member@corp.example"})).status_code == 200
    assert (await house.login()).status_code == 200
    taken = await house.api.owner.patch(f"/users/{member.id}", {"email": "owner@example.com"})
    assert refusal(taken) == (409, "CONFLICT")


@pytest.mark.parametrize("address", ["al\u212aice@corp.example", "al\u0131ce@corp.example", "alice@cörp.example"])
async def test_an_address_with_letters_that_look_like_others_is_none(house: House, address: str) -> None:
    house.provider.says(email=address)
    await forbidden(house, "does not say that your e-mail address is verified")


@pytest.mark.parametrize(("change", "words"), [({"email_verified": False}, "is verified"), ({}, "of this domain")])
async def test_nothing_is_linked_by_an_address_that_is_not_verified_or_not_allowed(
    house: House, change: dict[str, Any], words: str
) -> None:
    house.provider.says(email="owner@example.com", **change)
    await forbidden(house, words, linkByEmail=True, emailDomains=["corp.example"])
    assert await models.Identity.all().count() == 0


async def test_the_same_subject_at_another_provider_is_somebody_else(house: House) -> None:
    await house.login()
    await models.Identity.all().update(issuer="https://other.example")
    await forbidden(house, "Log in to it with its password")


async def test_the_first_user_of_all_becomes_owner_and_the_next_does_not(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await models.User.all().delete()
    monkeypatch.setitem(settings().__dict__, "registration", "closed")
    assert await roles(await house.login()) == ["owner"]
    monkeypatch.setitem(settings().__dict__, "registration", "open")
    house.provider.person |= {"sub": "bob-2", "email": "bob@corp.example"}
    assert await roles(await house.login()) == ["member"]


async def test_somebody_new_who_comes_twice_at_once_gets_one_account(house: House) -> None:
    browsers = [house.browser() for _ in range(6)]
    begun = [await browser.begin() for browser in browsers]
    answers = await asyncio.gather(*(browser.back(**back) for browser, back in zip(browsers, begun, strict=True)))
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["user"]["id"] for each in answers}) == 1
    assert (await house.accounts(), await models.Identity.all().count(), await house.sessions()) == (["alice"], 1, 6)


async def test_a_name_that_is_taken_gets_a_number(house: House) -> None:
    for number, name in enumerate(["alice", "alice2", "alice3"]):
        house.provider.person |= {"sub": str(number), "email": f"alice{number}@corp.example"}
        assert (await house.login()).json()["user"]["username"] == name


async def test_the_role_is_the_highest_that_the_claim_gives_at_each_login(house: House) -> None:
    house.configure(roleClaim="groups", roles=ROLES)
    house.provider.says(groups=["nobody", "everybody", "admins"])
    assert await roles(await house.login()) == ["admin"]
    house.provider.says(groups="bosses")
    assert await roles(await house.login()) == ["owner"]
    house.provider.says(groups=["everybody"])
    assert await roles(await house.login()) == ["member"]


@pytest.mark.parametrize("groups", [[], ["others"], None, 7, {"admins": True}, [["admins"]]])
async def test_whoever_loses_all_groups_is_a_member_again(house: House, groups: Any) -> None:
    house.configure(roleClaim="groups", roles=ROLES)
    house.provider.says(groups=["admins"])
    assert await roles(await house.login()) == ["admin"]
    house.provider.says(groups=groups)
    assert await roles(await house.login()) == ["member"]


async def test_a_claim_may_lie_within_objects_and_may_come_from_userinfo(house: House) -> None:
    house.configure(roleClaim="realm_access.roles", roles=ROLES)
    house.provider.info = {"realm_access": {"roles": ["admins"]}}
    assert await roles(await house.login()) == ["admin"]


async def test_a_claim_may_have_dots_in_its_name(house: House) -> None:
    house.configure(roleClaim="https://corp.example/roles", roles=ROLES)
    house.provider.says(**{"https://corp.example/roles": ["admins"]})
    assert await roles(await house.login()) == ["admin"]


async def test_without_a_claim_roles_are_left_alone(house: House) -> None:
    await house.login()
    await models.User.filter(username="alice").update(role=models.GlobalRole.admin)
    house.provider.says(groups=["everybody"])
    assert await roles(await house.login()) == ["admin"]


async def test_an_account_that_was_only_linked_keeps_its_role_when_nothing_matches(house: House) -> None:
    person = await house.api.person()
    await models.User.filter(id=person.id).update(role=models.GlobalRole.admin)
    house.configure(linkByEmail=True, roleClaim="groups", roles=ROLES)
    house.provider.says(email=f"{person.username}@example.com")
    assert await roles(await house.login()) == ["admin"]
    house.provider.says(groups=["everybody"])
    assert await roles(await house.login()) == ["member"]


async def test_the_last_owner_who_may_log_in_stays_owner(house: House) -> None:
    house.configure(linkByEmail=True, roleClaim="groups", roles=ROLES)
    house.provider.says(email="owner@example.com", groups=["everybody"])
    other = await house.api.person()
    await models.User.filter(id=other.id).update(role=models.GlobalRole.owner, disabled_at=datetime.now(UTC))
    assert await roles(await house.login()) == ["owner"]
    await models.User.filter(id=other.id).update(disabled_at=None)
    assert await roles(await house.login()) == ["member"]


async def test_of_two_owners_who_lose_their_role_one_after_the_other_the_second_stays(house: House) -> None:
    await models.User.all().delete()
    house.configure(roleClaim="groups", roles=ROLES)
    browsers = [house.browser(), house.browser()]
    for groups in (["bosses"], ["everybody"]):
        backs = [await browser.begin() for browser in browsers]
        answers = []
        for number, (browser, back) in enumerate(zip(browsers, backs, strict=True)):
            house.provider.says(sub=str(number), email=f"x{number}@corp.example", groups=groups)
            answers.append(await roles(await browser.back(**back)))
    assert answers == [["member"], ["owner"]]


async def test_a_lower_role_bites_at_once(house: House) -> None:
    house.configure(roleClaim="groups", roles=ROLES)
    house.provider.says(groups=["admins"])
    token = (await house.login()).json()["token"]
    house.provider.says(groups=[])
    await house.login()
    answer = await house.api.anonymous.get("/users", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


async def test_each_login_is_in_the_audit_trail(house: House) -> None:
    await house.login()
    (entry,) = (await house.api.owner.get("/audit", params={"action": "auth.oidc"})).json()["data"]
    user = await models.User.get(username="alice")
    assert (entry["outcome"], entry["username"], entry["userId"]) == ("success", "alice", str(user.id))
    assert (entry["resourceType"], entry["resourceId"]) == ("user", str(user.id))
    assert entry["fields"] == [{"name": "provider", "value": "corp"}]
