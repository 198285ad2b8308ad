"""What the demo wipes, and what it refuses to."""

from pathlib import Path

import pytest

from gateway.demo import play
from gateway.demo.directory import MARKER, STACK, NotTheDemos, demo_directory
from gateway.embedded.directory import AlreadyRunning, held


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "parent" / "demo"


def contents(path: Path) -> set[str]:
    return {each.name for each in path.iterdir()}


def test_an_absent_or_empty_directory_is_taken(data: Path) -> None:
    with demo_directory(data):
        assert contents(data) == {MARKER}
    (data / MARKER).unlink()
    with demo_directory(data):
        assert contents(data) == {MARKER}


def test_the_directory_of_an_earlier_demo_is_wiped(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    with demo_directory(data):
        (data / STACK / "postgres").mkdir(parents=True)
        (data / "stack.log").touch()
        (data / "link").symlink_to(outside)
    with demo_directory(data):
        assert contents(data) == {MARKER}
    assert contents(outside) == {"file"}


async def test_any_other_directory_is_refused_in_a_sentence(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.mkdir(parents=True)
    (data / "thesis").touch()
    with pytest.raises(NotTheDemos, match="was not made by the demo"):
        demo_directory(data).__enter__()
    with pytest.raises(NotTheDemos, match="is not a directory"):
        demo_directory(data / "thesis").__enter__()
    assert await play.demo(data, keep=False) == 1
    assert contents(data) == {"thesis"}


def test_a_demo_that_runs_is_left_alone(data: Path) -> None:
    with demo_directory(data):
        (data / "hello.git").touch()
        with pytest.raises(NotTheDemos, match="already running"):
            demo_directory(data).__enter__()
        assert contents(data) == {MARKER, "hello.git"}


def test_an_installation_that_outlived_its_demo_is_left_alone(data: Path) -> None:
    with demo_directory(data):
        pass
    with held(data / STACK):
        with pytest.raises(AlreadyRunning):
            demo_directory(data).__enter__()
        assert contents(data) == {MARKER, STACK}
