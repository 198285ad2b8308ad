"""What an application is made of as input, and how a row is made or changed from it (DECISIONS 3 and 6)."""

import secrets
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import strawberry
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from tortoise.transactions import in_transaction

import models
import workers
from models import ports as published
from schema.errors import Conflict, NotFound
from schema.filters import Compare
from schema.git_sources import MASK, Branch, CommitSha, GitSourceInput, columns
from schema.held import held
from schema.inputs import Input, refuse
from schema.page import sorting
from schema.rules import Between, Distinct, Length, Pattern
from schema.unique import unique

NAME_TAKEN = "The project has an application of this name."

ApplicationSort = sorting("application", "created_at", "updated_at", "name")


class ApplicationFilters:
    """What applications can be filtered by."""

    project_id: UUID
    status: models.ApplicationStatus
    status_in: Annotated[list[models.ApplicationStatus], Compare("status", "in")]
    created_from: Annotated[datetime, Compare("created_at", ">=")]
    created_to: Annotated[datetime, Compare("created_at", "<=")]


Name = Annotated[str, Pattern(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?", "must be alphanumeric, with dashes only inside", 3, 50)]
Replicas = Annotated[int, Between(0, 100)]
StopGracePeriod = Annotated[int, Between(1, 300)]
Image = Annotated[
    str,
    Pattern(
        r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
        r"(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
        "must be an image reference like registry/name:tag",
        1,
        512,
    ),
]
EnvKey = Annotated[str, Pattern(r"[A-Za-z_][A-Za-z0-9_]*", "must be a name of letters, digits and underscores", 1, 255)]
VolumeSource = Annotated[str, Pattern(r"[a-z0-9][a-z0-9_-]{1,62}", "must be a volume's name", 2, 63)]
MountPath = Annotated[
    str, Pattern(r"/(?!.*(?:^|/)\.\.(?:/|$))[A-Za-z0-9._/@+-]+", "must be an absolute path in the container, without '..'", 2, 512)
]
HealthCommand = Annotated[str, Pattern(r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*", "must be one line", 1, 1024)]


@strawberry.pydantic.input
class EnvVarInput(Input):
    """An environment variable; a secret is never shown again."""

    key: EnvKey
    value: Annotated[str, Length(0, 32_768)]
    is_secret: bool = False

    @model_validator(mode="after")
    def _name_can_be_kept_secret(self) -> Self:
        if self.is_secret and workers.reserved(self.key):
            raise PydanticCustomError("reserved", "may not be a secret under this name: it configures the Docker client")
        return self


@strawberry.pydantic.input
class PortInput(Input):
    """A port of the containers; without `publishedPort` a free one of the host is chosen.

    Without `keepAlive` each request gets a connection of its own to a container: for servers that close theirs without a word.
    """

    container_port: Annotated[int, Between(1, 65_535)]
    protocol: Annotated[str, Pattern("tcp|tcp-raw|udp", "must be tcp, tcp-raw or udp", 3, 7)] = "tcp"
    published_port: Annotated[int, Between(1024, 65_535)] | None = None
    keep_alive: bool = True


@strawberry.pydantic.input
class VolumeInput(Input):
    """A named volume of the application and where it is mounted."""

    source: VolumeSource
    target: MountPath
    read_only: bool = False


@strawberry.pydantic.input
class HealthCheckInput(Input):
    """The command that says whether a container is well; times in seconds."""

    command: HealthCommand
    interval: Annotated[int, Between(1, 3600)] = 30
    timeout: Annotated[int, Between(1, 600)] = 10
    retries: Annotated[int, Between(1, 20)] = 3
    start_period: Annotated[int, Between(0, 3600)] = 0


@strawberry.pydantic.input
class ResourcesInput(Input):
    """What one container may use: memory in MiB, CPU in cores."""

    memory_limit: Annotated[int, Between(6, 1_048_576)] | None = None
    cpu_limit: Annotated[float, Between(0.01, 1024)] | None = None


_PATHS = r"[^/\x00-\x1f\x7f]*(?:/[^/\x00-\x1f\x7f]*){0,15}"
WatchPath = Annotated[str, Pattern(_PATHS, "must be a pattern of paths in the repository, like src/**, of 16 segments at most", 1, 255)]
WatchPaths = Annotated[list[WatchPath], Length(0, 20, "items")]
EnvVars = Annotated[list[EnvVarInput], Length(0, 500, "items"), Distinct("key")]
Ports = Annotated[list[PortInput], Length(0, 50, "items"), Distinct("container_port", "published_port")]
Volumes = Annotated[list[VolumeInput], Length(0, 50, "items"), Distinct("target")]


@strawberry.pydantic.input
class CreateApplicationInput(Input):
    """A new application."""

    name: Name
    project_id: str
    image: Image | None = None
    replicas: Replicas = 1
    stop_grace_period: StopGracePeriod = 10
    env_vars: EnvVars = Field(default_factory=list)
    ports: Ports = Field(default_factory=list)
    volumes: Volumes = Field(default_factory=list)
    health_check: HealthCheckInput | None = None
    resources: ResourcesInput | None = None
    git_source: GitSourceInput | None = None
    watch_paths: WatchPaths = Field(default_factory=list)


@strawberry.pydantic.input
class UpdateApplicationInput(Input):
    """What can be changed of an application; what is absent stays, null clears, a list replaces the list."""

    name: strawberry.Maybe[Name] = None
    image: strawberry.Maybe[Image | None] = None
    replicas: strawberry.Maybe[Replicas] = None
    stop_grace_period: strawberry.Maybe[StopGracePeriod] = None
    env_vars: strawberry.Maybe[EnvVars] = None
    ports: strawberry.Maybe[Ports] = None
    volumes: strawberry.Maybe[Volumes] = None
    health_check: strawberry.Maybe[HealthCheckInput | None] = None
    resources: strawberry.Maybe[ResourcesInput | None] = None
    git_source: strawberry.Maybe[GitSourceInput | None] = None
    watch_paths: strawberry.Maybe[WatchPaths] = None


@strawberry.pydantic.input
class DeployInput(Input):
    """What to deploy: the branch's head unless a commit is given; `force` builds without the cache."""

    branch: Branch | None = None
    commit_sha: CommitSha | None = None
    force: bool = False


@strawberry.pydantic.input
class ScaleInput(Input):
    """How many replicas are wanted."""

    replicas: Replicas


def _plain(value: Any) -> Any:
    """An input as the row stores it."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.model_dump(by_alias=False) if isinstance(value, Input) else value


def _kept_secrets(stored: list[dict[str, Any]], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The given variables, with what was stored wherever a secret came back masked (DECISIONS 6)."""
    known = {each["key"]: each["value"] for each in stored if each["is_secret"]}
    for index, each in enumerate(given):
        if each["value"] == MASK and (each["is_secret"] or each["key"] in known):
            if not each["is_secret"] or each["key"] not in known:
                refuse(f"envVars[{index}].value", "secret", "is masked: a stored secret keeps its key and stays secret")
            each["value"] = known[each["key"]]
    return given


async def created(project: models.Project, input: CreateApplicationInput) -> models.Application:
    """A new application in a project.

    Raises `Conflict` when the name or a published port is taken.
    """
    given = set(type(input).model_fields) - {"project_id", "git_source"}
    values: dict[str, Any] = {name: _plain(getattr(input, name)) for name in given} | columns(input.git_source)
    values["env_vars"] = _kept_secrets([], values["env_vars"])
    wanted = values.pop("ports")
    service_name = f"{input.name.lower()}-{secrets.token_hex(4)}"
    try:
        async with unique(NAME_TAKEN), in_transaction():
            if not await models.Project.filter(id=project.id, deleted_at__isnull=True).select_for_update().exists():
                raise NotFound
            application = await models.Application.create(project_id=project.id, service_name=service_name, **values)
            application.ports = await published.claim(application, wanted)
            await application.save(update_fields=["ports"])
    except published.PortTaken as error:
        raise Conflict(str(error), reason="PORT_TAKEN") from error
    return application


async def changed(application: models.Application, input: UpdateApplicationInput) -> models.Application:
    """The application after a PATCH; what that means for what runs is up to the worker.

    Raises `Conflict` when the name or a published port is taken.
    """
    given = {name: getattr(input, name) for name in type(input).model_fields}
    values: dict[str, Any] = {name: _plain(value.value) for name, value in given.items() if value is not None}
    try:
        async with unique(NAME_TAKEN), in_transaction():
            row = await held(application)
            if "env_vars" in values:
                values["env_vars"] = _kept_secrets(row.env_vars, values["env_vars"])
            if "ports" in values:
                values["ports"] = await published.claim(row, values["ports"])
            if input.git_source is not None:
                values |= columns(input.git_source.value, row)
            before = {name: getattr(row, name) for name in values}
            row.update_from_dict(values)
            await row.save()
            deployment = await workers.plan_change(row, {name for name in values if before[name] != values[name]})
    except published.PortTaken as error:
        raise Conflict(str(error), reason="PORT_TAKEN") from error
    await workers.ring_change(row, deployment)
    return row
