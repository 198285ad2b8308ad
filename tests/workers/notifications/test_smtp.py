"""E-mail, to a real SMTP server: plain, by STARTTLS, by TLS from the start, with and without a login."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.settings import settings
from models.smtp import smtp
from tests.workers.notifications.messages import ID, message
from tests.workers.notifications.receivers import Mailbox, certified, mailing
from workers.notifications import by_email
from workers.notifications.by_email import deliver
from workers.notifications.contract import NotTaken

TO = {"recipients": ["ada@example.com", "bob@example.com"]}


def configured(monkeypatch: pytest.MonkeyPatch, scheme: str, mailbox: Mailbox, user: str = "") -> None:
    monkeypatch.setitem(settings().__dict__, "smtp_url", smtp(f"{scheme}://{user}127.0.0.1:{mailbox.port}"))
    monkeypatch.setitem(settings().__dict__, "smtp_from", "dokploy@example.com")


async def refusal() -> NotTaken:
    with pytest.raises(NotTaken) as caught:
        await deliver(message(), TO)
    assert "s@cret" not in str(caught.value)
    return caught.value


async def test_a_letter_goes_to_all_recipients_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(Mailbox()) as mailbox:
        configured(monkeypatch, "smtp", mailbox)
        assert await deliver(message(), TO) is None
    assert mailbox.recipients == [["ada@example.com", "bob@example.com"]] and mailbox.tls == [False] and mailbox.logins == []
    assert mailbox.letters[0]["Message-ID"] == f"<{ID}@example.com>"
    assert mailbox.letters[0].get_content().startswith("The build failed.")


async def test_tls_is_spoken_where_it_is_offered_whoever_vouches_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context, _ = certified(tmp_path)
    async with mailing(Mailbox(), starttls=context) as mailbox:
        configured(monkeypatch, "smtp", mailbox)
        await deliver(message(), TO)
    assert mailbox.tls == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_login_is_by_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str) -> None:
    context, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    offered = {"starttls" if scheme == "smtp" else "tls": context}
    async with mailing(Mailbox(), **offered) as mailbox:
        configured(monkeypatch, scheme, mailbox, "me:s%40cret@")
        await deliver(message(), TO)
    assert mailbox.tls == [True] and mailbox.logins == [("me", "s@cret")]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_no_password_is_told_to_one_that_nobody_vouches_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scheme: str) -> None:
    context, _ = certified(tmp_path)
    async with mailing(Mailbox(), **{"starttls" if scheme == "smtp" else "tls": context}) as mailbox:
        configured(monkeypatch, scheme, mailbox, "me:s%40cret@")
        assert str(await refusal()) == "TLS with the SMTP server failed."
    assert mailbox.logins == [] and mailbox.letters == []


async def test_nor_to_one_that_does_not_offer_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(Mailbox()) as mailbox:
        configured(monkeypatch, "smtp", mailbox, "me:s%40cret@")
        assert str(await refusal()) == "The SMTP server offers no TLS, without which no password is sent."
    assert mailbox.logins == [] and mailbox.letters == []


async def test_a_login_that_is_refused_may_be_put_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with mailing(Mailbox(), starttls=context) as mailbox:
        configured(monkeypatch, "smtp", mailbox, "me:wrong@")
        error = await refusal()
    assert (str(error), error.lasting) == ("The SMTP server refused the login (535).", False)


async def test_one_recipient_who_is_refused_does_not_make_the_others_hear_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(Mailbox(refused=frozenset({"bob@example.com"}))) as mailbox:
        configured(monkeypatch, "smtp", mailbox)
        assert await deliver(message(), TO) == "The SMTP server refused 1 of 2 recipients."
    assert mailbox.recipients == [["ada@example.com"]]


async def test_all_recipients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(Mailbox(refused=frozenset(TO["recipients"]))) as mailbox:
        configured(monkeypatch, "smtp", mailbox)
        error = await refusal()
    assert (str(error), error.lasting) == ("The SMTP server refused all recipients (550).", True)


@pytest.mark.parametrize(("answer", "lasting"), [("554 This is spam", True), ("452 No room", False)])
async def test_a_letter_is_refused(monkeypatch: pytest.MonkeyPatch, answer: str, lasting: bool) -> None:
    async with mailing(Mailbox(answer=answer)) as mailbox:
        configured(monkeypatch, "smtp", mailbox)
        error = await refusal()
    assert (str(error), error.lasting) == (f"The SMTP server answered with {answer[:3]}.", lasting)


async def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mailing(Mailbox()) as mailbox:
        pass
    configured(monkeypatch, "smtp", mailbox)
    error = await refusal()
    assert (str(error), error.lasting) == ("The SMTP server cannot be reached.", False)


@pytest.mark.parametrize("limit", ["SECONDS", "AT_MOST"])
async def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    monkeypatch.setattr(by_email, "SECONDS", 0.5)
    monkeypatch.setattr(by_email, limit, 0.3)
    configured(monkeypatch, "smtp", Mailbox(port=server.sockets[0].getsockname()[1]))
    error = await asyncio.wait_for(refusal(), 3)
    assert str(error) == "The SMTP server did not answer in time, or ended the connection."
    server.close()


def test_the_password_is_in_no_representation() -> None:
    server = smtp("smtp://me:s%40cret@127.0.0.1")
    assert server is not None and server.password == SecretStr("s@cret")
    assert "cret" not in repr(server)
