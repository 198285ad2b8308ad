"""Letters, as they are handed to the SMTP server."""

import email
from email import policy

import pytest

from models.settings import settings
from models.smtp import smtp
from tests.workers.notifications.messages import ID, message
from workers.notifications.by_email import deliver, letter
from workers.notifications.contract import NotTaken


def test_a_letter_to_the_byte() -> None:
    made = letter(message(errorMessage=None), "dokploy@example.com", ["ada@example.com", "bob@example.com"])
    assert made.as_bytes().decode() == (
        "From: dokploy@example.com\n"
        "To: ada@example.com, bob@example.com\n"
        "Subject: web: deployment failed\n"
        "Date: Sat, 07 Dec 2024 10:00:00 +0000\n"
        f"Message-ID: <{ID}@example.com>\n"
        "Auto-Submitted: auto-generated\n"
        'Content-Type: text/plain; charset="utf-8"\n'
        "Content-Transfer-Encoding: quoted-printable\n"
        "MIME-Version: 1.0\n"
        "\n"
        "main 6113728: Make it <fast> & small\n"
        "It took 12 s.\n"
    )


def test_a_letter_is_the_same_whenever_it_is_written() -> None:
    assert letter(message(), "a@b.example", ["c@d.example"]).as_bytes() == letter(message(), "a@b.example", ["c@d.example"]).as_bytes()


def test_nothing_in_the_data_becomes_a_header() -> None:
    hostile = "web\r\nBcc: eve@example.com\r\n\r\nbody"
    made = letter(message(applicationName=hostile, errorMessage=hostile), "a@b.example", ["c@d.example"])
    read = email.message_from_bytes(made.as_bytes(policy=policy.SMTP), policy=policy.default)
    assert read["Bcc"] is None and set(read.keys()) == set(made.keys())
    assert read["Subject"] == "web Bcc: eve@example.com body: deployment failed"


def test_other_alphabets_arrive() -> None:
    made = letter(message(applicationName="größer", errorMessage="更大"), "a@b.example", ["c@d.example"])
    sent = made.as_bytes()
    assert sent.isascii()
    read = email.message_from_bytes(sent, policy=policy.default)
    assert read["Subject"] == "größer: deployment failed" and read.get_content().startswith("更大\n")


def test_a_letter_without_a_text_says_its_title() -> None:
    bare = dict.fromkeys(("branch", "commitSha", "commitMessage", "duration", "errorMessage"))
    assert letter(message("deployment_succeeded", **bare), "a@b.example", ["c@d.example"]).get_content() == "web: deployed\n"


async def test_without_a_server_no_letter_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "smtp_url", None)
    with pytest.raises(NotTaken, match="not configured") as caught:
        await deliver(message(), {"recipients": ["c@d.example"]})
    assert not caught.value.lasting, "the administrator may be about to"


@pytest.mark.parametrize(
    "recipients",
    [
        *(None, [], [""], ["c@d.example\r\nBcc: eve@example.com"], ["c,d@d.example"], ["v@x.example>(@d.example"], ["<c@d.example>"]),
        *(["c@d.example", "d@d.example;e@d.example"], ['"c"@d.example'], ["c@[127.0.0.1]"], ["c\\@d.example"]),
    ],
)
async def test_a_letter_goes_to_nobody_else_than_recipients(monkeypatch: pytest.MonkeyPatch, recipients: list[str] | None) -> None:
    monkeypatch.setitem(settings().__dict__, "smtp_url", smtp("smtp://127.0.0.1:1"))
    with pytest.raises(NotTaken, match="no recipients") as caught:
        await deliver(message(), {"recipients": recipients})
    assert caught.value.lasting
