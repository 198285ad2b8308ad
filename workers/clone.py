"""The stage `cloning`: the repository at the wanted commit, in the work directory."""

import asyncio
import re
import shutil
from pathlib import Path

from models import StageName
from models.settings import settings
from workers import git
from workers.git_errors import GitError
from workers.run import Run, StageFailed, Stored, stage
from workers.source_access import access_of, opened

_PERCENTAGE = re.compile(r":\s+\d{1,2}% \(")
"""Git counts on one line, over and over; only the end of it is worth a line of the log."""
DEADLINE = 600.0
"""Seconds."""


def checkout_of(run: Run) -> Path:
    """Where the run's checkout is."""
    return run.directory / "source"


def clear(run: Run) -> None:
    """Remove the work directories of earlier attempts at this deployment, whose workers could not do it any more."""
    for left in run.runtime.work.iterdir():
        if left.name.startswith(f"{run.deployment.id}-") and left != run.directory:
            shutil.rmtree(left, ignore_errors=True)


async def obtain(run: Run, commit_sha: str | None) -> git.Commit:
    """Fetch the source into the run's work directory.

    Raises `StageFailed` with the git error's code.
    """
    source = run.config["git_source"]

    def heard(stream: str, line: str) -> None:
        if not _PERCENTAGE.search(line):
            run.journal.say(line.rstrip())

    await asyncio.to_thread(clear, run)
    await asyncio.to_thread(shutil.rmtree, run.directory, ignore_errors=True)
    run.directory.mkdir(mode=0o700, parents=True)
    url, branch = source["repo_url"], run.deployment.branch or source["branch"]
    try:
        with opened(await access_of(run), run.directory, url) as access:
            commit = await git.checkout(
                access.source(branch, commit_sha),
                checkout_of(run),
                allowed_hosts=settings().git_allowed_hosts,
                deadline=DEADLINE,
                on_line=heard,
            )
            await access.remember(run.deployment.application_id)
    except GitError as error:
        raise StageFailed(error.code, str(error), error.tail) from error
    return commit


@stage(StageName.cloning, deadline=DEADLINE + 30)
async def clone(run: Run) -> Stored:
    """Clone, and remember which commit it was."""
    run.journal.say(f"Cloning {run.config['git_source']['repo_url']}, branch {run.deployment.branch}")
    commit = await obtain(run, run.deployment.commit_sha)
    run.journal.say(f"Checked out {commit.sha[:12]}: {commit.message.partition(chr(10))[0]}")
    run.journal.advance(10)
    return {"commit_sha": commit.sha, "commit_message": commit.message, "author": commit.author}
