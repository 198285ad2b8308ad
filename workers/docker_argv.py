"""The command lines of the docker client, built and checked; nothing here runs anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from workers.service_spec import (
    CONTAINER,
    ENV_KEY,
    IMAGE,
    NAME,
    SECRET,
    VOLUME,
    EnvVar,
    HealthCheck,
    Mount,
    Port,
    SecretFile,
    ServiceSpec,
    UnsafeValue,
    require,
    require_labels,
    validate,
)

Builder = Literal["buildx", "buildkit", "legacy"]
Service = Mapping[str, Any]
"""A service as the Engine API describes it."""

NETWORK_LABEL: Final = "dokploy.network"
"""Remembers the name of the network, of which a service only tells the id."""
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 (a path in a container)
DROPPED_CAPABILITIES: Final = ("AUDIT_WRITE", "MKNOD", "NET_RAW")


@dataclass(frozen=True, slots=True)
class Client:
    """The docker command line of this worker and how it builds images."""

    path: str
    version: str
    builder: Builder


def build(
    client: Client,
    *,
    context: Path,
    dockerfile: Path,
    tag: str,
    labels: Mapping[str, str],
    iidfile: Path,
    no_cache: bool = False,
    progress: str = "plain",
) -> list[str]:
    """Build an image. Paths are absolute; the builder is chosen by `build_environment`. Raises UnsafeValue."""
    for path in (context, dockerfile, iidfile):
        if not path.is_absolute():
            raise UnsafeValue("A path of a build must be absolute.")
    argv = [client.path, "buildx", "build", "--load"] if client.builder == "buildx" else [client.path, "build"]
    argv += ["--rm", "--force-rm"] if client.builder == "legacy" else ["--progress", progress]
    argv += ["--pull=false", "--file", str(dockerfile), "--tag", require(IMAGE, tag, "image tag"), "--iidfile", str(iidfile)]
    argv += _pairs("--label", require_labels(labels))
    if no_cache:
        argv.append("--no-cache")
    return [*argv, "--", str(context)]


def build_environment(client: Client) -> dict[str, str]:
    """What chooses the builder."""
    return {"DOCKER_BUILDKIT": "0" if client.builder == "legacy" else "1"}


def service_create(client: Client, spec: ServiceSpec) -> list[str]:
    """Create a service. Secret values are not in it: run it with `secret_environment(spec.env)`. Raises UnsafeValue."""
    validate(spec)
    argv = [client.path, "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", spec.name]
    argv += ["--network", _network(spec), *_settings(spec)]
    for flag in ("--label", "--container-label"):
        argv += _pairs(flag, _labels(spec))
    argv += _env("--env", spec.env)
    for port in spec.ports:
        argv += ["--publish", _port(port)]
    for mount in spec.mounts:
        argv += ["--mount", _mount(mount)]
    if spec.shared_memory_mib:
        argv += ["--mount", f"type=tmpfs,destination={SHARED_MEMORY},tmpfs-size={spec.shared_memory_mib}m"]
    argv += _each("--secret", [_secret(secret) for secret in spec.secrets])
    if spec.health:
        argv += _health(spec.health)
    argv += ["--limit-memory", f"{spec.memory_mib}m"] if spec.memory_mib else []
    argv += ["--limit-cpu", f"{spec.cpus:g}"] if spec.cpus else []
    return [*argv, "--", spec.image, *spec.arguments]


def service_update(client: Client, spec: ServiceSpec, current: Service) -> list[str]:
    """Turn the service `current` into `spec`: what differs is added or removed. Raises UnsafeValue."""
    validate(spec)
    task = current["Spec"]["TaskTemplate"]
    container = task["ContainerSpec"]
    argv = [client.path, "service", "update", "--detach", "--quiet", "--no-resolve-image", "--image", spec.image, *_settings(spec)]
    argv += _changed("label", _labels(spec), current["Spec"].get("Labels") or {})
    argv += _changed("container-label", _labels(spec), container.get("Labels") or {})
    argv += _env("--env-add", changed_env(spec, current))
    argv += _each("--env-rm", sorted(_current_env(container).keys() - {variable.key for variable in spec.env}))
    argv += _ports_changed(spec.ports, current["Spec"].get("EndpointSpec") or {})
    argv += _mounts_changed(spec.mounts, container.get("Mounts") or [])
    argv += _secrets_changed(spec.secrets, container.get("Secrets") or [])
    argv += _network_changed(spec, (current["Spec"].get("Labels") or {}).get(NETWORK_LABEL))
    if spec.arguments != tuple(container.get("Args") or ()):
        argv += ["--args", " ".join(spec.arguments)]
    if spec.health:
        argv += _health(spec.health)
    elif (container.get("Healthcheck") or {}).get("Test"):
        argv += ["--health-cmd", ""]  # back to the image's own; --no-healthcheck would switch that off too
    argv += ["--limit-memory", f"{spec.memory_mib}m" if spec.memory_mib else "0", "--limit-cpu", f"{spec.cpus or 0:g}"]
    return [*argv, "--", spec.name]


def changed_env(spec: ServiceSpec, current: Service) -> tuple[EnvVar, ...]:
    """The variables that `service_update` sets: an update is to be run with `secret_environment` of these."""
    present = _current_env(current["Spec"]["TaskTemplate"]["ContainerSpec"])
    return tuple(variable for variable in spec.env if present.get(variable.key) != variable.value)


def secret_environment(env: Sequence[EnvVar]) -> dict[str, str]:
    """The secret variables for the environment of the client, which reads a value there when the argv names only its key."""
    return {variable.key: variable.value for variable in env if variable.secret}


def service_restart(client: Client, name: str) -> list[str]:
    """Replace every task of a service by one of the same kind."""
    return [client.path, "service", "update", "--detach", "--quiet", "--force", "--", require(NAME, name, "service name")]


def service_rollback(client: Client, name: str) -> list[str]:
    """Go back to the specification before the last update."""
    return [client.path, "service", "rollback", "--detach", "--quiet", "--", require(NAME, name, "service name")]


def service_scale(client: Client, name: str, replicas: int) -> list[str]:
    """Change the number of tasks."""
    return [client.path, "service", "scale", "--detach", "--", f"{require(NAME, name, 'service name')}={int(replicas)}"]


def pull(client: Client, image: str) -> list[str]:
    """Fetch an image from its registry."""
    return [client.path, "pull", "--", require(IMAGE, image, "image reference")]


def secret_create(client: Client, name: str, labels: Mapping[str, str]) -> list[str]:
    """Make a secret of Swarm from what comes by standard input."""
    return [client.path, "secret", "create", *_pairs("--label", require_labels(labels)), "--", require(SECRET, name, "secret's name"), "-"]


def secret_remove(client: Client, name: str) -> list[str]:
    """Remove a secret of Swarm."""
    return [client.path, "secret", "rm", "--", require(SECRET, name, "secret's name")]


def execute(client: Client, container: str, argv: Sequence[str], secrets: Iterable[str], *, fed: bool) -> list[str]:
    """Run a command in a container; of its secrets only the names, the values are the client's own environment."""
    names = [require(ENV_KEY, name, "environment variable") for name in secrets]
    return [client.path, "exec", *(["-i"] if fed else []), *_each("--env", names), require(CONTAINER, container, "container id"), *argv]


