"""What a process loads: whoever rings for nobody holds nothing for ringing, and the floors above get all of the workers that they may."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import workers

ABOVE: Final = {"gateway", "schema", "strawberry", "graphql", "starlette", "uvicorn"}
RINGING: Final = {"dramatiq", "redis", "workers.rings", "workers.broker", "workers.wishes", "workers.databases.wishes"}
STORING: Final = {"obstore", "models.backup_storage", "models.sealed"}
NOT_LOADED: Final = {
    "workers.edge.__main__": ABOVE | RINGING | STORING | {"bson", "workers.databases"},
    "workers.monitor.__main__": ABOVE | RINGING - {"redis"} | STORING | {"python_on_whales", "workers.docker", "httpx2", "dns"},
}


def test_a_process_loads_nothing_that_it_never_uses() -> None:
    program = "import json, sys, {}; print(json.dumps([*sys.modules]))"
    started = {process: subprocess.Popen([sys.executable, "-c", program.format(process)], stdout=subprocess.PIPE) for process in NOT_LOADED}
    for process, each in started.items():
        loaded = set(json.loads(each.communicate(timeout=60)[0]))
        assert process in loaded
        assert NOT_LOADED[process] & loaded == set(), process


def named_for_mypy() -> Iterator[str]:
    """The names that the package has as far as mypy knows."""
    for node in ast.parse(Path(workers.__file__).read_text()).body:
        if isinstance(node, ast.If):
            imported = [each for each in node.body if isinstance(each, ast.ImportFrom)]
            yield from (alias.asname or alias.name for each in imported for alias in each.names)


def test_every_name_of_the_workers_is_what_mypy_takes_it_for() -> None:
    assert sorted(named_for_mypy()) == sorted(workers.__all__)
    for node in ast.walk(ast.parse(Path(workers.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("workers."):
            home = __import__(str(node.module), fromlist=[alias.name for alias in node.names])
            for alias in node.names:
                assert getattr(workers, alias.asname or alias.name) is getattr(home, alias.name)


def test_a_name_that_the_workers_do_not_have_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        workers.nothing  # type: ignore[attr-defined] # noqa: B018
