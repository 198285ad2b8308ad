"""The launcher `dokploy`, in a copy of the project whose environment is made of scripts that say what they were asked."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).parents[2] / "dokploy"
# As a Python it answers `-c` and makes an environment with a copy of itself for `-m venv`; `-m pip install uv` is what makes uv.
PYTHON = f"""#!/bin/sh
case "$*" in
    -c*) exec {sys.executable} "$@" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >>"$LOG" ;;
    "-m pip "*) printf '#!/bin/sh\\necho sync >>"$LOG"\\n' >"${{0%/*}}/uv" && chmod +x "${{0%/*}}/uv" ;;
    *) echo "run $* safe=$PYTHONSAFEPATH" >>"$LOG" ;;
esac
"""
RUN = "run -P -m gateway.cli up --port 1 safe=1"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(LAUNCHER, clone)
    (clone / "uv.lock").write_text("one")
    (clone / "pyproject.toml").write_text("two")
    return clone


def launched(clone: Path) -> list[str]:
    """What the launcher does in this clone, called from a directory that has a package by the name of ours."""
    python, log, caller = clone.parent / "python", clone.parent / "log", clone.parent / "caller"
    python.write_text(PYTHON)
    python.chmod(0o755)
    (caller / "gateway").mkdir(parents=True, exist_ok=True)
    log.write_text("")
    env = {"PATH": "/usr/bin:/bin", "LOG": str(log), "DOKPLOY_PYTHON": str(python)}
    subprocess.run([clone / "dokploy", "up", "--port", "1"], cwd=caller, env=env, check=True)
    return log.read_text().splitlines()


def test_the_environment_is_made_once_and_nothing_is_taken_from_the_directory_of_the_caller(clone: Path) -> None:
    assert launched(clone) == ["venv", "sync", RUN]
    assert launched(clone) == [RUN]


def test_other_packages_are_installed_into_the_same_environment(clone: Path) -> None:
    launched(clone)
    (clone / "uv.lock").write_text("other")
    assert launched(clone) == ["sync", RUN]


@pytest.mark.parametrize("broken", ["absent", "dangling", "old"])
def test_an_environment_whose_python_does_not_work_is_made_anew(clone: Path, broken: str) -> None:
    launched(clone)
    python = clone / ".venv" / "bin" / "python"
    python.unlink()
    if broken == "dangling":
        python.symlink_to("/nonexistent/python3")
    elif broken == "old":
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
    assert launched(clone) == ["venv", "sync", RUN]


def test_a_clone_that_was_moved_is_installed_from_its_new_place(clone: Path) -> None:
    launched(clone)
    moved = clone.rename(clone.with_name("moved"))
    assert launched(moved) == ["sync", RUN]
    assert launched(moved) == [RUN]
