"""What one test makes: projects and applications, the questions it asks about them, and their complete removal at the end."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.docker.installation import Installation, eventually
from tests.docker.managed import VERSIONS, Managed
from tests.docker.sample import HEALTH
from workers.engine import Task

HEALTH_CHECK = {"command": HEALTH, "interval": 1, "timeout": 2, "retries": 1, "startPeriod": 0}
AHEAD = ("postgresql", "mysql", "redis")
"""The databases that many tests want."""
_numbers = itertools.count(1)


@dataclass
class App:
    """An application and what runs of it."""

    installation: Installation
    id: str
    project: str
    service_name: str
    ports: list[int]

    async def shown(self) -> dict[str, Any]:
        """What the API says of it."""
        answer: dict[str, Any] = (await self.installation.owner.get(f"/applications/{self.id}")).json()
        return answer

    async def post(self, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One of its actions."""
        return await self.installation.owner.made(f"/applications/{self.id}/{action}", body or {})

    async def patch(self, **body: Any) -> dict[str, Any]:
        """A change of its configuration."""
        answer = await self.installation.owner.patch(f"/applications/{self.id}", body)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def deploy(self, **body: Any) -> str:
        """Ask for a deployment. Its id."""
        return str((await self.post("deploy", body))["deploymentId"])

    async def deployed(self, **body: Any) -> dict[str, Any]:
        """A deployment that succeeds."""
        return succeeded(await self.installation.ended(await self.deploy(**body)))

    async def failed(self, **body: Any) -> dict[str, Any]:
        """A deployment that fails."""
        deployment = await self.installation.ended(await self.deploy(**body))
        assert deployment["status"] == "failed"
        return deployment

    async def last_deployment(self) -> dict[str, Any]:
        """The newest deployment, as the list shows it."""
        answer = await self.installation.owner.get("/deployments", params={"applicationId": self.id, "limit": 1})
        newest: dict[str, Any] = answer.json()["data"][0]
        return newest

    async def page(self, path: str = "/") -> str:
        """What the published port answers: the edge may just have been told of it."""
        async with httpx2.AsyncClient(timeout=15) as browser:

            async def look() -> httpx2.Response | None:
                try:
                    return await browser.get(f"http://127.0.0.1:{self.ports[0]}{path}")
                except httpx2.ConnectError:
                    return None

            return (await eventually(look, within=15)).text.strip()

    async def service(self) -> dict[str, Any] | None:
        """Its service, as the Engine describes it."""
        return await self.installation.engine.service(self.service_name)

    async def running(self) -> list[Task]:
        """The tasks that run and shall."""
        tasks = await self.installation.engine.tasks(self.service_name)
        return [task for task in tasks if (task.state, task.desired_state) == ("running", "running")]

    async def deleted(self, *, volumes: bool = True) -> None:
        """Delete it, and wait until the workers have taken everything of it away."""
        await self.delete(volumes=volumes)
        await self.gone()

    async def delete(self, *, volumes: bool = True) -> None:
        """Delete it, unless that has been done."""
        answer = await self.installation.owner.delete(f"/applications/{self.id}?deleteVolumes={str(volumes).lower()}")
        assert answer.status_code in (204, 404), answer.text

    async def gone(self) -> None:
        """Wait until the workers are through with its removal, and see that nothing of it is left."""
        await eventually(self.forgotten, within=40)
        assert await self.remains() == []

    async def forgotten(self) -> bool:
        """Whether the workers are through with its removal."""
        return await self.installation.database.fetchval("select 1 from application where id = $1", self.id) is None

    async def remains(self) -> list[str]:
        """What is left of it in Docker, its volumes apart."""
        engine, label = self.installation.engine, f"dokploy.application={self.id}"
        services = [entry["Spec"]["Name"] for entry in await engine.services(label)]
        containers = [entry["Id"] for entry in await engine.containers(label)]
        images = [entry["Id"] for entry in await engine.images(label)]
        named = await self.installation.command("image", "ls", "--quiet", f"dokploy/{self.service_name}")
        return [*services, *containers, *images, *named]

    async def volumes(self) -> list[str]:
        """The names of its volumes."""
        return await self.installation.command("volume", "ls", "--quiet", "--filter", f"label=dokploy.application={self.id}")


