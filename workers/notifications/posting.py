"""What is told by HTTP, and what the answers mean."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2

from models.settings import settings
from workers.notifications.contract import NotTaken
from workers.outgoing import Unreachable, post

_PASSING: Final = (408, 425, 429)
"""Statuses below 500 that say nothing about the next time."""


async def post_json(target: Mapping[str, Any], content: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Post a JSON document to the URL of a target. Raises `NotTaken`."""
    if not isinstance(url := target.get("url"), str):
        raise NotTaken("The channel has no URL.", lasting=True)
    try:
        said = {"Content-Type": "application/json", **(headers or {})}
        await post(url, allowed=settings().notification_allowed_hosts, headers=said, content=content)
    except httpx2.HTTPStatusError as error:
        status = error.response.status_code
        lasting = status < 500 and status not in _PASSING
        raise NotTaken(f"The receiver answered with the status {status}.", lasting=lasting, after=_after(error.response)) from None
    except Unreachable as error:
        raise NotTaken(str(error), lasting=error.lasting) from None
    except (TimeoutError, httpx2.TimeoutException):
        raise NotTaken("The receiver did not answer in time.") from None
    except httpx2.HTTPError as error:
        raise NotTaken(f"The receiver cannot be reached ({type(error).__name__}).") from None


def _after(answer: httpx2.Response) -> timedelta | None:
    """How long an answer asks to be left alone (`Retry-After`: seconds, or a time)."""
    said = answer.headers.get("Retry-After", "").strip()
    try:
        if said.isascii() and said.isdigit():
            return timedelta(seconds=int(said))
        at = parsedate_to_datetime(said)
        return max((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC), timedelta(0))
    except (ValueError, OverflowError):
        return None
