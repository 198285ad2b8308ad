"""Images, networks, volumes and containers of the stand-in: what is there, by whatever name one may ask for it."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any


class Refused(Exception):
    """The Engine refuses a command, with these words."""


class NotUnderstood(Refused):
    """The stand-in does not know what this means, and so cannot stand in for the real client."""


def now() -> str:
    """This moment as the Engine writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "000Z")


@dataclass
class Image:
    """An image and its names."""

    tags: set[str]
    labels: Mapping[str, str]
    health: dict[str, Any] | None = None
    id: str = field(default_factory=lambda: f"sha256:{token_hex(32)}")
    created: float = field(default_factory=time.time)


@dataclass
class Network:
    """An overlay network."""

    name: str
    labels: Mapping[str, str]
    driver: str
    id: str = field(default_factory=lambda: token_hex(13)[:25])
    created: str = field(default_factory=now)


@dataclass
class Volume:
    """A named volume."""

    name: str
    labels: Mapping[str, str]
    created: str = field(default_factory=now)

    def shown(self) -> dict[str, Any]:
        """As the API and the command line show it."""
        told = {"Name": self.name, "Driver": "local", "Mountpoint": f"/volumes/{self.name}/_data", "Labels": dict(self.labels)}
        return told | {"Options": None, "Scope": "local", "CreatedAt": self.created}


@dataclass
class Container:
    """A container of a task, or one that a test has planted."""

    image: str
    image_id: str
    labels: Mapping[str, str]
    name: str = ""
    state: str = "created"
    health: str = "none"
    logs: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: token_hex(32))
    created: float = field(default_factory=time.time)


class Stock:
    """Everything but services and tasks. `registry` holds what can be pulled."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.networks: dict[str, Network] = {}
        self.volumes: dict[str, Volume] = {}
        self.containers: dict[str, Container] = {}
        self.registry: dict[str, Image] = {}

    def image(self, reference: str) -> Image | None:
        """The image of a tag, an id, or the beginning of an id."""
        for image in self.images.values():
            if named(reference) in image.tags or image.id == reference:
                return image
        bare = reference.removeprefix("sha256:")
        return next((each for each in self.images.values() if len(bare) >= 12 and each.id.startswith(f"sha256:{bare}")), None)

    def keep(self, image: Image) -> Image:
        """Add an image, or the names of one that is there; its tags leave whatever had them before."""
        for other in self.images.values():
            if other.id != image.id:
                other.tags -= image.tags
        kept = self.images.setdefault(image.id, image)
        kept.tags |= image.tags
        return kept

    def tag(self, reference: str, tag: str) -> None:
        """Give an image one more name. Raises Refused."""
        image = self.image(reference)
        if image is None:
            raise Refused(f"Error response from daemon: No such image: {reference}")
        for other in self.images.values():
            other.tags.discard(named(tag))
        image.tags.add(named(tag))

    def remove_image(self, reference: str, *, force: bool) -> None:
        """Take a name away, and the image with its last one. Raises Refused, also while a container uses it."""
        image = self.image(reference)
        if image is None:
            raise Refused(f"Error: No such image: {reference}")
        users = [each for each in self.containers.values() if each.image_id == image.id]
        if named(reference) in image.tags and len(image.tags) > 1:
            image.tags.discard(named(reference))
            return
        if any(each.state == "running" for each in users) and not (force and named(reference) in image.tags):
            raise Refused(f"Error response from daemon: conflict: unable to remove {reference} (cannot be forced) - image is being used")
        if users and not force:
            raise Refused(f"Error response from daemon: conflict: unable to remove {reference} (must be forced) - image is being used")
        image.tags.clear()
        if not any(each.state == "running" for each in users):
            del self.images[image.id]

    def network(self, reference: str) -> Network | None:
        """A network by its name or id."""
        return self.networks.get(reference) or next((each for each in self.networks.values() if each.id == reference), None)


def named(reference: str) -> str:
    """A reference with its tag."""
    return reference if ":" in reference.rpartition("/")[2] or "@" in reference else f"{reference}:latest"


def labelled(labels: Mapping[str, str] | None, wanted: Iterable[str]) -> bool:
    """Whether all wanted labels, `key` or `key=value`, are among these."""
    found = labels or {}
    return all(found.get(key) == value if equals else key in found for key, equals, value in (each.partition("=") for each in wanted))


def filters(text: str) -> dict[str, list[str]]:
    """The filters of a request: lists, or sets as older clients write them."""
    told: dict[str, Any] = json.loads(text or "{}")
    return {name: list(values) for name, values in told.items()}
