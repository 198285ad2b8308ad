"""Slack's incoming webhooks, whose messages Mattermost and Discord take, too.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from models import ChannelType
from workers.notifications.contract import Carrier, Message
from workers.notifications.posting import post_json
from workers.notifications.wording import Tone

_COLOURS: Final = {Tone.good: "#2eb67d", Tone.warning: "#ecb22e", Tone.bad: "#e01e5a", Tone.neutral: "#868686"}
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_EVERYBODY: Final = re.compile(r"@(?=(?:all|channel|everyone|here)\b)", re.IGNORECASE)
"""What makes others than Slack call everybody, whoever has written it: the author of a commit, perhaps."""


def body_of(message: Message) -> bytes:
    """The document: the title, and beside a bar in the colour of the news the rest."""
    shown = [{"color": _COLOURS[message.tone], "text": _escaped(message.text)}] if message.text else []
    return msgspec.json.encode({"text": _escaped(message.title), "attachments": shown})


def _escaped(text: str) -> str:
    return _EVERYBODY.sub("@\u200b", text.translate(_ESCAPED))


async def deliver(message: Message, target: Mapping[str, Any]) -> None:
    """Post a message; the URL is the secret."""
    await post_json(target, body_of(message))


SLACK: Final = Carrier(ChannelType.slack, deliver)
