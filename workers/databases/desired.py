"""What is wanted in Docker for a database: names, and its service."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Final

from models import Database
from models.settings import settings
from workers.convergence import REVISION_LABEL
from workers.databases import ENGINES
from workers.databases.contract import Engine, Plan
from workers.databases.credentials import credentials_of
from workers.desired import network_of
from workers.service_spec import EnvVar, HealthCheck, Mount, SecretFile, ServiceSpec

DATABASE_LABEL: Final = "dokploy.database"
PIDS: Final = 8192
START_SECONDS: Final = 120
"""For which a server may make its data, or recover them, before its health counts."""


def engine_of(database: Database) -> Engine:
    """The engine of a database."""
    return ENGINES[database.type]


def image_of(database: Database) -> str:
    """The image that a database runs: `DOKPLOY_DATABASE_IMAGES` may have it from elsewhere."""
    engine = engine_of(database)
    repository = settings().database_images.get(database.type.value, engine.image)
    return f"{repository}:{database.version}"


def secret_of(database: Database, file: str) -> str:
    """The name of the secret of Swarm behind a file."""
    return f"{database.service_name}.{database.generation}.{file}"


def labels_of(database: Database, installation: str) -> dict[str, str]:
    """The labels of everything that is made for a database."""
    return {DATABASE_LABEL: str(database.id), "dokploy.installation": installation}


def plan_of(database: Database) -> Plan:
    """What its server is to be."""
    return Plan(credentials_of(database), database.configuration, database.memory_limit)


def spec_of(database: Database, installation: str) -> ServiceSpec:
    """The service of a database, which says by a label which one it is."""
    engine, plan = engine_of(database), plan_of(database)
    spec = ServiceSpec(
        name=database.service_name,
        image=image_of(database),
        network=network_of(database.project_id),
        labels=labels_of(database, installation),
        env=tuple(EnvVar(key, value) for key, value in engine.environment(plan.credentials).items()),
        mounts=(Mount(database.volume, engine.volume(database.version)),),
        health=HealthCheck(engine.ready(plan.credentials), interval=engine.ready_seconds, timeout=5, retries=6, start_period=START_SECONDS),
        memory_mib=database.memory_limit,
        replicas=0 if database.stopped else 1,
        order="stop-first",
        stop_grace_seconds=engine.stop_seconds,
        alias=database.name.lower(),
        arguments=engine.server(plan),
        secrets=tuple(SecretFile(secret_of(database, file), file, engine.uid) for file in sorted(engine.files(plan.credentials))),
        shared_memory_mib=engine.shared_memory or None,
        pids=PIDS,
    )
    return replace(spec, labels={**spec.labels, REVISION_LABEL: _revision(spec, database.restart_wish)})


def _revision(spec: ServiceSpec, restart: int) -> str:
    """What changes whenever its container has to be another one, and only then."""
    told = json.dumps([asdict(replace(spec, replicas=1)), restart], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
