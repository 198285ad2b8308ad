"""Ending on a signal: the first one cancels, and what was begun is taken down in an orderly way."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.embedded.supervisor import Report


@contextmanager
def cancelled_by_signals(task: asyncio.Task[None], report: Report) -> Iterator[None]:
    """Cancel `task` at the first signal; later ones change nothing, since stopping takes a bounded time anyway."""
    loop = asyncio.get_running_loop()
    # Under nohup the hang-up is ignored, and stays so.
    signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else [])]

    def stop(which: signal.Signals) -> None:
        if not (task.cancelling() or task.done()):
            report(f"stopping ({which.name})")
            task.cancel()

    for each in signals:
        loop.add_signal_handler(each, stop, each)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
