"""The house rules that imports can show: who may import whom, and which library lives in which room."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("gateway", "schema", "workers", "models")

ALLOWED = {
    "gateway": {"gateway", "schema", "workers", "models"},
    "schema": {"schema", "workers", "models"},
    "workers": {"workers", "models"},
    "models": {"models"},
}

CONFINED = {
    "python_on_whales": ("workers/docker.py",),
    "aiodocker": ("workers/engine.py",),
    "starlette": ("gateway/",),
    "strawberry": ("schema/", "gateway/"),
    "graphql": ("schema/plan/", "schema/documents/", "gateway/graphql.py"),
    "authlib": ("gateway/oidc/",),
    "joserfc": ("gateway/oidc/",),
    "obstore": ("models/backup_storage/",),
    "subprocess": ("workers/processes.py", "gateway/embedded/", "gateway/demo/"),
}

LONGEST = 400
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base_service"}


def modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(path: Path, found: list[str]) -> list[str]:
    """What a module's imports break, as sentences."""
    relative = path.relative_to(ROOT).as_posix()
    room = relative.split("/")[0]
    broken = []
    for name in found:
        top = name.split(".")[0]
        if top in ROOMS and top not in ALLOWED[room]:
            broken.append(f"{relative} imports {name}: {room} stands below {top}")
        if top == "workers" and room in ("gateway", "schema") and name.count(".") and is_module(name):
            broken.append(f"{relative} imports {name}: only workers itself may be imported here")
        for library, places in CONFINED.items():
            if top == library and not relative.startswith(places):
                broken.append(f"{relative} imports {name}: it lives in {', '.join(places)}")
    return broken


def is_module(name: str) -> bool:
    return (ROOT / (name.replace(".", "/") + ".py")).exists()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    assert violations(path, list(imports(path))) == []


def test_the_check_finds_what_is_forbidden() -> None:
    module = ROOT / "models" / "rows.py"
    assert violations(module, ["workers.states", "strawberry", "subprocess"]) == [
        "models/rows.py imports workers.states: models stands below workers",
        "models/rows.py imports strawberry: it lives in schema/, gateway/",
        "models/rows.py imports subprocess: it lives in workers/processes.py, gateway/embedded/, gateway/demo/",
    ]
    assert violations(ROOT / "schema" / "page.py", ["workers.docker"])
    assert violations(ROOT / "schema" / "page.py", ["workers"]) == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_small_and_named_for_what_it_holds(path: Path) -> None:
    if "migrations" not in path.parts:
        assert len(path.read_text().splitlines()) <= LONGEST
    assert path.stem not in FORBIDDEN_NAMES


def test_child_processes_never_go_through_a_shell() -> None:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                assert not any(keyword.arg == "shell" for keyword in node.keywords), path
                assert not (isinstance(node.func, ast.Attribute) and node.func.attr == "create_subprocess_shell"), path


def test_asyncio_starts_processes_only_where_that_is_allowed() -> None:
    for path in modules():
        relative = path.relative_to(ROOT).as_posix()
        if "create_subprocess_exec" in path.read_text() or "subprocess_exec" in path.read_text():
            assert relative.startswith(CONFINED["subprocess"]), relative
