"""An engine of our own, beside the machine's: started, restarted when it dies, stopped without a trace."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.embedded import engine, processes
from gateway.embedded.engine_install import EngineFailed, NoEngine, path_with_sbin
from gateway.embedded.engine_remains import Home, living_daemon, remains

needs_dockerd = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("dockerd", path=path_with_sbin()), reason="dockerd is not installed, or we are not root"
)
APART = ("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")


@pytest.fixture
def bridge() -> Iterator[None]:
    """The machine's default bridge, which a `dockerd --bridge none` takes away from the engine that has it: put back."""
    told = subprocess.run(["ip", "-o", "-4", "addr", "show", "docker0"], capture_output=True, text=True).stdout.split()
    yield
    if told and subprocess.run(["ip", "link", "show", "docker0"], capture_output=True).returncode:
        for change in (
            ["link", "add", "docker0", "type", "bridge"],
            ["addr", "add", told[3], "dev", "docker0"],
            ["link", "set", "docker0", "up"],
        ):
            subprocess.run(["ip", *change], check=True)


@pytest.fixture
def home(bridge: None) -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="dk-"))
    yield Home(root / "docker.sock", root / "docker.pid", root / "exec", root / "data", APART)
    # dockerd mounts its data directory onto itself; one that was killed leaves that behind.
    while subprocess.run(["umount", "-l", root / "data"], stderr=subprocess.DEVNULL).returncode == 0:
        pass
    shutil.rmtree(root)


async def test_an_unreachable_docker_host_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(NoEngine, match="DOCKER_HOST is unix://"):
        await engine.ensure_engine(tmp_path / "log")


@pytest.mark.docker
@needs_dockerd
async def test_own_engine(home: Home, tmp_path: Path) -> None:
    said: list[str] = []
    # A dead engine's files, with the process id of somebody who is alive.
    home.containerd.mkdir(parents=True)
    for file in (home.pid_file, home.containerd / "containerd.pid"):
        file.write_text(str(os.getpid()))
    own = await engine._bring_up(home, tmp_path / "dockerd.log", said.append)
    assert own
    assert await engine.swarm_state(home.socket) == "inactive"
    assert await engine._bring_up(home, tmp_path / "dockerd.log", said.append) is None
    daemon = living_daemon(home)
    assert daemon
    assert daemon.pid == own.pid
    os.kill(daemon.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while own.pid in {daemon.pid, None} or not await engine.answers(home.socket):
            await asyncio.sleep(0.05)
    await own.stop()
    assert not remains(home, processes.running())
    assert not home.pid_file.exists()
    assert "dockerd was ended by SIGKILL; starting it again in 0.5 s" in said


@pytest.mark.docker
@needs_dockerd
async def test_an_engine_that_cannot_start_says_why(home: Home, tmp_path: Path) -> None:
    broken = Home(home.socket, home.pid_file, home.exec_root, home.data_root, ("--nonsense",))
    with pytest.raises(EngineFailed, match=r"(?s)dockerd ended 2 times while starting; the end of .*unknown flag: --nonsense"):
        await engine._bring_up(broken, tmp_path / "dockerd.log", lambda line: None)
