"""Which processes and files belong to a dead engine."""

import os
from pathlib import Path

from gateway.embedded.engine_remains import Home, clear, living_daemon, remains, stale_files
from gateway.embedded.processes import Process, find

HOME = Home(exec_root=Path("/x/exec"))


def process(pid: int, parent: int, name: str, *argv: str) -> Process:
    return Process(pid, parent, name, argv, "/")


def test_only_the_dead_engines_processes() -> None:
    shim = ("containerd-shim-runc-v2", "-id", "1", "-address")
    everything = [
        process(1, 0, "init"),
        process(10, 1, "containerd", "containerd", "--config", "/x/exec/containerd/containerd.toml"),
        process(11, 1, "containerd", "containerd", "--config", "/another/containerd/containerd.toml"),
        process(20, 1, "containerd-shim", *shim, "/x/exec/containerd/containerd.sock"),
        process(21, 20, "app"),
        process(22, 21, "app's child"),
        process(30, 1, "containerd-shim", *shim, "/another/containerd/containerd.sock"),
        process(31, 30, "somebody's app"),
        process(40, 1, "docker-proxy"),
        process(50, 1, "dockerd"),
        process(51, 50, "docker-proxy"),
    ]
    assert {each.pid for each in remains(HOME, everything)} == {10, 20, 21, 22, 40}


async def test_a_pid_file_that_names_somebody_else_is_stale(tmp_path: Path) -> None:
    home = Home(tmp_path / "docker.sock", tmp_path / "docker.pid", tmp_path / "exec", tmp_path / "data")
    home.containerd.mkdir(parents=True)
    for file in stale_files(home):
        file.write_text(str(os.getpid()))
    assert find(os.getpid()) is not None
    assert living_daemon(home) is None
    await clear(home)
    assert not any(file.exists() for file in stale_files(home))
