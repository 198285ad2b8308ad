"""The file of a backup, and the passphrase."""

import fcntl
import getpass
import io
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.plane import files, passphrase
from gateway.plane.errors import Busy, NoFile, NoPassphrase, NotForTerminals, ShortPassphrase, Unequal
from models.settings import settings

GOOD = "correct horse battery"


def test_a_file_is_there_only_once_it_is_placed_and_only_its_owners(tmp_path: Path) -> None:
    target = tmp_path / "backup"
    target.write_bytes(b"before")
    (tmp_path / "backup.part").write_bytes(b"what somebody who was killed has left, and rather more of it")
    (tmp_path / "backup.part").chmod(0o644)
    with files.draft(str(target)) as draft:
        assert draft.write(iter([b"new", b"er"])) == 5
        assert b"".join(draft.read()) == b"newer"
        assert target.read_bytes() == b"before"
        with pytest.raises(Busy, match=r"Another backup is being written to .*backup\.part\."), files.draft(str(target)):
            pass
        draft.place()
    assert target.read_bytes() == b"newer"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "backup"
    target.write_bytes(b"before")
    with pytest.raises(ValueError, match="broken"), files.draft(str(target)) as draft:
        draft.write([b"new"])
        raise ValueError("broken")
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    with pytest.raises(IsADirectoryError), files.draft(str(tmp_path)):
        pass
    (tmp_path / "other.part").symlink_to(target)
    with pytest.raises(OSError, match=r"other\.part"), files.draft(str(tmp_path / "other")):
        pass
    assert target.read_bytes() == b"before"


def test_a_draft_that_was_placed_while_somebody_waited_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, flock = tmp_path / "backup.part", fcntl.flock

    def placed_first(file: object, how: int) -> None:
        part.replace(tmp_path / "backup")
        flock(file, how)  # type: ignore[call-overload]

    part.write_bytes(b"theirs")
    monkeypatch.setattr(fcntl, "flock", placed_first)
    with pytest.raises(Busy), files.draft(str(tmp_path / "backup")):
        pass
    assert (tmp_path / "backup").read_bytes() == b"theirs"


def test_standard_output_gets_it_when_it_is_placed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "data", tmp_path)
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=out, isatty=lambda: False))
    with files.draft("-") as draft:
        draft.write([b"whole"])
        assert out.getvalue() == b""
        assert b"".join(draft.read()) == b"whole"
        draft.place()
    assert out.getvalue() == b"whole"
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(NotForTerminals), files.draft("-"):
        pass


def test_standard_input_is_kept_to_be_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "data", tmp_path / "none")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"whole")))
    with files.opened("-") as file:
        assert [b"".join(files.pieces(file)) for _ in range(2)] == [b"whole"] * 2
    with pytest.raises(NoFile, match=r"There is no file .*absent\."), files.opened(str(tmp_path / "absent")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_of_the_environment_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOKPLOY_PASSPHRASE", GOOD)
    assert passphrase.chosen() == GOOD
    assert "DOKPLOY_PASSPHRASE" not in os.environ
    monkeypatch.setenv("DOKPLOY_PASSPHRASE", "elevenchars")
    with pytest.raises(ShortPassphrase, match="12 characters or more"):
        passphrase.chosen()
    monkeypatch.setenv("DOKPLOY_PASSPHRASE", "short")
    assert passphrase.known() == "short"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What somebody types in answer to each question."""
    answers: list[str] = []
    monkeypatch.delenv("DOKPLOY_PASSPHRASE", raising=False)
    monkeypatch.setattr(Path, "open", lambda *_: io.BytesIO())
    monkeypatch.setattr(getpass, "getpass", lambda question: answers.pop(0))
    return answers


def test_a_person_is_asked_twice_for_a_new_one_and_once_for_a_known_one(terminal: list[str]) -> None:
    terminal[:] = [GOOD, GOOD]
    assert passphrase.chosen() == GOOD
    terminal[:] = [GOOD, "correct horse batterie"]
    with pytest.raises(Unequal):
        passphrase.chosen()
    terminal[:] = ["short"]
    with pytest.raises(ShortPassphrase):
        passphrase.chosen()
    terminal[:] = [GOOD]
    assert passphrase.known() == GOOD
    terminal[:] = [""]
    with pytest.raises(NoPassphrase):
        passphrase.known()


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise OSError

    monkeypatch.delenv("DOKPLOY_PASSPHRASE", raising=False)
    monkeypatch.setattr(Path, "open", absent)
    with pytest.raises(NoPassphrase, match="set DOKPLOY_PASSPHRASE"):
        passphrase.known()
