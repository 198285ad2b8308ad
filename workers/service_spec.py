"""What a Swarm service shall be, and the patterns each of its values must match before it comes near a command line."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


class UnsafeValue(Exception):
    """This value may not be handed to Docker."""


class ReservedName(UnsafeValue):
    """A secret of this name would change how the docker client itself works."""


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One environment variable of the containers; the value of a secret one never shows in an argv."""

    key: str
    value: str = field(repr=False)
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the containers, published by Docker itself."""

    container: int
    published: int
    protocol: Literal["tcp", "udp"] = "tcp"
    mode: Literal["host", "ingress"] = "host"


@dataclass(frozen=True, slots=True)
class Mount:
    """A named volume and where it appears in the containers."""

    volume: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret of Swarm, and the file below /run/secrets that it is in the containers, readable by one user."""

    secret: str
    file: str
    uid: int = 0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A command that a shell inside the container runs; times in seconds."""

    command: str
    interval: float = 10
    timeout: float = 5
    retries: int = 3
    start_period: float = 0


STOP_GRACE_SECONDS: Final = 10
"""What an application is given to end by itself that was deployed before it could say how long it takes."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service: one application at one deployment, or a database. `labels` go on the service and on its containers.

    Without `health` the image's own HEALTHCHECK holds, without `arguments` its own command. `memory_mib` and `cpus` are limits; None is
    no limit. `alias` is a second name in the network.
    """

    name: str
    image: str
    network: str
    labels: Mapping[str, str]
    env: tuple[EnvVar, ...] = ()
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    health: HealthCheck | None = None
    memory_mib: int | None = None
    cpus: float | None = None
    replicas: int = 1
    order: Literal["start-first", "stop-first"] = "start-first"
    stop_grace_seconds: float = STOP_GRACE_SECONDS
    update_monitor_seconds: float = 5
    endpoint_mode: Literal["dnsrr", "vip"] = "dnsrr"
    alias: str = ""
    arguments: tuple[str, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    shared_memory_mib: int | None = None
    pids: int = 512


NAME: Final = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
CONTAINER: Final = r"[0-9a-f]{12,64}"
VOLUME: Final = r"[a-z0-9][a-z0-9_-]{1,127}"
LABEL: Final = r"[a-z0-9][a-z0-9._-]{0,127}"
ENV_KEY: Final = r"[A-Za-z_][A-Za-z0-9_]{0,254}"
TARGET: Final = r"/[A-Za-z0-9._@+-][A-Za-z0-9._@+/-]{0,1023}"
SECRET: Final = r"[a-z0-9][a-z0-9._-]{0,63}"  # noqa: S105 (a pattern)
ARGUMENT: Final = r"[A-Za-z0-9._=/:,@-]{1,512}"
PRINTABLE: Final = r"(?!-)[^\x00-\x1f\x7f\ud800-\udfff]{0,1024}"
COMMAND: Final = r"(?!-)[^\x00-\x1f\x7f\ud800-\udfff]{1,4096}"
ENV_VALUE: Final = r"[^\x00\ud800-\udfff]{0,65536}"
_COMPONENT = r"[a-z0-9]{1,128}(?:(?:\.|__?|-{1,3})[a-z0-9]{1,128}){0,16}"
IMAGE: Final = (
    r"(?:sha256:[0-9a-f]{64}|"
    rf"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{{0,251}}[A-Za-z0-9])?|\[[0-9a-f:]{{2,45}}\])(?::[0-9]{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT}){{0,16}}"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?)"
)

_RESERVED_PREFIXES = (
    *("DOCKER_", "LD_", "SSL_", "XDG_", "BUILDKIT_", "BUILDX_", "COMPOSE_", "OTEL_", "GRPC_", "GO_", "MALLOC_"),
    *("GOEXPERIMENT", "GOTRACE", "GODEBUG", "GOMAX", "GOMEM", "GORACE", "GOROOT", "GOPATH", "GOCOVER", "GOFIPS"),
)
# PATH and its like; then what shells and the C library read, in case the docker client is a script or dynamically linked.
_RESERVED = frozenset({"PATH", "HOME", "TMPDIR", "GOGC", "BASH_ENV", "ENV", "BASHOPTS", "SHELLOPTS", "IFS", "PS4"}) | {
    *("GCONV_PATH", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS"),
}


def reserved(name: str) -> bool:
    """Whether a secret of this name would change how the docker client works: it is handed over in the client's environment."""
    name = name.upper()
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES) or name.endswith("_PROXY")


