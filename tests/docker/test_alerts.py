"""What real containers are watched for: memory that is nearly all taken, and ends that nobody wished for; who listens is told of both."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from standardwebhooks import Webhook
from websockets.asyncio.client import connect

from gateway.demo.base_image import BASE_IMAGE
from tests.docker.house import App, House
from tests.docker.installation import Installation, eventually, free_port
from tests.docker.test_changes import running
from tests.workers.notifications.receivers import Receiver, receiving

pytestmark = pytest.mark.docker

DOCKERFILE = f"""\
FROM {BASE_IMAGE}
HEALTHCHECK --interval=1s --timeout=5s CMD test -e /tmp/well
CMD ["sh", "-c", "eval \\"$LIFE\\""]
"""
LIMIT, HELD, FILLER = 32, 28, "/dev/shm/filler"
"""MiB that a container may take, those that it holds, and where."""
HOLDS = f"dd if=/dev/zero of={FILLER} bs=1048576 count={HELD} && touch /tmp/well; while :; do sleep 1; done"
ENDS = "touch /tmp/well; sleep 8; exit 3"
IS_TOLD = "trap 'exit 1' TERM; touch /tmp/well; sleep 600 & wait"
"""It ends only when it is told to, and then as one does that has failed."""
MONITOR: Final = "monitor-alerts"
WITHIN: Final = 75
"""Seconds until an alert is raised or resolved: a round of the monitor, the rule's time with some distance, and two looks."""


@dataclass
class Watched:
    """Three applications of one project, and what is told of them."""

    installation: Installation
    receiver: Receiver
    holds: App
    ends: App
    is_told: App
    secret: str
    live: list[dict[str, Any]] = field(default_factory=list)
    """The alerts on `/api/ws`."""
    streamed: list[dict[str, Any]] = field(default_factory=list)
    """The server-sent events of the application that holds memory."""
    listed: list[dict[str, Any]] = field(default_factory=list)
    """What the API listed as raised of that application before the memory was freed."""

    @property
    def posted(self) -> list[dict[str, Any]]:
        """What the receiver was sent; the proof of each is verified."""
        return [dict(Webhook(self.secret).verify(body, headers)) for headers, body in self.receiver.heard]

    async def told(self, app: App, status: str) -> dict[str, Any]:
        """The alert of an application, once whoever watches everything is told that it has come into a status."""

        async def look() -> dict[str, Any] | None:
            return next((each for each in self.live if (each["applicationId"], each["status"]) == (app.id, status)), None)

        return await eventually(look, within=WITHIN)  # type: ignore[return-value]

    async def everywhere(self, alert: dict[str, Any], listed: dict[str, Any]) -> None:
        """See that an alert is listed as it was told, and wait until it has been told in all other ways, too."""

        async def look() -> tuple[dict[str, Any], dict[str, Any]] | None:
            id, status = alert["alertId"], alert["status"]
            streamed = [each for each in self.streamed if (each["alertId"], each["status"]) == (id, status)]
            posted = [each["data"] for each in self.posted if (each["type"], each["data"].get("alertId")) == (f"alert.{status}", id)]
            return (streamed[0], posted[0]) if streamed and posted else None

        found = await eventually(look, within=20)
        assert found and listed["id"] == alert["alertId"]
        for other in (*found, listed):
            for name in ("applicationId", "metric", "severity", "status", "threshold", "current", "message"):
                assert other[name] == alert[name], name

    async def was_listed(self) -> list[dict[str, Any]]:
        """What was listed as raised, or nothing yet."""
        return self.listed

    async def alerts(self, status: str) -> list[dict[str, Any]]:
        """What the API lists of the application that holds memory."""
        answer = await self.installation.owner.get("/alerts", params={"applicationId": self.holds.id, "status": status})
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def complaints(self) -> list[str]:
        """What the workers and the monitor could not do about all that."""
        logs = [self.installation.log(f"worker-{number}") for number in range(len(self.installation.workers))]
        lines = [line for log in (*logs, self.installation.log(MONITOR)) for line in log.read_text().splitlines()]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        ours = ("workers.alerts", "workers.notifications")
        return [
            str(each)
            for each in events
            if each["event"] in ("notification.not_taken", "monitor.unexpected")
            or (each["event"] == "reconcile.failed" and each["duty"].startswith(ours))
        ]


