"""Bringing an application's service back to what is recorded of it, when a deployment did not get to its end."""

from collections.abc import Awaitable, Callable

from models import Application
from workers import docker, surroundings
from workers.convergence import deployment_of
from workers.desired import labels_of, spec_of
from workers.references import resolved
from workers.runtime import Runtime
from workers.wishes import last_success


async def restore(runtime: Runtime, application: Application, still_held: Callable[[], Awaitable[None]]) -> bool:
    """Have the service run the last success, or none when there is none; does not wait until it does. Whether there is a service.

    `still_held` is asked right before the service is touched. Raises what that raises, `DockerError`, `EngineUnavailable` and
    `ForeignVolume`.
    """
    client, name = runtime.docker, application.service_name
    live = await last_success(application.id) if application.deleted_at is None else None
    current = await runtime.engine.service(name)
    if live is None:
        if current is not None:
            await still_held()
            await docker.remove_service(client, name)
        return False
    if deployment_of(current) == str(live.id):
        return True
    labels = labels_of(live, runtime.installation)
    config = await resolved(live.snapshot, strict=False)
    spec = spec_of(config, str(live.image), application.replicas, labels=labels, publishing=runtime.publishing)
    if current is None:
        await surroundings.ensure(runtime, application, spec)
        await still_held()
        await docker.create_service(client, spec)
    elif deployment_of({"Spec": current.get("PreviousSpec") or {}}) == str(live.id):
        await still_held()
        await docker.roll_back_service(client, name)
    else:
        await surroundings.ensure(runtime, application, spec)
        await still_held()
        await docker.update_service(client, spec, current)
    return True