def require(pattern: str, value: str, what: str) -> str:
    """The value, when it matches the whole pattern. Raises UnsafeValue, which does not repeat it."""
    if not re.fullmatch(pattern, value):
        raise UnsafeValue(f"This is not a valid {what}.")
    return value


def require_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """The labels, when all keys and values are safe. Raises UnsafeValue."""
    for key, value in labels.items():
        require(LABEL, key, "label")
        require(PRINTABLE, value, "label value")
    return labels


def validate(spec: ServiceSpec) -> ServiceSpec:
    """The same specification, when every value of it is safe. Raises UnsafeValue and ReservedName."""
    require(NAME, spec.name, "service name")
    require(NAME, spec.network, "network name")
    require(IMAGE, spec.image, "image reference")
    require_labels(spec.labels)
    _require_env(spec.env)
    _require_ports(spec)
    for mount in spec.mounts:
        require(VOLUME, mount.volume, "volume name")
        require(TARGET, mount.target, "path of a volume")
    _require_unique((mount.target for mount in spec.mounts), "path of a volume")
    if spec.alias:
        require(NAME, spec.alias, "network alias")
    for argument in spec.arguments:
        require(ARGUMENT, argument, "argument")
    for secret in spec.secrets:
        require(SECRET, secret.secret, "secret's name")
        require(SECRET, secret.file, "secret's file")
    if spec.health is not None:
        require(COMMAND, spec.health.command, "health command")
    _require_amounts(spec)
    return spec


def _require_env(env: tuple[EnvVar, ...]) -> None:
    for variable in env:
        require(ENV_KEY, variable.key, "environment variable")
        require(ENV_VALUE, variable.value, f"value of {variable.key}")
        if variable.secret and reserved(variable.key):
            raise ReservedName(f"{variable.key} cannot be the name of a secret.")
    _require_unique((variable.key for variable in env), "environment variable")


def _require_ports(spec: ServiceSpec) -> None:
    for port in spec.ports:
        if not (0 < port.container < 65536 and 0 < port.published < 65536 and port.protocol in ("tcp", "udp")):
            raise UnsafeValue("This is not a port.")
        if port.mode == "host" and spec.order == "start-first":
            raise UnsafeValue("A host-mode port cannot start first: the new task would wait for the old one for ever.")
        if port.mode not in ("host", "ingress") or (port.mode == "ingress" and spec.endpoint_mode != "vip"):
            raise UnsafeValue("An ingress port needs the endpoint mode vip.")
    # `--publish-rm` knows a port by target, protocol and mode only.
    _require_unique((f"{port.container}/{port.protocol}/{port.mode}" for port in spec.ports), "container port")


def _require_amounts(spec: ServiceSpec) -> None:
    if spec.order not in ("start-first", "stop-first") or spec.endpoint_mode not in ("dnsrr", "vip"):
        raise UnsafeValue("This is not an update order or endpoint mode.")
    seconds = min(spec.update_monitor_seconds, spec.stop_grace_seconds)
    if spec.replicas < 0 or seconds < 0 or (spec.memory_mib or 4) < 4 or (spec.cpus or 1) <= 0 or spec.pids < 1:
        raise UnsafeValue("An amount is out of range.")
    if spec.health and (min(spec.health.interval, spec.health.timeout) < 0.001 or spec.health.retries < 1 or spec.health.start_period < 0):
        raise UnsafeValue("An amount of the health check is out of range.")


def _require_unique(values: Iterable[str], what: str) -> None:
    values = list(values)
    if len(set(values)) != len(values):
        raise UnsafeValue(f"A {what} occurs twice.")
