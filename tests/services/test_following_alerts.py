"""Alerts as they happen: as a subscription, as server-sent events, and over `/api/ws`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest
from websockets.asyncio.client import connect

import models
from models import alert_changes
from models.bell import wake
from schema import standing
from tests.services.conftest import Api, Person
from tests.services.test_alerts import rounds, shop, took
from tests.services.test_live_socket import watching
from tests.services.test_websocket import opened

__all__ = ["shop"]

CALM, FULL, ALMOST = [10] * 9, [92] * 7, [97] * 7
ALERTS = """subscription ($id: ID!, $after: BigInt! = 0) {
  resourceAlerts(applicationId: $id, afterSeq: $after) {alertId metric severity status threshold current seq}
}"""


async def changed(shop: models.Application, percent: list[int]) -> None:
    """What becomes of the alerts of an application that takes so much of its memory."""
    await took(shop, *percent)
    await rounds()


async def told(
    server: str, person: Person, shop: models.Application, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[int, Any]]:
    """The ids and contents of the server-sent events."""
    url = f"{server.replace('ws', 'http', 1).removesuffix('/graphql')}/applications/{shop.id}/alerts/events"
    async with httpx2.AsyncClient(timeout=10) as client, client.stream("GET", url, headers=person.headers | (headers or {})) as answer:
        assert answer.status_code == 200
        id = 0
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                id = int(line.removeprefix("id: "))
            if line.startswith("data: "):
                yield id, json.loads(line.removeprefix("data: "))


async def test_a_subscription_begins_with_what_is_open_and_goes_on_with_what_changes(
    api: Api, server: str, shop: models.Application
) -> None:
    await changed(shop, FULL)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("a", ALERTS, id=str(shop.id))
        first = (await socket.receive())["payload"]["data"]["resourceAlerts"]
        assert first | {"alertId": "", "seq": 0} == {
            "alertId": "",
            "metric": "memory",
            "severity": "warning",
            "status": "raised",
            "threshold": 512,
            "current": 471,
            "seq": 0,
        }
        await changed(shop, ALMOST)
        second = (await socket.receive())["payload"]["data"]["resourceAlerts"]
        assert (second["severity"], second["status"]) == ("critical", "raised")
        await changed(shop, CALM)
        rest = [(await socket.receive())["payload"]["data"]["resourceAlerts"] for _ in range(2)]
        assert {each["status"] for each in rest} == {"resolved"}
        assert {each["alertId"] for each in rest} == {first["alertId"], second["alertId"]}
        seqs = [each["seq"] for each in (first, second, *rest)]
        assert seqs == sorted(set(seqs))


async def test_whoever_comes_back_is_told_what_has_changed_meanwhile(api: Api, server: str, shop: models.Application) -> None:
    await changed(shop, FULL)
    async with aclosing(told(server, api.owner, shop)) as stream:
        seq, first = await anext(stream)
    assert first["seq"] == seq
    await changed(shop, CALM)
    await changed(shop, FULL)
    async with aclosing(told(server, api.owner, shop, {"Last-Event-ID": str(seq)})) as stream:
        found = [(await anext(stream))[1] for _ in range(2)]
    assert [(each["status"], each["alertId"] == first["alertId"]) for each in found] == [("resolved", True), ("raised", False)]


async def test_alerts_of_other_applications_are_not_told(api: Api, server: str, shop: models.Application) -> None:
    other = await models.Application.get(id=(await api.application())["id"])
    await changed(shop, FULL)
    async with aclosing(told(server, api.owner, other)) as stream:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.5)


async def test_who_loses_the_right_is_told_no_more(
    api: Api, server: str, shop: models.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "EVERY", 0.1)
    async with opened(server, api.owner.token) as socket:
        await socket.subscribe("a", ALERTS, id=str(shop.id))
        await asyncio.sleep(0.2)
        await models.Application.filter(id=shop.id).update(deleted_at=datetime.now(UTC))
        answer = await socket.receive()
        assert answer["payload"][0]["extensions"]["code"] == "RESOURCE_NOT_FOUND"


async def test_the_socket_of_the_specification_tells_of_alerts(api: Api, server: str, shop: models.Application) -> None:
    async with watching(server, api.owner) as watcher:
        await changed(shop, FULL)
        alert = await watcher.next("resource.alert")
        assert alert | {"alertId": "", "seq": 0} == {
            "alertId": "",
            "applicationId": str(shop.id),
            "metric": "memory",
            "threshold": 512,
            "current": 471,
            "severity": "warning",
            "status": "raised",
            "message": "471 of 512 MiB of memory: 90 % or more for 60 s",
            "seq": 0,
        }
        await changed(shop, CALM)
        assert (await watcher.next("resource.alert"))["status"] == "resolved"


async def test_it_is_told_also_when_nobody_rings(api: Api, server: str, shop: models.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*ids: UUID) -> None:
        pass

    monkeypatch.setattr("workers.alerts.changes.wake", silent)
    async with watching(server, api.owner) as watcher:
        await changed(shop, FULL)
        assert (await watcher.next("resource.alert"))["status"] == "raised"


async def test_a_stranger_is_told_of_nothing(api: Api, server: str, shop: models.Application) -> None:
    async with connect(f"{server.removesuffix('/graphql')}/ws?token={(await api.person()).token}") as socket:
        await asyncio.sleep(0.2)
        await changed(shop, FULL)
        await wake(alert_changes.EVERYBODYS)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 1)
