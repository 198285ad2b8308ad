"""What holds whatever has happened: the checker of the promise that stands below the table of faults. It speaks in sentences."""

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from tests.faults.installation import Installation

KEEP_IMAGES = int(os.environ.get("DOKPLOY_KEEP_IMAGES", "5"))
"""Successes of an application whose images stay."""
_ENDED = "status in ('success', 'failed', 'cancelled')"
_DIRECTORY = re.compile(r"(?P<deployment>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<epoch>\d+)")

ROWS: Mapping[str, str] = {
    "{id} has not ended: it is {status}": f"select id, status from deployment where not {_ENDED}",
    "{id} has ended and still has a worker, or no time of its end": f"""
        select id from deployment where {_ENDED} and (worker is not null or lease_until is not null or finished_at is null)""",
    "{id} is {status} and has {count} terminal events": f"""
        select d.id, d.status, (select count(*) from event e where e.deployment_id = d.id and e.kind = 'status' and e.{_ENDED}) as count
        from deployment d where d.{_ENDED}
        and (select count(*) from event e where e.deployment_id = d.id and e.kind = 'status' and e.{_ENDED}) <> 1""",
    "{id} is {status}, and its last event is a {kind} of {said}": f"""
        select d.id, d.status, e.kind, e.status as said from deployment d
        join lateral (select kind, status from event where deployment_id = d.id order by seq desc limit 1) e on true
        where d.{_ENDED} and (e.kind <> 'status' or e.status <> d.status)""",
    "{id} has {count} events, numbered {first} to {last}, and remembers {last_seq}": """
        select d.id, d.last_seq, count(e.id), min(e.seq) as first, max(e.seq) as last
        from deployment d left join event e on e.deployment_id = d.id group by d.id
        having count(e.id) <> d.last_seq or min(e.seq) <> 1 or max(e.seq) <> d.last_seq or count(e.id) = 0""",
    "{application_id} has {count} active deployments": f"""
        select application_id, count(*) from deployment where not ({_ENDED} or status = 'pending')
        group by application_id having count(*) > 1""",
    "{id} has ended, and its stage {name} is {status}": f"""
        select d.id, s.name, s.status from deployment d join stage s on s.deployment_id = d.id
        where d.{_ENDED} and (s.status in ('pending', 'running') or (s.status in ('completed', 'failed') and s.finished_at is null))""",
    "{id} is a success, and its stage {name} is {status}": """
        select d.id, s.name, s.status from deployment d join stage s on s.deployment_id = d.id
        where d.status = 'success' and s.status <> 'completed'""",
    "{id} is an application that is {status}, and nobody deploys it": """
        select id, status from application where deleted_at is null and status = 'deploying'""",
    "{id} is an application whose wish {wished} was not granted": """
        select id, wished from application where wished > granted""",
}
"""A sentence for each kind of row that must not be there, and the statement that finds them."""

_LIVE = """
    select a.id, a.service_name, a.replicas, s.id as deployment, s.image from application a left join lateral (
        select id, image from deployment where application_id = a.id and status = 'success' order by finished_at desc, id desc limit 1
    ) s on true where a.deleted_at is null
"""
_KEPT = """
    select a.id as application, s.image from application a join lateral (
        select image from deployment where application_id = a.id and status = 'success' order by finished_at desc, id desc limit $1
    ) s on true where a.deleted_at is null
"""


async def violations(installation: Installation, within: float = 20) -> list[str]:
    """What is wrong, now that everything is said to be at rest; what is taken away in the background gets so many seconds for it."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within
    while found := [*await _of_rows(installation), *await _of_docker(installation), *await _of_directories(installation)]:
        if loop.time() > ends:
            return found
        await asyncio.sleep(0.25)
    return []


async def _of_rows(installation: Installation) -> list[str]:
    return [sentence.format(**row) for sentence, sql in ROWS.items() for row in await installation.servers.fetch(sql)]


async def _of_docker(installation: Installation) -> list[str]:
    live = {str(row["id"]): dict(row) for row in await installation.servers.fetch(_LIVE)}
    projects = {str(row["project_id"]) for row in await installation.servers.fetch("select distinct project_id from application")}
    kept = {row["image"] for row in await installation.servers.fetch(_KEPT, KEEP_IMAGES)}
    return [
        *_of_services(installation, live),
        *_of_containers(installation, live),
        *_of_images(installation, live, kept),
        *_of_networks(installation, projects),
    ]


def _of_services(installation: Installation, live: Mapping[str, Mapping[str, object]]) -> Iterable[str]:
    services = installation.stand_in.swarm.services
    wanted = {row["service_name"]: row for row in live.values() if row["deployment"] is not None}
    for name in wanted.keys() - services.keys():
        yield f"the service {name} is not there, and {wanted[name]['deployment']} was a success"
    for name, service in services.items():
        labels, image = service.spec["Labels"], service.spec["TaskTemplate"]["ContainerSpec"]["Image"]
        if "dokploy.application" not in labels:
            continue
        if name not in wanted:
            yield f"the service {name} is there, and nothing of its application has succeeded or it is gone"
            continue
        row = wanted[name]
        if (labels["dokploy.deployment"], image) != (str(row["deployment"]), row["image"]):
            yield f"the service {name} is of {labels['dokploy.deployment']} with {image}, and the last success was {row['deployment']}"
        running = [task for task in service.wanted() if task.state == "running"]
        if service.replicas != row["replicas"] or len(running) != row["replicas"] or len(service.wanted()) != row["replicas"]:
            yield f"the service {name} has {len(running)} of {len(service.wanted())} tasks running, and {row['replicas']} are wanted"


def _of_containers(installation: Installation, live: Mapping[str, Mapping[str, object]]) -> Iterable[str]:
    for container in installation.stand_in.stock.containers.values():
        application = container.labels.get("dokploy.application")
        if application is None:
            continue
        if application not in live:
            yield f"the container {container.id[:12]} is of the application {application}, which is gone"
        elif container.state == "running" and container.labels["dokploy.deployment"] != str(live[application]["deployment"]):
            yield f"the container {container.id[:12]} runs {container.labels['dokploy.deployment']}, which is not the last success"


def _of_images(installation: Installation, live: Mapping[str, Mapping[str, object]], kept: set[str]) -> Iterable[str]:
    for image in installation.stand_in.stock.images.values():
        application = image.labels.get("dokploy.application")
        names = sorted(image.tags) or [image.id]
        if application is not None and application not in live:
            yield f"the image {names[0]} is of the application {application}, which is gone"
        elif application is not None and not kept.intersection(names):
            yield f"the image {names[0]} is of none of the last {KEEP_IMAGES} successes"


def _of_networks(installation: Installation, projects: set[str]) -> Iterable[str]:
    for network in installation.stand_in.stock.networks.values():
        project = network.labels.get("dokploy.project")
        if project is not None and str(UUID(project)) not in projects:
            yield f"the network {network.name} is of the project {project}, which has no application"


async def _of_directories(installation: Installation) -> list[str]:
    found = [path.name for path in installation.work.iterdir()] if installation.work.exists() else []
    rows = await installation.servers.fetch(f"select id, epoch from deployment where not {_ENDED}")
    working = {(str(row["id"]), str(row["epoch"])) for row in rows}
    attempts = {name: match.groups() for name in found if (match := _DIRECTORY.fullmatch(name))}
    return [f"the work directory {name} is nobody's" for name in found if attempts.get(name) not in working]
