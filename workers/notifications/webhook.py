"""A webhook as https://www.standardwebhooks.com describes it: signed, so that whoever has the secret knows where it comes from."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from models import ChannelType
from workers.notifications.contract import Carrier, Message, NotTaken
from workers.notifications.posting import post_json

PREFIX: Final = "whsec_"


def body_of(message: Message) -> bytes:
    """The document: what has happened, when, and to what."""
    return msgspec.json.encode(
        {"type": message.event.value.replace("_", ".", 1), "timestamp": message.at.astimezone(UTC), "data": dict(message.data)}
    )


def headers_of(message: Message, body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """The headers that prove a body at a time, which is when it is sent: receivers refuse what is older than some minutes.

    Raises ValueError for a secret that is none.
    """
    key = b64decode(secret.removeprefix(PREFIX), validate=True)
    if not key or not secret.startswith(PREFIX):
        raise ValueError("A secret is whsec_ and base64.")
    sent = str(int(now.timestamp()))
    proof = hmac.digest(key, b".".join((str(message.id).encode(), sent.encode(), body)), "sha256")
    return {"webhook-id": str(message.id), "webhook-timestamp": sent, "webhook-signature": f"v1,{b64encode(proof).decode()}"}


async def deliver(message: Message, target: Mapping[str, Any]) -> None:
    """Post a message, signed with the secret of the target."""
    body = body_of(message)
    try:
        headers = headers_of(message, body, str(target.get("secret")), datetime.now(UTC))
    except ValueError:
        raise NotTaken("The channel has no secret to sign with.", lasting=True) from None
    await post_json(target, body, headers)


WEBHOOK: Final = Carrier(ChannelType.webhook, deliver)
