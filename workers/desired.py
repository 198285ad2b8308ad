"""What is wanted in Docker for an application: names, and the service of a frozen configuration."""

import re
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from models import Deployment
from models.ports import HTTP
from workers.publishing import Publishing
from workers.service_spec import STOP_GRACE_SECONDS, EnvVar, HealthCheck, Mount, Port, ServiceSpec

_TAG = re.compile(r"(?P<deployment>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<epoch>\d{1,9})")


def network_of(project_id: UUID | str) -> str:
    """The name of a project's overlay network."""
    return f"dokploy-{UUID(str(project_id)).hex[-20:]}"


def volume_of(service_name: str, source: str) -> str:
    """The name of an application's volume."""
    return f"{service_name}-{source}"


def spec_of(config: Mapping[str, Any], image: str, replicas: int, *, labels: Mapping[str, str], publishing: Publishing) -> ServiceSpec:
    """The service that a deployment's frozen configuration describes, with the ports that Docker itself publishes."""
    mesh = publishing is Publishing.mesh
    mode: Literal["ingress", "host"] = "ingress" if mesh else "host"
    ports = tuple(
        Port(each["container_port"], each["published_port"], "udp" if each["protocol"] == "udp" else "tcp", mode)
        for each in config["ports"]
        if publishing is not Publishing.edge or each["protocol"] != HTTP
    )
    mounts = tuple(
        Mount(volume_of(config["service_name"], each["source"]), each["target"], each["read_only"]) for each in config["volumes"]
    )
    single = (ports and not mesh) or any(not mount.read_only for mount in mounts)
    limits = config["resources"] or {}
    return ServiceSpec(
        name=config["service_name"],
        image=image,
        network=network_of(config["project_id"]),
        labels=labels,
        env=tuple(EnvVar(each["key"], each["value"], each["is_secret"]) for each in config["env_vars"]),
        ports=ports,
        mounts=mounts,
        health=HealthCheck(**config["health_check"]) if config["health_check"] else None,
        memory_mib=limits.get("memory_limit"),
        cpus=limits.get("cpu_limit"),
        replicas=replicas,
        stop_grace_seconds=config.get("stop_grace_period", STOP_GRACE_SECONDS),
        order="stop-first" if single else "start-first",
        endpoint_mode="vip" if mesh else "dnsrr",
    )


def secrets_of(config: Mapping[str, Any]) -> list[str]:
    """The values of a frozen configuration that may never reach a log."""
    return [each["value"] for each in config.get("env_vars") or [] if each["is_secret"]]


def labels_of(deployment: Deployment, installation: str) -> dict[str, str]:
    """The labels of everything that one attempt at a deployment makes."""
    return {
        "dokploy.application": str(deployment.application_id),
        "dokploy.deployment": str(deployment.id),
        "dokploy.epoch": str(deployment.epoch),
        "dokploy.installation": installation,
    }


def tag_of(deployment: Deployment) -> str:
    """`<deployment>-<epoch>`: what one attempt at a deployment names its side effects after."""
    return f"{deployment.id}-{deployment.epoch}"


def attempt_of(tag: str) -> tuple[UUID, int] | None:
    """The deployment and the epoch that a tag names; None when it is none of ours."""
    match = _TAG.fullmatch(tag)
    return (UUID(match["deployment"]), int(match["epoch"])) if match else None


def image_of(service_name: str, tag: str) -> str:
    """The name of an image of ours; the tag is `<deployment>-<epoch>`."""
    return f"dokploy/{service_name}:{tag}"