@dataclass(frozen=True, slots=True)
class Standalone:
    """A container that is no part of a service, and that nobody reaches: it has no network."""

    image: str
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    arguments: tuple[str, ...]
    entrypoint: str | None = None
    memory_mib: int | None = None
    stop_seconds: int = 10


def run_detached(client: Client, name: str, container: Standalone) -> list[str]:
    """Start a container that runs on."""
    return [client.path, "run", "--detach", "--name", require(NAME, name, "container name"), *_standalone(container)]


def run_once(client: Client, container: Standalone, *, fed: bool) -> list[str]:
    """Run a container until it ends, of which nothing stays but what it did to its volumes."""
    return [client.path, "run", "--rm", *(["--interactive"] if fed else []), *_standalone(container)]


def stop_container(client: Client, name: str, seconds: int) -> list[str]:
    """Ask a container to end, and make it end after so many seconds."""
    return [client.path, "stop", "--time", str(seconds), "--", require(NAME, name, "container name")]


def _standalone(container: Standalone) -> list[str]:
    argv = ["--pull", "never", "--network", "none", "--init", "--log-driver", "json-file", "--log-opt", "max-size=10m"]
    argv += _pairs("--label", require_labels(container.labels))
    argv += _each("--mount", [_mount(mount) for mount in container.mounts])
    argv += ["--memory", f"{container.memory_mib}m"] if container.memory_mib else []
    argv += ["--entrypoint", container.entrypoint] if container.entrypoint else []
    argv += _each("--cap-drop", DROPPED_CAPABILITIES)
    return [
        *argv,
        "--stop-timeout",
        str(container.stop_seconds),
        "--",
        require(IMAGE, container.image, "image reference"),
        *container.arguments,
    ]


def volume_name(name: str) -> str:
    """A volume name that is safe. Raises UnsafeValue."""
    return require(VOLUME, name, "volume name")


