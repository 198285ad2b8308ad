"""How the demo ends when it does not end well."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from rich.console import Console

from gateway.demo import play
from gateway.demo.client import Client, Unreachable
from gateway.demo.directory import MARKER
from gateway.demo.play import DemoFailed

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The file with what the demo says, on a machine where everything is there and the installation is nobody's."""

    async def nothing(*arguments: object, **named: object) -> None:
        pass

    @asynccontextmanager
    async def installation(data: Path) -> AsyncIterator[str]:
        try:
            yield NOBODY
        finally:
            (tmp_path / "stopped").touch()

    monkeypatch.setattr(play, "ensure_engine", nothing)
    monkeypatch.setattr(play, "ensure_base_image", nothing)
    monkeypatch.setattr(play, "installation", installation)
    monkeypatch.setenv("DOKPLOY_GIT_ALLOWED_HOSTS", "")
    with (tmp_path / "said").open("w", buffering=1) as file:
        monkeypatch.setattr(play, "console", Console(file=file, width=200))
        yield tmp_path / "said"


async def test_an_installation_that_does_not_answer_is_a_sentence(said: Path, tmp_path: Path) -> None:
    assert await play.demo(tmp_path / "demo", keep=False) == 1
    assert "The demo failed: POST /auth/register: no answer: " in said.read_text()
    assert (tmp_path / "stopped").exists()


async def test_a_clean_up_that_fails_hides_no_reason(said: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(exit_stack: AsyncExitStack, *arguments: object, **named: object) -> None:
        exit_stack.push_async_callback(play._forget, Client(NOBODY), "a", "p")
        raise DemoFailed("the page is blank")

    monkeypatch.setattr(play, "_play", fails)
    assert await play.demo(tmp_path / "demo", keep=False) == 1
    first, second = (line for line in said.read_text().splitlines() if "demo failed" in line)
    assert first == "The demo failed: the page is blank"
    assert second.startswith("The demo failed: DELETE /applications/a")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_takes_everything_down_undisturbed_by_a_second_one(
    said: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: signal.Signals
) -> None:
    async def clean_up() -> None:
        os.kill(os.getpid(), which)
        await asyncio.sleep(0.1)
        (tmp_path / "cleaned").touch()

    async def waits(exit_stack: AsyncExitStack, *arguments: object, **named: object) -> None:
        exit_stack.push_async_callback(clean_up)
        os.kill(os.getpid(), which)
        await asyncio.sleep(10)

    monkeypatch.setattr(play, "_play", waits)
    assert await play.demo(tmp_path / "demo", keep=False) == 130
    assert (tmp_path / "cleaned").exists()
    assert (tmp_path / "stopped").exists()
    assert not (tmp_path / "demo").exists()
    assert said.read_text().count("stopping (") == 1


async def test_a_machine_without_git_is_a_sentence(said: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gateway.embedded.engine_install.path_with_sbin", lambda: str(tmp_path))
    monkeypatch.setattr("gateway.embedded.engine_install.OS_RELEASE", tmp_path / "none")
    assert await play.demo(tmp_path / "demo", keep=False) == 1
    assert said.read_text() == "The demo failed: there is no git: install it\n"
    assert (tmp_path / "demo" / MARKER).exists()


async def test_a_subscription_that_cannot_be_opened_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        await anext(Client(NOBODY).follow("x"))
