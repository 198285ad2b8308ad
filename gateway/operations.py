"""Operations that run beside each other for one client, each under an id of the client's choice."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.websockets import WebSocketDisconnect

from gateway.errors import problem
from gateway.graphql import Asking, Runner, refused
from schema.context import Context
from schema.documents.refused import Refused
from schema.errors import Conflict
from schema.plan.document import Document

MOST = 50

Prepare = Callable[[], Awaitable[tuple[Context, Document, Asking]]]
"""Finds out who asks, as they are now, and for what."""
Tell = Callable[[str, str, Any], Awaitable[None]]
"""Tells the client of an id: `next` with a result, `error` with what kept it from running or ended it, or `complete`."""


class TooMany(Conflict):
    """There are 50 operations at most at a time."""


@dataclass(slots=True)
class _Running:
    """What an operation does."""

    follows: bool = False
    """Whether it is a subscription."""
    tells: bool = False
    """Whether it waits for its client."""


class Operations:
    """Those of one client."""

    def __init__(self, runner: Runner, tell: Tell) -> None:
        self._runner, self._tell = runner, tell
        self._named: dict[str, asyncio.Task[None]] = {}
        self._tasks: dict[asyncio.Task[None], _Running] = {}
        """All, also those that are no longer listened to and that are ending."""
        self._finishing = False

    def __contains__(self, id: str) -> bool:
        """Whether an id is in use."""
        return id in self._named

    def check(self) -> None:
        """Raise `TooMany` when there is no room for one more."""
        if len(self._tasks) >= MOST:
            raise TooMany

    def begin(self, id: str, request_id: str, prepare: Prepare) -> None:
        """Begin an operation."""
        running = _Running()
        self._named[id] = task = asyncio.create_task(self._run(id, request_id, prepare, running))
        self._tasks[task] = running
        task.add_done_callback(partial(self._over, id))

    def end(self, id: str) -> bool:
        """End a subscription for its client, or what waits for it. What still runs is not cut short, which would cost a connection.

        Whether there was one.
        """
        task = self._named.pop(id, None)
        running = None if task is None else self._tasks.get(task)
        if task is not None and running is not None and (running.follows or running.tells):
            task.cancel()
        return task is not None

    async def followed_out(self) -> None:
        """Wait until the subscriptions that there are have ended, which is not for this to bring about."""
        if followed := [task for task, running in self._tasks.items() if running.follows]:
            await asyncio.wait(followed)

    async def finish(self) -> None:
        """Wait for what ends by itself. A subscription is not told that it is complete, since its client shall go on elsewhere."""
        self._finishing = True
        for task, running in self._tasks.items():
            if running.follows:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _over(self, id: str, task: asyncio.Task[None]) -> None:
        """Forget an operation. When its client has ended it, its id may be another's by now."""
        self._tasks.pop(task, None)
        if self._named.get(id) is task:
            del self._named[id]
        if not task.cancelled():
            task.exception()  # its client is gone: there is nobody to tell

    async def _run(self, id: str, request_id: str, prepare: Prepare, running: _Running) -> None:
        task = asyncio.current_task()

        async def tell(kind: str, payload: Any = None) -> None:
            if task is None or self._named.get(id) is not task:
                return
            if kind != "next":
                del self._named[id]
            running.tells = True
            try:
                await self._tell(kind, id, payload)
            finally:
                running.tells = False

        try:
            context, document, asked = await prepare()
            # A subscription does not keep the text of its request, nor what has read it.
            del prepare
            asked = Asking(variables=asked.variables)
            if document.kind == "subscription" and task is not None:
                if self._finishing or self._named.get(id) is not task:
                    return
                running.follows = True
            async for payload in self._runner.results(document, asked, context):
                await tell("next", payload)
            await tell("complete")
        except Refused as error:
            await tell("error", refused(error.errors, request_id))
        except WebSocketDisconnect:
            pass
        except Exception as error:
            await tell("error", [problem(error, request_id)])