def succeeded(deployment: dict[str, Any]) -> dict[str, Any]:
    """The deployment, which must have succeeded."""
    assert deployment["status"] == "success", deployment["error"]
    return deployment


@dataclass
class House:
    """Where one test lives, whose name it has."""

    installation: Installation
    name: str
    apps: list[App] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    databases: list[Managed] = field(default_factory=list)

    async def project(self) -> str:
        """A new project. Its id."""
        made = await self.installation.owner.made("/projects", {"name": f"House{next(_numbers)}"})
        self.projects.append(made["id"])
        return str(made["id"])

    async def app(self, **body: Any) -> App:
        """A new application with the port 8080, in a project of its own."""
        owner, project = self.installation.owner, body.pop("project", None) or await self.project()
        wanted = {"name": f"app-{next(_numbers)}", "projectId": project, "ports": [{"containerPort": 8080}]} | body
        return await self.adopted(await owner.made("/applications", wanted))

    async def database(self, type: str, **body: Any) -> Managed:
        """A database called `shop`, in a project of its own, once it runs.

        One with the usual settings has been made while the test before ran: the next one is begun here.
        """
        if body or type not in AHEAD:
            return await self.taken_in(await self._made(type, body))
        spares = self.installation.spares
        made = spares.pop(type, None) or await self._made(type, {})
        spares[type] = await self._made(type, {})
        return await self.taken_in(made)

    async def _made(self, type: str, body: dict[str, Any]) -> dict[str, Any]:
        owner = self.installation.owner
        project = body.get("project") or (await owner.made("/projects", {"name": f"House{next(_numbers)}"}))["id"]
        wanted = {"name": "shop", "type": type, "version": VERSIONS[type], "projectId": project}
        return await owner.made("/databases", wanted | {name: value for name, value in body.items() if name != "project"})

    async def taken_in(self, made: dict[str, Any]) -> Managed:
        """A database that was just made, to be deleted with the rest, once it runs."""
        self.projects.append(made["projectId"])
        self.databases.append(Managed(self.installation, made["type"], made["id"], made["projectId"], made["serviceName"]))
        with self.databases[-1].timed("create"):
            await self.databases[-1].settled()
        return self.databases[-1]

    async def adopted(self, made: dict[str, Any]) -> App:
        """An application that was just made, to be deleted with the rest."""
        shown = (await self.installation.owner.get(f"/applications/{made['id']}")).json()
        ports = [each["publishedPort"] for each in shown["ports"]]
        self.apps.append(App(self.installation, made["id"], made["projectId"], made["serviceName"], ports))
        return self.apps[-1]

    async def leave(self) -> None:
        """Delete everything; no work directory is left. That takes Swarm six seconds, in which the next tests may begin."""
        for each in (*self.apps, *self.databases):
            await each.delete()

        async def cleared() -> bool:
            return not list(self.installation.work.iterdir())

        await eventually(cleared, within=15)

    async def forgotten(self) -> bool:
        """Whether the workers are through with it."""
        return not [each for each in (*self.apps, *self.databases) if not await each.forgotten()]

    async def empty(self) -> None:
        """See that nothing of it is left: no service, container, image, volume, network."""
        await eventually(self.forgotten, within=40)
        for app in self.apps:
            assert [*await app.remains(), *await app.volumes()] == [], self.name
        for database in self.databases:
            assert await database.remains() == [], self.name
        for project in self.projects:
            left = await self.installation.command("network", "ls", "--quiet", "--filter", f"label=dokploy.project={project}")
            assert left == [], self.name
