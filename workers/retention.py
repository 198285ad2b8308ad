"""Images: those of each application's last successes are kept to go back to, all others of ours are removed."""

import contextlib
from uuid import UUID

import structlog

from models.database import database
from models.lifecycle import IS_LIVING
from models.settings import settings
from workers import docker
from workers.desired import attempt_of
from workers.runtime import Runtime

log = structlog.get_logger()

OURS = "dokploy/*:*"

_KEPT = f"""
    select image from deployment where {IS_LIVING} and image is not null
    union select kept.image from application a join lateral (
        select image from deployment s where s.application_id = a.id and s.status = 'success' and image is not null
        order by finished_at desc, id desc limit $1) kept on true
"""  # noqa: S608 (constants of our own)
_KNOWN = f"select id, {IS_LIVING} as lives from deployment where id = any($1)"  # noqa: S608
_MARK = """
    update deployment d set image_gone = not d.image = any($2) from (
        select s.id from application a join lateral (
            select id, image, image_gone from deployment where application_id = a.id and status = 'success' and image is not null
            order by finished_at desc, id desc limit $1) s on true
        where s.image_gone <> not s.image = any($2)) changed
    where d.id = changed.id
"""
_REMOVED = """
    update deployment set image_gone = true where image = $2 and status = 'success'
    and application_id = (select application_id from deployment where id = $1)
"""


def deployment_of(name: str) -> UUID | None:
    """The deployment that an image was made for, as its name tells; None when it is not one of ours."""
    repository, _, tag = name.partition(":")
    attempt = attempt_of(tag) if repository.startswith("dokploy/") else None
    return attempt[0] if attempt else None


async def keep(runtime: Runtime) -> None:
    """Remove the images that nobody goes back to, and remember which of the others are gone. What still runs stays for the next time."""
    present = await runtime.engine.image_names(OURS)
    made = {name: id for name in present if (id := deployment_of(name))}
    known = {row["id"]: row["lives"] for row in await database().execute_query_dict(_KNOWN, [list(made.values())])}
    kept = {row["image"] for row in await database().execute_query_dict(_KEPT, [settings().keep_images])}
    for name, id in made.items():
        orphaned = id not in known and present[name].get("dokploy.installation") == runtime.installation
        if orphaned or (known.get(id) is False and name not in kept):
            await _remove(runtime, name, id)
    await database().execute_query(_MARK, [settings().keep_images, list(present)])
    await _remove_nameless(runtime)


async def _remove_nameless(runtime: Runtime) -> None:
    """Remove what lost its name, to another build of the same attempt or while it still ran."""
    found = {}
    for entry in await runtime.engine.images(f"dokploy.installation={runtime.installation}"):
        if not [name for name in entry.get("RepoTags") or [] if name != "<none>:<none>"]:
            with contextlib.suppress(KeyError, ValueError):  # labels are inherited and changed: it is not known whose it is
                found[entry["Id"]] = UUID(entry["Labels"]["dokploy.deployment"])
    rows = await database().execute_query_dict(_KNOWN, [list(found.values())]) if found else []
    living = {row["id"] for row in rows if row["lives"]}
    for image, deployment in found.items():
        if deployment not in living:
            with contextlib.suppress(docker.DockerFailed):  # a container runs it
                await docker.remove_image(runtime.docker, image, force=True)


async def _remove(runtime: Runtime, name: str, deployment: UUID) -> None:
    await database().execute_query(_REMOVED, [deployment, name])
    with contextlib.suppress(docker.DockerFailed):  # a container runs it
        await docker.remove_image(runtime.docker, name, force=True)
        log.info("retention.removed", image=name)
