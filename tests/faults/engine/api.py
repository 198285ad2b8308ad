"""The part of the Docker Engine's API that only tells: what `workers.engine` reads, for any client that speaks HTTP."""

import struct
from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.faults.engine.stock import Container, Image, Network, Stock, filters, labelled
from tests.faults.engine.swarm import Swarm

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
VERSION = "1.41"


class Api:
    """Listens on a unix socket between `start` and `stop`."""

    def __init__(self, stock: Stock, swarm: Swarm, socket: Path) -> None:
        self.stock, self.swarm, self.socket = stock, swarm, socket
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_get("/version", self._version)
        prefix = r"/v{version:[\d.]+}"
        for path, handler in self._routes().items():
            app.router.add_get(prefix + path, handler)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        self.socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        """Close every connection; new ones are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _routes(self) -> dict[str, Handler]:
        return {
            "/info": self._info,
            "/services": self._services,
            "/services/{id}": self._service,
            "/tasks": self._tasks,
            "/images/json": self._images,
            "/images/{name:.+}/json": self._image,
            "/containers/json": self._containers,
            "/containers/{id}/json": self._container,
            "/containers/{id}/logs": self._logs,
            "/networks": self._networks,
            "/networks/{id}": self._network,
            "/volumes": self._volumes,
            "/volumes/{id}": self._volume,
        }

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"ApiVersion": VERSION, "Version": "20.10.24", "Os": "linux", "Arch": "amd64"})

    async def _info(self, request: web.Request) -> web.StreamResponse:
        swarm = {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "standin", "Nodes": 1}
        return web.json_response({"ID": "stand-in", "Name": "stand-in", "ServerVersion": "20.10.24", "NCPU": 2, "Swarm": swarm})

    async def _services(self, request: web.Request) -> web.StreamResponse:
        wanted = filters(request.query.get("filters", ""))
        names = wanted.get("name")
        found = [each for each in self.swarm.services.values() if labelled(each.spec["Labels"], wanted.get("label", []))]
        return web.json_response([each.shown() for each in found if names is None or each.name.startswith(tuple(names))])

    async def _service(self, request: web.Request) -> web.StreamResponse:
        service = self.swarm.find(request.match_info["id"])
        return web.json_response(service.shown()) if service else _missing(f"service {request.match_info['id']} not found")

    async def _tasks(self, request: web.Request) -> web.StreamResponse:
        wanted = filters(request.query.get("filters", ""))
        services = list(self.swarm.services.values())
        if "service" in wanted:
            found = {name: self.swarm.find(name) for name in wanted["service"]}
            if missing := [name for name, service in found.items() if service is None]:
                return _missing(f"service {missing[0]} not found")
            services = [service for service in found.values() if service]
        tasks = [task for service in services for task in service.tasks if labelled(task.labels, wanted.get("label", []))]
        return web.json_response([task.shown() for task in tasks])

    async def _images(self, request: web.Request) -> web.StreamResponse:
        wanted = filters(request.query.get("filters", ""))
        found = [each for each in self.stock.images.values() if labelled(each.labels, wanted.get("label", []))]
        if patterns := wanted.get("reference"):
            found = [each for each in found if any(fnmatch(tag, pattern) for tag in each.tags for pattern in patterns)]
        return web.json_response([_image(each) for each in found])

    async def _image(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        image = self.stock.image(name)
        if image is None:
            return _missing(f"no such image: {name}: No such image: {name}")
        config = {"Labels": dict(image.labels) or None, "Env": None} | ({"Healthcheck": image.health} if image.health else {})
        return web.json_response(
            {"Id": image.id, "RepoTags": sorted(image.tags), "RepoDigests": [], "Created": image.created, "Config": config}
        )

    async def _containers(self, request: web.Request) -> web.StreamResponse:
        wanted = filters(request.query.get("filters", ""))
        everything = request.query.get("all", "false").lower() in ("1", "true")
        found = [each for each in self.stock.containers.values() if labelled(each.labels, wanted.get("label", []))]
        return web.json_response([_container(each) for each in found if everything or each.state == "running"])

    async def _container(self, request: web.Request) -> web.StreamResponse:
        container = self.stock.containers.get(request.match_info["id"])
        if container is None:
            return _missing(f"No such container: {request.match_info['id']}")
        health = {"Health": {"Status": container.health, "Log": []}} if container.health != "none" else {}
        state = {"Status": container.state, "Running": container.state == "running"} | health
        config = {"Tty": False, "Image": container.image, "Labels": dict(container.labels)}
        return web.json_response({"Id": container.id, "Name": f"/{container.name}", "State": state, "Config": config})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        container = self.stock.containers.get(request.match_info["id"])
        if container is None:
            return _missing(f"No such container: {request.match_info['id']}")
        tail = request.query.get("tail", "all")
        lines = container.logs if tail == "all" else container.logs[-int(tail) :]
        return web.Response(body=b"".join(_frames(lines)), content_type="application/vnd.docker.raw-stream")

    async def _networks(self, request: web.Request) -> web.StreamResponse:
        wanted = filters(request.query.get("filters", ""))
        return web.json_response(
            [_network(each) for each in self.stock.networks.values() if labelled(each.labels, wanted.get("label", []))]
        )

    async def _network(self, request: web.Request) -> web.StreamResponse:
        network = self.stock.network(request.match_info["id"])
        return web.json_response(_network(network)) if network else _missing(f"network {request.match_info['id']} not found")

    async def _volumes(self, request: web.Request) -> web.StreamResponse:
        wanted = filters(request.query.get("filters", ""))
        found = [each.shown() for each in self.stock.volumes.values() if labelled(each.labels, wanted.get("label", []))]
        return web.json_response({"Volumes": found, "Warnings": None})

    async def _volume(self, request: web.Request) -> web.StreamResponse:
        volume = self.stock.volumes.get(request.match_info["id"])
        return web.json_response(volume.shown()) if volume else _missing(f"get {request.match_info['id']}: no such volume")


def _missing(message: str) -> web.StreamResponse:
    return web.json_response({"message": message}, status=404)


def _image(image: Image) -> dict[str, Any]:
    tags = sorted(image.tags) or ["<none>:<none>"]
    return {"Id": image.id, "RepoTags": tags, "RepoDigests": None, "Labels": dict(image.labels), "Created": int(image.created), "Size": 1}


def _container(container: Container) -> dict[str, Any]:
    status = {"running": "Up 1 second", "exited": "Exited (143) 1 second ago"}.get(container.state, "Created")
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": container.image_id,
        "Labels": dict(container.labels),
        "State": container.state,
        "Status": status,
        "Created": int(container.created),
    }


def _network(network: Network) -> dict[str, Any]:
    told = {"Name": network.name, "Id": network.id, "Created": network.created, "Scope": "swarm", "Driver": network.driver}
    return told | {"Attachable": False, "Ingress": False, "Internal": False, "Containers": None, "Labels": dict(network.labels)}


def _frames(lines: Iterable[str]) -> Iterable[bytes]:
    for line in lines:
        data = f"{line}\n".encode()
        yield struct.pack(">BxxxL", 1, len(data)) + data
