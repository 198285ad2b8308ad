"""Commit statuses: what providers have not been told yet of their commits, told until they take it.

A deployment that is to be reported has `report_due`; what the provider was told last is `reported`. Both are columns of the deployment, so
that nothing can be lost between it and a queue: whoever leads looks for what differs.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import httpx2
import msgspec
import structlog

from models import Application, Deployment
from models.database import AWAY, database
from models.lifecycle import TERMINAL
from models.repositories import provider_in
from models.settings import settings
from workers.commit_requests import ENDS, REQUESTS, Report, State, state_of
from workers.outgoing import MOST_TRIES, Unreachable, pause_after, post
from workers.runtime import Runtime
from workers.source_access import Access

log = structlog.get_logger()

AT_ONCE, MOST = 8, 64
"""Reports that are under way at a time, and those of one look."""
WHOLE: Final = (40, 64)
"""Lengths of a commit's id that is not cut short."""
_DESCRIPTIONS: Final = {
    State.pending: "The deployment is under way",
    State.success: "Deployed",
    State.failure: "The deployment failed",
    State.error: "The deployment was cancelled",
}

_ENDS: Final = " ".join(f"when '{status.value}' then '{state.value}'" for status, state in ENDS.items())
_DUE: Final = f"""
select id from deployment where report_due <= now() and (length(commit_sha) in {WHOLE} or finished_at is not null)
and reported is distinct from case status {_ENDS} else '{State.pending.value}' end
order by report_due limit $1
"""  # noqa: S608 (constants of our own)


async def report(runtime: Runtime) -> None:
    """Tell the providers what they have not been told yet, a few of them at a time."""
    rows = await database().execute_query_dict(_DUE, [MOST])
    turns = asyncio.Semaphore(AT_ONCE)

    async def take(id: UUID) -> None:
        async with turns:
            await _dutifully(id)

    await asyncio.gather(*[take(row["id"]) for row in rows])


async def _dutifully(id: UUID) -> None:
    """Tell of one deployment; whatever is wrong with it keeps nobody else from being told of."""
    try:
        await _report(await Deployment.get(id=id))
    except Unreachable as error:
        await _later(id, error)
    except AWAY:
        raise
    except Exception as error:
        await _later(id, error)


async def _report(deployment: Deployment) -> None:
    id, state = deployment.id, state_of(deployment.status)
    application = await Application.get(id=deployment.application_id)
    source: dict[str, Any] = deployment.snapshot.get("git_source") or {}
    provider = provider_in(application.git_source) if application.git_source else None
    request = REQUESTS.get(provider) if provider else None
    token = Access.of(application, source["repo_url"]).token if source else None
    unheard = state is State.error and deployment.reported is None
    if request is None or token is None or unheard or len(deployment.commit_sha or "") not in WHOLE:
        await Deployment.filter(id=id).update(report_due=None)
        return
    link = f"{settings().public_url}/api/deployments/{id}" if settings().public_url else None
    told = Report(source["repo_url"], token, deployment.commit_sha or "", state, f"dokploy/{application.name}", _DESCRIPTIONS[state], link)
    asked = request(told)
    headers = {**asked.headers, "Content-Type": "application/json"}
    await post(asked.url, allowed=settings().git_allowed_hosts, headers=headers, content=msgspec.json.encode(asked.body))
    due = None if deployment.status in TERMINAL else datetime.now(UTC)
    await Deployment.filter(id=id).update(reported=state.value, report_tries=0, report_due=due)


async def _later(id: UUID, error: Exception) -> None:
    """Try again after a while that doubles; the end of a deployment so often, its beginning until it ends."""
    row = await Deployment.get_or_none(id=id).only("id", "report_tries", "status")
    if row is None:
        return
    tries = row.report_tries + 1
    log.warning("commit_status.not_taken", deployment=str(id), tries=tries, error=_said(error))
    over = tries >= MOST_TRIES and row.status in TERMINAL
    await Deployment.filter(id=id).update(report_tries=tries, report_due=None if over else datetime.now(UTC) + pause_after(tries))


def _said(error: Exception) -> str:
    return f"status {error.response.status_code}" if isinstance(error, httpx2.HTTPStatusError) else type(error).__name__
