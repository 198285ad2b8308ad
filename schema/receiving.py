"""Webhooks that come in: whose they are, what they mean to each application, and what becomes of them (DECISIONS 24)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import time
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from tortoise.exceptions import IntegrityError

import models
import workers
from models import GitProvider, RateTier, WebhookOutcome, WebhookReason
from models.database import database, fetch, together
from models.secrets import UnreadableSecret, decrypt
from schema.errors import ServiceUnavailable
from schema.globs import touched
from schema.pushes import Change, Notice

log = structlog.get_logger()

NAMELESS: Final = "sha256:"
"""How a delivery that has no name begins, called after its body."""
AGAIN: Final = "~"
"""What in its name tells a delivery that somebody had looked at once more."""
NAMELESS_FOR: Final = timedelta(hours=24)
"""How long the same body without a name is the same delivery."""
MOST_WAITING: Final = 16
"""Webhooks that wait for being held against all secrets, because none of their repository's fits; more are sent away."""
MOMENT: Final = 256 * 1024
"""Bytes that are signed within a moment."""
MOST_PATHS: Final = 300
"""Changed files of a push that are kept for whoever delivers it again; with more it is not known what changed."""
LONGEST_TEXT: Final = 10_000
"""Characters of a message that are kept."""
_SKIP: Final = ("[skip ci]", "[ci skip]", "[skip deploy]", "[deploy skip]")

_SECRETS = """
select a.id, a.project_id, a.repository, a.git_source ->> 'branch', a.watch_paths, a.webhook_secret, u.tier
from application a join project p on p.id = a.project_id join account u on u.id = p.owner_id
where a.webhook_secret is not null and a.deleted_at is null
"""
_OF_REPOSITORIES: Final = _SECRETS + " and a.repository = any($1::text[]) order by a.id"
_OF_ALL: Final = _SECRETS + " order by a.id"


@dataclass(frozen=True, slots=True)
class Target:
    """An application that webhooks may be meant for."""

    id: UUID
    project_id: UUID
    repository: str | None
    branch: str | None
    watch_paths: Sequence[str]
    secret: bytes = field(default=b"", repr=False)
    tier: RateTier = RateTier.authenticated
    """That of its project's owner."""

    def meaning(self, notice: Notice) -> tuple[Change | None, WebhookReason | None]:
        """The change that it is to be deployed for, or why there is none."""
        if notice.reason is not None:
            return None, notice.reason
        mine = [each for each in notice.changes if each.branch == self.branch]
        if not mine:
            others = [each.reason for each in notice.changes if each.branch is None and each.reason is not None]
            return None, others[0] if others else WebhookReason.other_branch
        change = mine[-1]
        if change.reason is None and any(words in change.message.lower() for words in _SKIP):
            return change, WebhookReason.skip_requested
        if change.reason is None and self.watch_paths and change.paths is not None and not touched(self.watch_paths, change.paths):
            return change, WebhookReason.paths_unchanged
        return change, change.reason


@dataclass(frozen=True, slots=True)
class Delivery:
    """One sending of a webhook that was verified."""

    provider: GitProvider
    name: str
    event: str
    notice: Notice


@lru_cache(4096)
def _secret(stored: str) -> bytes:
    """A secret out of its ciphertext, which takes longer than what it is needed for."""
    found: str = decrypt(stored)["secret"]
    return found.encode()


def _targets(rows: Iterable[Sequence[Any]]) -> list[Target]:
    """The applications in some rows; one whose secret cannot be read is nobody's."""
    found = []
    for id, project, repository, branch, paths, secret, tier in rows:
        try:
            known = _secret(secret)
        except (UnreadableSecret, ValueError, LookupError, TypeError, AttributeError) as error:
            log.error("webhooks.unreadable_secret", application=str(id), error=repr(error))
            continue
        watched = msgspec.json.decode(paths) if isinstance(paths, str) else paths
        found.append(Target(id, project, repository, branch, watched or (), known, RateTier(tier)))
    return found


def of(application: models.Application) -> Target:
    """An application as what a delivery is meant for."""
    branch = (application.git_source or {}).get("branch")
    return Target(application.id, application.project_id, application.repository, branch, application.watch_paths)


Verify = Callable[[bytes], bool]
"""Whether a request was sent by somebody who knows a secret."""


async def known(verify: Verify, repositories: Collection[str], size: int) -> list[Target]:
    """The applications from some repositories whose own secret fits a body of so many bytes. Raises `ServiceUnavailable`."""
    targets = _targets(await fetch(_OF_REPOSITORIES, list(repositories)))
    if size * len(targets) <= MOMENT:
        return _fitting(targets, verify)
    async with _in_turn():
        return await asyncio.to_thread(_fitting, targets, verify)