async def watch_everything(watched: Watched) -> None:
    """Note the alerts that `/api/ws` tells of."""
    installation = watched.installation
    async with connect(f"{installation.url.replace('http', 'ws', 1)}/api/ws?token={installation.owner.token}") as socket:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "resource.alert":
                watched.live.append(frame["data"])


async def follow(watched: Watched) -> None:
    """Note the server-sent events."""
    url = f"{watched.installation.url}/api/applications/{watched.holds.id}/alerts/events"
    async with httpx2.AsyncClient(timeout=None) as client, client.stream("GET", url, headers=watched.installation.owner.headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                watched.streamed.append(json.loads(line.removeprefix("data: ")))


async def free(watched: Watched) -> None:
    """Have the container free what it holds, once it is known that it does."""
    await watched.told(watched.holds, "raised")
    watched.listed = await watched.alerts("raised")
    (task,) = await watched.holds.running()
    await watched.installation.command("exec", str(task.container_id), "rm", FILLER)


@pytest.fixture(scope="module")
async def image(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """An image whose containers live as they are told."""
    name, context = f"127.0.0.1:{free_port()}/lives:1", Path(tmp_path_factory.mktemp("lives"))
    (context / "Dockerfile").write_text(DOCKERFILE)
    await installation.command("build", "--quiet", "--tag", name, str(context))
    yield name
    await installation.command("image", "rm", "--force", name)


@pytest.fixture(scope="module")
async def watched(installation: Installation, left: list[House], image: str) -> AsyncIterator[Watched]:
    """All three are deployed at once, with a rule each, and what they do is told while the tests of this module run."""
    house = House(installation, "watched")
    owner, project = installation.owner, await house.project()

    async def app(life: str, rule: dict[str, Any], **more: Any) -> App:
        variables = [{"key": "LIFE", "value": life}]
        made = await house.app(project=project, image=image, ports=[], stopGracePeriod=2, envVars=variables, **more)
        answer = await owner.call("PUT", f"/applications/{made.id}/alert-rules", json={"rules": [rule]})
        assert answer.status_code == 200, answer.text
        return made

    async with receiving(Receiver()) as receiver, installation.monitor(MONITOR):
        events = ["alert_raised", "alert_resolved", "deployment_succeeded"]
        wanted = {"name": "ops", "projectId": project, "type": "webhook", "url": receiver.url, "events": events}
        channel = await owner.made("/notification-channels", wanted)
        watched = Watched(
            installation,
            receiver,
            holds=await app(HOLDS, {"metric": "memory", "threshold": 80, "duration": 10}, resources={"memoryLimit": LIMIT}),
            ends=await app(ENDS, {"metric": "restarts", "threshold": 2, "duration": 600}),
            is_told=await app(IS_TOLD, {"metric": "restarts", "threshold": 1, "duration": 600}),
            secret=(await owner.get(f"/notification-channels/{channel['id']}/secret")).json()["secret"],
        )
        beside = [asyncio.create_task(each(watched)) for each in (watch_everything, follow, free)]
        await asyncio.gather(*(each.deployed() for each in house.apps))
        yield watched
        for task in beside:
            task.cancel()
        ends = await asyncio.gather(*beside, return_exceptions=True)
        assert not [each for each in ends if isinstance(each, Exception)]
        await house.leave()
    left.append(house)


async def test_what_somebody_has_wished_for_is_no_restart(watched: Watched, installation: Installation) -> None:
    app = watched.is_told
    await app.deployed()
    for replicas in (2, 0, 1):
        await app.post("scale", {"replicas": replicas})
        await running(app, replicas)
    await restarted(app)
    (task,) = await app.running()
    await installation.command("kill", str(task.container_id))
    alert = await watched.told(app, "raised")
    assert (alert["current"], alert["message"]) == (1, "1 restart: 1 or more within 600 s")
    noted = await installation.database.fetch("select task_id from restart where application_id = $1", app.id)
    assert [each["task_id"] for each in noted] == [task.id], "the last end was the only one by itself"


async def restarted(app: App) -> None:
    """Restart an application, and wait until Swarm is through with it: what ended sooner would be rolled back."""
    (before,) = await app.running()
    await app.post("restart")

    async def replaced() -> bool:
        tasks, service = await app.running(), await app.service() or {}
        state = (service.get("UpdateStatus") or {}).get("State")
        return len(tasks) == 1 and tasks[0].container_id != before.container_id and state == "completed"

    await eventually(replaced)


async def test_memory_that_is_nearly_all_taken_raises_an_alert_that_is_told_everywhere(watched: Watched) -> None:
    alert = await watched.told(watched.holds, "raised")
    assert (alert["metric"], alert["severity"], alert["threshold"]) == ("memory", "warning", LIMIT)
    assert HELD <= alert["current"] <= LIMIT
    assert alert["message"] == f"{alert['current']:.0f} of {LIMIT} MiB of memory: 80 % or more for 10 s"
    (listed,) = await eventually(watched.was_listed, within=20)
    await watched.everywhere(alert, listed)
    assert listed["resolvedAt"] is None


async def test_the_same_receiver_is_told_first_how_the_deployment_ended(watched: Watched) -> None:
    await watched.told(watched.holds, "raised")

    async def of_ours() -> list[dict[str, Any]]:
        found = [each for each in watched.posted if each["data"]["applicationId"] == watched.holds.id]
        return found if len(found) >= 2 else []

    result, alert = (await eventually(of_ours, within=20))[:2]
    deployment = await watched.holds.last_deployment()
    assert (result["type"], alert["type"]) == ("deployment.succeeded", "alert.raised")
    assert (result["data"]["deploymentId"], result["data"]["status"]) == (deployment["id"], "success")
    assert result["data"]["duration"] == deployment["duration"]


async def test_a_container_that_ends_again_and_again_raises_an_alert_until_it_is_stopped(watched: Watched) -> None:
    app = watched.ends
    alert = await watched.told(app, "raised")
    assert (alert["metric"], alert["threshold"]) == ("restarts", 2)
    assert alert["current"] >= 2
    assert alert["message"] == f"{alert['current']:.0f} restarts: 2 or more within 600 s"
    await app.post("scale", {"replicas": 0})
    over = await watched.told(app, "resolved")
    assert over["alertId"] == alert["alertId"]


async def test_the_alert_is_resolved_everywhere_once_the_memory_is_free_again(watched: Watched) -> None:
    raised = await watched.told(watched.holds, "raised")
    alert = await watched.told(watched.holds, "resolved")
    assert alert["alertId"] == raised["alertId"]
    assert alert["current"] < LIMIT - HELD + 1
    assert alert["message"] == f"{alert['current']:.0f} of {LIMIT} MiB of memory: less than 80 % again"
    (listed,) = await watched.alerts("resolved")
    await watched.everywhere(alert, listed)
    assert listed["createdAt"] < listed["resolvedAt"]
    assert await watched.alerts("raised") == []
    assert [each["status"] for each in watched.live if each["applicationId"] == watched.holds.id] == ["raised", "resolved"]
    assert [each["status"] for each in watched.streamed] == ["raised", "resolved"]
    of_ours = [each["type"] for each in watched.posted if each["data"]["applicationId"] == watched.holds.id]
    assert of_ours == ["deployment.succeeded", "alert.raised", "alert.resolved"]
    assert len(set(watched.receiver.ids)) == len(watched.receiver.heard), "nobody is told anything twice"
    assert watched.complaints() == []
