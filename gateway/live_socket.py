"""`/api/ws`: what becomes of deployments and alerts, and the logs that are asked for (specification, "WebSocket API"; DECISIONS 25)."""

import asyncio
from contextlib import aclosing
from typing import Any, Final, Literal

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.errors import fact
from gateway.items import encoded
from gateway.rest import PREFIXES
from gateway.wire import Wire, entered, refuse
from models.alert_changes import Changed, changes
from models.database import AWAY
from models.statuses import Status, statuses
from models.watcher import Watcher
from schema.errors import ApiError, Conflict, InvalidInput
from schema.inputs import parameter
from schema.perform import admit
from schema.shared_results import Shared
from schema.standing import Leave
from schema.surface import Bound, Surface

MOST: Final = 50
"""Logs that one socket may follow at a time."""

Event = Status | Changed

_encode: Final = msgspec.json.Encoder().encode
_shared: Final[Shared[str]] = Shared()


class Frame(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a client says: to be told what an application prints, or no more."""

    type: Literal["subscribe", "unsubscribe"]
    topic: Literal["application.logs"]
    application_id: str
    after_seq: int | None = None


class TooMany(Conflict):
    """There are 50 logs at most that one socket may follow."""


def told(event: Event) -> str:
    """The event that says what became of a deployment or an alert, made once for all who are told."""
    found = _shared.get(told, event)
    return found if found is not None else _shared.put(told, event, _told(event))


def _told(event: Event) -> str:
    if isinstance(event, Status):
        return _encode({"type": "deployment.status", "data": _of_deployment(event)}).decode()
    return _encode({"type": "resource.alert", "data": _of_alert(event)}).decode()


def _of_deployment(status: Status) -> dict[str, Any]:
    return {
        "deploymentId": status.deployment_id,
        "applicationId": status.application_id,
        "status": status.status,
        "progress": status.progress,
        "stage": status.stage,
        "message": status.message,
        "seq": status.seq,
    }


def _of_alert(alert: Changed) -> dict[str, Any]:
    return {
        "alertId": alert.id,
        "applicationId": alert.application_id,
        "metric": alert.metric,
        "threshold": alert.threshold,
        "current": alert.current,
        "severity": alert.severity,
        "status": alert.status,
        "message": alert.message,
        "seq": alert.seq,
    }


class Conversation:
    """One socket."""

    def __init__(self, wire: Wire, leave: Leave, logs: Bound) -> None:
        self._wire, self._leave, self._context, self._logs = wire, leave, leave.context, logs
        self._followed: dict[str, asyncio.Task[None]] = {}

    async def hold(self) -> None:
        """Talk until either side ends it."""
        telling = asyncio.create_task(self._tell())
        try:
            while True:
                await self._handle(await self._wire.receive())
        finally:
            tasks = [telling, *self._followed.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self) -> None:
        watcher: Watcher[Event] = Watcher()
        with statuses.told_to(watcher), changes.told_to(watcher):
            while True:
                for event in await watcher.fetch():
                    if self._leave.sees(event.project_id):
                        await self._wire.send(told(event))

    async def _handle(self, text: str) -> None:
        try:
            frame = msgspec.json.decode(text, type=Frame)
        except (msgspec.MsgspecError, RecursionError) as error:
            await self._fail(InvalidInput(f"This frame means nothing here: {error}."))
            return
        if frame.type == "unsubscribe":
            self._unfollow(frame.application_id)
            return
        try:
            given = {} if frame.after_seq is None else self._after(frame.after_seq)
            self._follow(frame.application_id, given)
        except ApiError as error:
            await self._fail(error, frame.application_id)

    def _after(self, seq: int) -> dict[str, Any]:
        """The argument of whoever goes on after a line. Raises `ValidationFailed`."""
        resumes = self._logs.operation.resumes
        return {resumes.name: parameter(resumes.annotation, "afterSeq", str(seq))} if resumes else {}

    def _follow(self, application: str, given: dict[str, Any]) -> None:
        self._unfollow(application)
        if len(self._followed) >= MOST:
            raise TooMany
        self._followed[application] = task = asyncio.create_task(self._lines(application, given))
        task.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _unfollow(self, application: str) -> None:
        if (task := self._followed.pop(application, None)) is not None:
            task.cancel()

    async def _lines(self, application: str, given: dict[str, Any]) -> None:
        """Send what an application prints: what comes from now on, or after a line."""
        if self._logs.operation.handler is None:
            raise TypeError(f"{self._logs.operation.id} is not a stream")
        beginning = _encode({"type": "application.logs", "data": {"applicationId": application}}).decode()[:-2]
        try:
            rows = await admit(self._logs, self._context.again(), (application,))
            async with aclosing(self._logs.operation.handler(self._context.again(), *rows, **({"tail": 0} | given))) as lines:
                async for line in lines:
                    shown = await encoded(self._logs, line, self._context)
                    await self._wire.send(f"{beginning},{shown[1:].decode()}}}")
        except WebSocketDisconnect:
            raise
        except Exception as error:
            self._followed.pop(application, None)
            await self._fail(fact(error, self._context.request_id), application)

    async def _fail(self, error: ApiError, application: str | None = None) -> None:
        about = {} if application is None else {"applicationId": application}
        data = {"code": error.code, "message": error.message, "details": error.details, **about}
        await self._wire.send(_encode({"type": "error", "data": data}).decode())


def routes(surface: Surface) -> list[WebSocketRoute]:
    """The socket."""
    logs = surface.following["applications.logs"]

    async def endpoint(socket: WebSocket) -> None:
        try:
            context = await entered(socket)
            context.caller  # noqa: B018 (raises `Unauthorized` when nobody is logged in)
        except (ApiError, *AWAY) as error:
            await refuse(socket, error)
            return
        wire = Wire(socket)
        async with wire.held(context) as leave:
            await Conversation(wire, leave, logs).hold()

    return [WebSocketRoute(f"{prefix}/ws", endpoint) for prefix in PREFIXES]
