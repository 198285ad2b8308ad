"""Notifications on their way out: what is queued is told to the channels of its project, until they take it.

A type of channels is one module with one frozen `Carrier` (`contract.py`), and its place in `CARRIERS`:

- `deliver(message, target)` tells one channel, once. The target is what the channel has been given; it was checked when it was stored,
  and may be of an older version. It ends within half a minute, whatever the receiver does.
- It returns None, or a sentence about those whom it did not reach although others have it: that is not tried again. What has not arrived
  raises `NotTaken` with a sentence that is shown in the API: without a secret and without a path. `lasting` says that the next time it
  would be the same; such a one is tried a few times only.
- The same message may be delivered again when it has arrived: a worker may be lost before it could write that down. What is sent is
  then the same, and has the message's id where the receiver looks for such a thing.
- It reaches servers that tenants have named by `workers.outgoing.post` and in no other way.

When something is tried, in which order and for how long is `outbox.py`, once for all of them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from models import ChannelType
from workers.notifications.by_email import EMAIL
from workers.notifications.contract import Carrier
from workers.notifications.slack import SLACK
from workers.notifications.webhook import WEBHOOK

CARRIERS: Final[Mapping[ChannelType, Carrier]] = MappingProxyType({each.type: each for each in (WEBHOOK, SLACK, EMAIL)})