async def known_anywhere(verify: Verify, size: int) -> list[Target]:
    """Those of all applications whose own secret fits. Raises `ServiceUnavailable`."""
    async with _in_turn():
        targets = _targets(await fetch(_OF_ALL))
        return await asyncio.to_thread(_fitting, targets, verify) if size * len(targets) > MOMENT else _fitting(targets, verify)


def _fitting(targets: list[Target], verify: Verify) -> list[Target]:
    return [each for each in targets if verify(each.secret)]


_one_at_a_time = asyncio.Semaphore(1)
_waiting: set[object] = set()


@asynccontextmanager
async def _in_turn() -> AsyncIterator[None]:
    """Wait until nobody else does what takes more than a moment. Raises `ServiceUnavailable` when too many wait."""
    if len(_waiting) >= MOST_WAITING:
        raise ServiceUnavailable("Too many webhooks are waiting to be verified.")
    me = object()
    _waiting.add(me)
    try:
        async with _one_at_a_time:
            yield
    finally:
        _waiting.discard(me)


async def received(target: Target, delivery: Delivery, allowed: Callable[[], Awaitable[None]] | None = None) -> models.WebhookDelivery:
    """What a delivery is to an application; sent again it is what it was. A new one may have to be `allowed` first, which may raise.

    Raises `workers.Busy`.
    """
    if (before := await _before(target, delivery)) is not None:
        return before
    if allowed is not None:
        await allowed()
    heavy = len(target.watch_paths) > 0 and any(each.paths for each in delivery.notice.changes)
    meaning = await asyncio.to_thread(target.meaning, delivery.notice) if heavy else target.meaning(delivery.notice)
    try:
        async with together():
            return await _done(target, delivery, *meaning)
    except IntegrityError:
        before = await _before(target, delivery)
        if before is None:
            raise
        return before


async def _done(target: Target, delivery: Delivery, change: Change | None, reason: WebhookReason | None) -> models.WebhookDelivery:
    name = delivery.name
    if name.startswith(NAMELESS):
        name = f"{name}@{int(time())}"
        await database().execute_query("select from application where id = $1 for update", [target.id])
        if (before := await _before(target, delivery)) is not None:
            return before
    deployment = None
    if reason is None and change is not None:
        called = f"{delivery.provider.value}:{name}"
        try:
            deployment = await workers.start_pushed(target.id, called, branch=change.branch, commit_sha=change.commit)
        except (workers.Contradiction, workers.Impossible):
            reason = WebhookReason.no_application
    row = models.WebhookDelivery(
        application_id=target.id,
        project_id=target.project_id,
        provider=delivery.provider,
        delivery=name,
        event=delivery.event,
        outcome=WebhookOutcome.queued if deployment else WebhookOutcome.ignored,
        reason=reason,
        deployment_id=deployment.id if deployment else None,
        push=_kept(delivery.notice, change),
    )
    if reason is not WebhookReason.no_application or await models.Application.exists(id=target.id):
        await row.save()
    return row


def _kept(notice: Notice, change: Change | None) -> list[dict[str, Any]] | None:
    """What of a push is needed to look at it once more, the application's own change last; None of what is no push."""
    others = [each for each in notice.changes if each is not change]
    return [msgspec.to_builtins(_storable(each)) for each in [*others, *([change] if change else [])]] or None


def _storable(change: Change) -> Change:
    """A change as the database can hold it, and should."""
    paths = tuple(_text(each) for each in change.paths) if change.paths and len(change.paths) <= MOST_PATHS else None
    return replace(change, branch=_text(change.branch) if change.branch else None, message=_text(change.message), paths=paths)


def _text(given: str) -> str:
    return given[:LONGEST_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")


def once_more(push: list[dict[str, Any]], repository: str | None) -> Notice:
    """A push as it was kept."""
    return Notice(frozenset({repository} if repository else ()), msgspec.convert(tuple(push), tuple[Change, ...]))


async def _before(target: Target, delivery: Delivery) -> models.WebhookDelivery | None:
    """What a delivery was when it came first."""
    rows = models.WebhookDelivery.filter(application_id=target.id, provider=delivery.provider)
    if delivery.name.startswith(NAMELESS):
        since = datetime.now(UTC) - NAMELESS_FOR
        same = rows.filter(delivery__startswith=f"{delivery.name}@", created_at__gt=since)
        return await same.exclude(delivery__contains=AGAIN).order_by("id").first()
    return await rows.filter(delivery=delivery.name).first()
