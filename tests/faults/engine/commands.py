"""What each command of the docker command line does to the stand-in, as the real one would do it to an Engine."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from tests.faults.engine import spec
from tests.faults.engine.call import Call
from tests.faults.engine.client import STDERR, STDOUT
from tests.faults.engine.stock import Image, Network, NotUnderstood, Refused, Stock, Volume, labelled, named
from tests.faults.engine.swarm import Swarm

VERSION = "Docker version 20.10.24, build 5d6db84"
Say = Callable[[int, bytes, int], Awaitable[None]]
"""Tell the client to print something to a channel, so many times."""
Output = Callable[[Call], Iterable[bytes | tuple[bytes, int]]]
"""What a build prints: lines, or something and how often."""
_SECOND = 1_000_000_000
_DURATION = re.compile(r"--(interval|timeout|start-period)=(\S+)")


def plain(call: Call) -> Iterable[bytes | tuple[bytes, int]]:
    """What BuildKit prints of a small build."""
    yield b"#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n"
    yield b"#4 [1/2] FROM docker.io/library/base\n#4 DONE 0.0s\n#5 [2/2] COPY www /www\n#5 DONE 0.0s\n"
    yield b"#6 exporting to image\n#6 DONE 0.0s\n"


class Commands:
    """Carries commands out. `output` is what builds print, `build_seconds` how long they take after that."""

    def __init__(self, stock: Stock, swarm: Swarm) -> None:
        self.stock, self.swarm = stock, swarm
        self.output: Output = plain
        self.build_seconds = 0.0
        self._all: dict[str, Callable[[Call, Say], Awaitable[None]]] = {
            "build": self._build,
            "pull": self._pull,
            "image tag": self._tag,
            "image rm": self._remove_image,
            "container rm": self._remove_container,
            "network create": self._create_network,
            "network rm": self._remove_network,
            "volume create": self._create_volume,
            "volume rm": self._remove_volume,
            "volume inspect": self._inspect_volume,
            "service create": self._create_service,
            "service update": self._update_service,
            "service rollback": self._roll_back,
            "service scale": self._scale,
            "service rm": self._remove_service,
            **{f"{kind} ls": self._list for kind in ("image", "network", "volume", "service", "container")},
        }

    async def carry_out(self, call: Call, say: Say) -> int:
        """Do it. The exit status."""
        try:
            if call.kind not in self._all:
                raise NotUnderstood(f"docker: '{call.kind}' is not a docker command.")
            await self._all[call.kind](call, say)
        except Refused as error:
            call.understood = not isinstance(error, NotUnderstood)
            await say(STDERR, f"{error}\n".encode(), 1)
            return 1
        return 0

    async def _build(self, call: Call, say: Say) -> None:
        for piece in self.output(call):
            content, times = piece if isinstance(piece, tuple) else (piece, 1)
            await say(STDERR, content, times)
        await asyncio.sleep(self.build_seconds)
        image = self.stock.keep(Image({named(tag) for tag in call.many("--tag")}, call.pairs("--label"), _health(Path(call.one("--file")))))
        if call.one("--iidfile"):
            Path(call.one("--iidfile")).write_text(image.id)

    async def _pull(self, call: Call, say: Say) -> None:
        (reference,) = call.rest
        if named(reference) not in self.stock.registry:
            raise Refused(f"Error response from daemon: pull access denied for {reference}, repository does not exist")
        offered = self.stock.registry[named(reference)]
        self.stock.keep(Image({named(reference)}, offered.labels, offered.health, offered.id))
        await say(STDOUT, f"Status: Downloaded newer image for {reference}\n".encode(), 1)

    async def _tag(self, call: Call, say: Say) -> None:
        self.stock.tag(*call.rest)

    async def _remove_image(self, call: Call, say: Say) -> None:
        for reference in call.rest:
            self.stock.remove_image(reference, force="--force" in call.options)

    async def _remove_container(self, call: Call, say: Say) -> None:
        for id in call.rest:
            container = self.stock.containers.get(id)
            if container is None:
                raise Refused(f"Error: No such container: {id}")
            if container.state == "running" and "--force" not in call.options:
                raise Refused(f"Error response from daemon: You cannot remove a running container {id}.")
            self.swarm.lose(container)
            del self.stock.containers[id]

    async def _create_network(self, call: Call, say: Say) -> None:
        (name,) = call.rest
        if name in self.stock.networks:
            raise Refused(f"Error response from daemon: network with name {name} already exists")
        network = self.stock.networks[name] = Network(name, call.pairs("--label"), call.one("--driver"))
        await say(STDOUT, network.id.encode() + b"\n", 1)

    async def _remove_network(self, call: Call, say: Say) -> None:
        (name,) = call.rest
        network = self.stock.network(name)
        if network is None:
            raise Refused(f"Error: No such network: {name}")
        target = {"Target": network.id}
        if user := next((each for each in self.swarm.services.values() if target in each.spec["TaskTemplate"]["Networks"]), None):
            raise Refused(
                f"Error response from daemon: rpc error: code = FailedPrecondition desc = network {network.id} is in use by {user.id}"
            )
        del self.stock.networks[network.name]

    async def _create_volume(self, call: Call, say: Say) -> None:
        (name,) = call.rest
        self.stock.volumes.setdefault(name, Volume(name, call.pairs("--label")))
        await say(STDOUT, name.encode() + b"\n", 1)

    async def _inspect_volume(self, call: Call, say: Say) -> None:
        (name,) = call.rest
        volume = self.stock.volumes.get(name)
        if volume is None:
            raise Refused(f"Error: No such volume: {name}")
        await say(STDOUT, json.dumps([volume.shown()]).encode(), 1)

    async def _remove_volume(self, call: Call, say: Say) -> None:
        for name in call.rest:
            if self.stock.volumes.pop(name, None) is None:
                raise Refused(f"Error: No such volume: {name}")

    async def _create_service(self, call: Call, say: Say) -> None:
        service = self.swarm.create(spec.created(call, self.stock))
        await say(STDOUT, service.id.encode() + b"\n", 1)

    async def _update_service(self, call: Call, say: Say) -> None:
        (name,) = call.rest
        service = self.swarm.must(name)
        self.swarm.change(service, spec.updated(service.spec, call, self.stock))
        await say(STDOUT, name.encode() + b"\n", 1)

    async def _roll_back(self, call: Call, say: Say) -> None:
        (name,) = call.rest
        self.swarm.go_back(self.swarm.must(name))
        await say(STDOUT, name.encode() + b"\n", 1)

    async def _scale(self, call: Call, say: Say) -> None:
        for wish in call.rest:
            name, _, replicas = wish.partition("=")
            service = self.swarm.must(name)
            self.swarm.change(service, spec.scaled(service.spec, int(replicas)))
            await say(STDOUT, f"{name} scaled to {replicas}\n".encode(), 1)

    async def _remove_service(self, call: Call, say: Say) -> None:
        for name in call.rest:
            self.swarm.remove(self.swarm.must(name))
            await say(STDOUT, name.encode() + b"\n", 1)

    async def _list(self, call: Call, say: Say) -> None:
        """The ids or names of what has the labels that are asked for."""
        labels = [each.removeprefix("label=") for each in call.many("--filter") if each.startswith("label=")]
        found: dict[str, Iterable[tuple[str, Any]]] = {
            "image ls": ((each.id, each.labels) for each in self.stock.images.values()),
            "network ls": ((each.id, each.labels) for each in self.stock.networks.values()),
            "volume ls": ((each.name, each.labels) for each in self.stock.volumes.values()),
            "service ls": ((each.id, each.spec["Labels"]) for each in self.swarm.services.values()),
            "container ls": ((each.id, each.labels) for each in self.stock.containers.values()),
        }
        for name, carried in found[call.kind]:
            if labelled(carried, labels):
                await say(STDOUT, name.encode() + b"\n", 1)


def _health(dockerfile: Path) -> dict[str, Any] | None:
    """The last HEALTHCHECK of a Dockerfile, as the image remembers it."""
    lines = [line for line in dockerfile.read_text().splitlines() if line.startswith("HEALTHCHECK ")]
    if not lines:
        return None
    words, _, command = lines[-1].partition(" CMD ")
    given = {name: spec.nanoseconds(value) for name, value in _DURATION.findall(words)}
    retries = re.search(r"--retries=(\d+)", words)
    return {
        "Test": ["CMD-SHELL", command],
        "Interval": given.get("interval", 30 * _SECOND),
        "Timeout": given.get("timeout", 30 * _SECOND),
        "StartPeriod": given.get("start-period", 0),
        "Retries": int(retries[1]) if retries else 3,
    }
