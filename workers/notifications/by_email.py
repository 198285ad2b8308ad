"""E-mail, by the SMTP server of the administrator's settings: one letter to all recipients of a channel."""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

from models import ChannelType
from models.settings import settings
from models.smtp import Smtp, is_address
from workers.notifications.contract import Carrier, Message, NotTaken

SECONDS: Final = 10.0
"""How long the server is waited for with each step."""
AT_MOST: Final = 25.0
"""Seconds that one letter is given; a thread that still waits then ends by itself."""
_threads: Final = ThreadPoolExecutor(16, "smtp")
"""Of its own: a server that does not answer would else hold those by which the engine and the queue are asked."""


def letter(message: Message, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """A message as e-mail. Its id is that of the notification, by which mail servers know what they have already."""
    made = EmailMessage()
    made["From"] = sender
    made["To"] = ", ".join(recipients)
    made["Subject"] = message.title
    made["Date"] = format_datetime(message.at.astimezone(UTC))
    made["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(message.text or message.title, cte="quoted-printable")
    return made


async def deliver(message: Message, target: Mapping[str, Any]) -> str | None:
    """Hand a message to the server, in a thread."""
    server = settings().smtp_url
    if server is None:
        raise NotTaken("E-mail is not configured.")
    recipients = [str(each) for each in target.get("recipients") or ()]
    if not recipients or not all(map(is_address, recipients)):
        raise NotTaken("The channel has no recipients that a letter can be written to.", lasting=True)
    made = letter(message, settings().smtp_from, recipients)
    try:
        async with asyncio.timeout(AT_MOST):
            return await asyncio.get_running_loop().run_in_executor(_threads, _hand_over, server, made, recipients)
    except OSError as error:  # as all are that smtplib raises
        raise _said(error) from None


def _said(error: OSError) -> NotTaken:
    """What went wrong, in a sentence that holds nothing of what the server or the settings say."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return NotTaken(f"The SMTP server refused the login ({error.smtp_code}).")
        case smtplib.SMTPRecipientsRefused():
            codes = sorted(code for code, _ in error.recipients.values())
            return NotTaken(f"The SMTP server refused all recipients ({codes[0]}).", lasting=codes[0] >= 500)
        case smtplib.SMTPResponseException():
            return NotTaken(f"The SMTP server answered with {error.smtp_code}.", lasting=error.smtp_code >= 500)
        case smtplib.SMTPServerDisconnected() | TimeoutError():
            return NotTaken("The SMTP server did not answer in time, or ended the connection.")
        case smtplib.SMTPException():
            return NotTaken(f"The SMTP server does not do what is needed ({type(error).__name__}).")
        case ssl.SSLError():
            return NotTaken("TLS with the SMTP server failed.")
        case _:
            return NotTaken("The SMTP server cannot be reached.")


def _hand_over(server: Smtp, made: EmailMessage, recipients: Sequence[str]) -> str | None:
    """Send a letter and say how many were refused. Raises what smtplib raises, `OSError` and `NotTaken`."""
    client = _connected(server)
    try:
        password = server.password.get_secret_value()
        if not server.tls:
            _begin_tls(client, needed=bool(password))
        if password:
            client.login(server.username, password)
        refused = client.send_message(made, to_addrs=recipients)
        with contextlib.suppress(smtplib.SMTPException, OSError):  # it has been taken, whatever comes after
            client.quit()
    finally:
        client.close()
    return f"The SMTP server refused {len(refused)} of {len(recipients)} recipients." if refused else None


def _connected(server: Smtp) -> smtplib.SMTP:
    if server.tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=SECONDS, context=ssl.create_default_context())
    return smtplib.SMTP(server.host, server.port, timeout=SECONDS)


def _begin_tls(client: smtplib.SMTP, *, needed: bool) -> None:
    """Speak TLS from here on where the server offers it; where it is needed, with that server and no other."""
    client.ehlo_or_helo_if_needed()
    if client.has_extn("starttls"):
        context = ssl.create_default_context()
        if not needed:  # nothing is secret, and without an offer there would be no TLS at all
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client.starttls(context=context)
    elif needed:
        raise NotTaken("The SMTP server offers no TLS, without which no password is sent.")


EMAIL: Final = Carrier(ChannelType.email, deliver)
