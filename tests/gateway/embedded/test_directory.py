"""One process per data directory, and nothing left outside it."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.embedded.accounts import Account
from gateway.embedded.directory import LONGEST_SOCKET, PREFIX, SOCKET_PATH_LIMIT, AlreadyRunning, held, runtime_parents


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_private_and_held_once(tmp_path: Path) -> None:
    data = tmp_path / "a b" / "data"
    with held(data) as directory:
        assert mode(data) == 0o700
        assert directory.path == data
        with pytest.raises(AlreadyRunning) as caught, held(data):
            pass
        assert str(data) in str(caught.value)
        assert f"process {os.getpid()}" in str(caught.value)
    with held(data):
        pass


def test_modes_of_what_exists_stay(tmp_path: Path) -> None:
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    (parent / "data").mkdir(mode=0o750)
    with held(parent / "data"):
        assert mode(parent) == 0o700
        assert mode(parent / "data") == 0o750


def test_runtime_directory_is_short_private_and_removed(tmp_path: Path) -> None:
    with held(tmp_path / "data") as directory:
        runtime = directory.runtime()
        assert len(os.fsencode(f"{runtime}{LONGEST_SOCKET}")) <= SOCKET_PATH_LIMIT
        assert mode(runtime) == (0o711 if os.geteuid() == 0 else 0o700)
        (runtime / "socket").touch()
    assert not runtime.exists()


def test_what_a_kill_left_is_removed_by_the_next_start(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; from gateway.embedded.directory import held\n"
        "with held(pathlib.Path(sys.argv[1])) as d: print(d.runtime(), flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "data"], capture_output=True, text=True)
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    with held(tmp_path / "data"):
        assert not left.exists()


def test_marked_orphans_end_at_the_next_start(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys, pathlib; from gateway.embedded.directory import held\n"
        "with held(pathlib.Path(sys.argv[1])) as d:\n"
        " print(subprocess.Popen(['sleep', '60'], env={**os.environ, 'DOKPLOY_STACK': d.mark}, stdout=-3, stderr=-3).pid, flush=True)\n"
        " os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "data"], capture_output=True, text=True)
    orphan = int(killed.stdout)
    deadline = time.monotonic() + 5
    while b"sleep" not in command_line(orphan):  # a process has no command line yet while it is being exchanged for another
        assert time.monotonic() < deadline
    bystander = subprocess.Popen(["sleep", "60"], env={"DOKPLOY_STACK": "another"})
    with held(tmp_path / "data"):
        deadline = time.monotonic() + 5
        while b"sleep" in command_line(orphan):
            assert time.monotonic() < deadline
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_record_cannot_name_what_is_not_ours(tmp_path: Path) -> None:
    data, precious, link = tmp_path / "data", tmp_path / "precious", tmp_path / f"{PREFIX}link"
    data.mkdir()
    precious.mkdir()
    link.symlink_to(precious)
    (data / "runtime").write_text(f"{precious}\n{link}\n")
    with held(data):
        pass
    assert precious.is_dir()
    assert link.is_symlink()


def test_where_sockets_may_be(tmp_path: Path) -> None:
    assert runtime_parents({"XDG_RUNTIME_DIR": "/x"}, root=True)[0] == Path("/run")
    assert runtime_parents({"XDG_RUNTIME_DIR": "/run/user/7"}, root=False)[0] == Path("/run/user/7")
    assert Path("/tmp") in runtime_parents({"XDG_RUNTIME_DIR": "/" + "x" * 80}, root=False)
    assert not any("xxx" in str(place) for place in runtime_parents({"XDG_RUNTIME_DIR": "/" + "x" * 80}, root=False))


def test_who_may_enter(tmp_path: Path) -> None:
    inner = tmp_path / "private" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    stranger = Account("stranger", 4242, 4242)
    assert not stranger.may_enter(inner)
    assert stranger.may_enter(Path("/usr/bin"))
