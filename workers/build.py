"""The stage `building`: an image from the checkout."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from models import LogLevel, StageName
from workers import docker, git
from workers.build_progress import BuildProgress, count_steps
from workers.clone import checkout_of, obtain
from workers.desired import image_of
from workers.journal import CancelRequested, LeaseLost
from workers.outage import outlasting
from workers.run import Run, StageFailed, Stored, stage

DEADLINE = 3600.0
"""Seconds."""
LARGEST_DOCKERFILE = 1 << 20
"""Bytes of a Dockerfile that are read to count its steps."""
LOOKS, LOOK_PAUSE = 10, 0.5
"""How often the image of a build that was given up is looked for, and the seconds between: the engine may finish what it had begun."""
FIRST, SHARE = 10, 70
"""Where the build begins in the deployment's percentage, and how much of it is the build's."""


def _inside(run: Run, *parts: str) -> Path:
    try:
        return git.inside(checkout_of(run), "/".join(parts))
    except git.OutsideCheckout as error:
        raise StageFailed("INVALID_PATH", str(error)) from error


def _located(run: Run, source: dict[str, Any]) -> tuple[Path, Path]:
    """The build context and the Dockerfile, both inside the checkout and no symbolic links."""
    context = _inside(run, source["build_path"])
    dockerfile = _inside(run, source["build_path"], source["dockerfile"])
    if not context.is_dir():
        raise StageFailed("BUILD_PATH_NOT_FOUND", f"The repository has no directory {source['build_path']}.")
    if not dockerfile.is_file():
        raise StageFailed("DOCKERFILE_NOT_FOUND", f"The repository has no {source['dockerfile']} in {source['build_path']}.")
    return context.resolve(), dockerfile.resolve()


def _steps(dockerfile: Path) -> int:
    """About how many steps the build will have."""
    with dockerfile.open("rb") as file:
        return count_steps(file.read(LARGEST_DOCKERFILE).decode(errors="replace"))


async def _discard(run: Run, image: str) -> None:
    """Remove the image of a build that was given up: nobody will ever ask for it."""
    for _ in range(LOOKS):
        with contextlib.suppress(docker.DockerError):
            if await docker.remove_image(run.runtime.docker, image):
                return
        if run.runtime.stopping:
            return
        await asyncio.sleep(LOOK_PAUSE)


@stage(StageName.building, deadline=DEADLINE + 30)
async def build(run: Run) -> Stored:
    """Build the image; a checkout that is not on this host is fetched again at the recorded commit."""
    return await outlasting(run, _build)


async def _build(run: Run) -> Stored:
    if not await asyncio.to_thread(checkout_of(run).is_dir):
        run.journal.say("The checkout is not on this host: fetching it again")
        await obtain(run, run.deployment.commit_sha)
    context, dockerfile = await asyncio.to_thread(_located, run, run.config["git_source"])
    client, progress = run.runtime.docker, BuildProgress(await asyncio.to_thread(_steps, dockerfile))
    if client.builder == "legacy":
        run.journal.say("This Docker client has no BuildKit: building with the legacy builder", LogLevel.warning)

    def heard(stream: str, line: str) -> None:
        run.journal.say(line)
        run.journal.advance(FIRST + progress.feed(line) * SHARE // 100)

    image = image_of(run.config["service_name"], run.tag)
    try:
        image_id = await docker.build(
            client,
            context=context,
            dockerfile=dockerfile,
            tag=image,
            labels=run.labels,
            iidfile=(run.directory / "image-id").resolve(),
            deadline=DEADLINE,
            no_cache=run.deployment.force,
            on_line=heard,
        )
        await run.still_held()
    except (asyncio.CancelledError, CancelRequested, LeaseLost):
        await _discard(run, image)
        raise
    except docker.DockerError as error:
        raise StageFailed(error.code, f"The build failed: {error}", error.tail) from error
    run.journal.advance(FIRST + SHARE)
    return {"image": image, "image_id": image_id}
