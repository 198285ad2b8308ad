"""What Docker refuses, and how it is read off the client's last lines."""

import re
from typing import ClassVar, Final


class DockerError(Exception):
    """Docker did not do what it was asked."""

    code: ClassVar[str] = "CONTAINER_FAILED"

    def __init__(self, sentence: str = "", tail: tuple[str, ...] = ()) -> None:
        super().__init__(sentence or self.__class__.__doc__)
        self.tail = tail


class DockerFailed(DockerError):
    """Docker refused the command."""


class NoClient(DockerError):
    """There is no docker command line on this worker."""

    code = "DOCKER_UNAVAILABLE"


class DockerUnavailable(DockerError):
    """The Docker Engine cannot be reached."""

    code = "DOCKER_UNAVAILABLE"


class DockerTimedOut(DockerError):
    """Docker took too long."""

    code = "TIMED_OUT"


class DiskFull(DockerError):
    """The disk of the Docker Engine is full."""

    code = "DISK_FULL"


class ImageNotFound(DockerError):
    """The image does not exist, or its registry asks for credentials."""

    code = "IMAGE_NOT_FOUND"


class NoService(DockerError):
    """There is no such service."""


class BuildFailed(DockerError):
    """The image could not be built."""

    code = "BUILD_FAILED"


_CAUSES: Final[tuple[tuple[str, type[DockerError]], ...]] = (
    (
        r"[Cc]annot connect to the Docker daemon|error during connect|connection refused|rpc error: code = Unavailable"
        r"|swarm does not have a leader|node is not a swarm manager",
        DockerUnavailable,
    ),
    (r"no space left on device", DiskFull),
    (r"[Nn]o such image|manifest unknown|manifest for .* not found|pull access denied|repository does not exist", ImageNotFound),
    (r"service \S+ not found|[Nn]o such service", NoService),
)


_CLIENTS_WORDS: Final = re.compile(r"(?:ERROR: |error: )?(?:Cannot connect to the Docker daemon|error during connect)")


def explain(tail: tuple[str, ...]) -> DockerError:
    """What the last lines of the client say, as an error."""
    text = "\n".join(tail)
    for pattern, error in _CAUSES:
        if re.search(pattern, text):
            return error(tail=tail)
    return DockerFailed(_last_words(tail), tail)


def explain_build(tail: tuple[str, ...]) -> DockerError:
    """The same of a build, whose commands print what they like: an absent engine is believed only in the client's own words."""
    error = explain(tail)
    is_away = isinstance(error, DockerUnavailable) and any(_CLIENTS_WORDS.match(line) for line in tail)
    if type(error) in (DockerFailed, ImageNotFound) or (isinstance(error, DockerUnavailable) and not is_away):
        return BuildFailed(_last_words(tail), tail)
    return error


def _last_words(tail: tuple[str, ...]) -> str:
    return next((line.strip()[:500] for line in reversed(tail) if line.strip(" -")), "")