def _settings(spec: ServiceSpec) -> list[str]:
    monitor = _seconds(spec.update_monitor_seconds)
    argv = ["--replicas", str(spec.replicas), "--endpoint-mode", spec.endpoint_mode, "--init"]
    argv += ["--update-order", spec.order, "--update-parallelism", "1", "--update-delay", "0s", "--update-monitor", monitor]
    argv += ["--update-failure-action", "rollback", "--update-max-failure-ratio", "0"]
    argv += ["--rollback-order", spec.order, "--rollback-parallelism", "1", "--rollback-monitor", monitor]
    argv += ["--restart-condition", "any", "--restart-delay", "2s"]
    argv += ["--stop-grace-period", _seconds(spec.stop_grace_seconds), "--limit-pids", str(spec.pids)]
    argv += ["--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"]
    return argv + _each("--cap-drop", DROPPED_CAPABILITIES)


def _labels(spec: ServiceSpec) -> dict[str, str]:
    return {**spec.labels, NETWORK_LABEL: spec.network}


def _health(health: HealthCheck) -> list[str]:
    argv = ["--health-cmd", health.command, "--health-interval", _seconds(health.interval), "--health-timeout", _seconds(health.timeout)]
    return [*argv, "--health-retries", str(health.retries), "--health-start-period", _seconds(health.start_period)]


def _env(flag: str, env: Sequence[EnvVar]) -> list[str]:
    return _each(flag, [variable.key if variable.secret else f"{variable.key}={variable.value}" for variable in env])


def _current_env(container: Mapping[str, Any]) -> dict[str, str]:
    return dict(item.split("=", 1) for item in container.get("Env") or [] if "=" in item)


def _changed(name: str, wanted: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    argv = _pairs(f"--{name}-add", {key: value for key, value in wanted.items() if present.get(key) != value})
    return argv + _each(f"--{name}-rm", sorted(present.keys() - wanted.keys()))


def _port(port: Port) -> str:
    return f"mode={port.mode},published={port.published},target={port.container},protocol={port.protocol}"


def _ports_changed(wanted: Sequence[Port], endpoint: Mapping[str, Any]) -> list[str]:
    present = [
        Port(entry["TargetPort"], entry.get("PublishedPort", 0), entry.get("Protocol", "tcp"), entry.get("PublishMode", "ingress"))
        for entry in endpoint.get("Ports") or []
    ]
    argv: list[str] = []
    for port in present:
        if port not in wanted:
            argv += ["--publish-rm", f"mode={port.mode},target={port.container},protocol={port.protocol}"]
    for port in wanted:
        if port not in present:
            argv += ["--publish-add", _port(port)]
    return argv


def _mount(mount: Mount) -> str:
    return f"type=volume,source={mount.volume},target={mount.target}" + (",readonly" if mount.read_only else "")


def _mounts_changed(wanted: Sequence[Mount], mounts: Sequence[Mapping[str, Any]]) -> list[str]:
    present = {
        entry["Target"]: Mount(entry.get("Source", ""), entry["Target"], bool(entry.get("ReadOnly")))
        for entry in mounts
        if entry.get("Type") == "volume"
    }
    gone = {entry["Target"] for entry in mounts} - {mount.target for mount in wanted} - {SHARED_MEMORY}
    argv = _each("--mount-rm", sorted(gone))
    return argv + _each("--mount-add", [_mount(mount) for mount in wanted if present.get(mount.target) != mount])


def _network(spec: ServiceSpec) -> str:
    return f"name={spec.network},alias={spec.alias}" if spec.alias else spec.network


def _network_changed(spec: ServiceSpec, present: str | None) -> list[str]:
    if present is None or present == spec.network:
        return []
    return ["--network-rm", present, "--network-add", _network(spec)]


def _secret(secret: SecretFile) -> str:
    return f"source={secret.secret},target={secret.file},uid={secret.uid},gid={secret.uid},mode=0400"


def _secrets_changed(wanted: Sequence[SecretFile], present: Sequence[Mapping[str, Any]]) -> list[str]:
    """A file is given another secret by removing the one and adding the other."""
    known = {entry["SecretName"]: (entry.get("File") or {}).get("Name") for entry in present}
    names = {secret.secret for secret in wanted}
    argv = _each("--secret-rm", sorted(known.keys() - names))
    return argv + _each("--secret-add", [_secret(secret) for secret in wanted if secret.secret not in known])


def _seconds(value: float) -> str:
    return f"{value:.0f}s" if value == int(value) else f"{value * 1000:.0f}ms"


def _pairs(flag: str, values: Mapping[str, str]) -> list[str]:
    return _each(flag, [f"{key}={value}" for key, value in values.items()])


def _each(flag: str, values: Sequence[str]) -> list[str]:
    return [item for value in values for item in (flag, value)]
