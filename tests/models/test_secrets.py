"""Secrets at rest, keys made on first start, passwords."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from models import passwords, secrets
from models.settings import settings


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(settings(), "data", tmp_path)
    secrets.cipher.cache_clear()
    secrets.token_key.cache_clear()
    yield tmp_path
    secrets.cipher.cache_clear()
    secrets.token_key.cache_clear()


def test_keys_are_made_once_and_only_their_owner_may_read_them(data: Path) -> None:
    first = secrets.token_key()
    secrets.token_key.cache_clear()
    assert secrets.token_key() == first
    assert len(first) >= 32
    secrets.cipher()
    for path in (data / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_one_key(data: Path) -> None:
    found: list[bytes] = []
    makers = [
        threading.Thread(target=lambda n=n: found.append(secrets._first_start(data / "keys" / "x", str(n).encode())))  # type: ignore[misc]
        for n in range(16)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(set(found)) == 1
    assert [path.name for path in (data / "keys").iterdir()] == ["x"]


def test_a_value_survives_the_rotation_of_keys(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    field = secrets.EncryptedJSONField()
    monkeypatch.setattr(settings(), "secret_keys", [SecretStr(old)])
    stored = field.to_db_value([{"value": "hunter22"}], None)
    assert stored is not None
    assert "hunter22" not in stored
    secrets.cipher.cache_clear()
    monkeypatch.setattr(settings(), "secret_keys", [SecretStr(new), SecretStr(old)])
    assert field.to_python_value(stored) == [{"value": "hunter22"}]
    secrets.cipher.cache_clear()
    monkeypatch.setattr(settings(), "secret_keys", [SecretStr(new)])
    with pytest.raises(secrets.UnreadableSecret, match="cannot be read with the configured keys"):
        field.to_python_value(stored)


def test_a_short_token_key_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "token_key", SecretStr("short"))
    with pytest.raises(secrets.WeakTokenKey, match="shorter than 32 bytes"):
        secrets.token_key()


async def test_a_password_fits_only_itself() -> None:
    stored = await passwords.hashed("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,")
    assert await passwords.verify(stored, "correct horse battery")
    assert not await passwords.verify(stored, "correct horse")
    assert not await passwords.verify("not a hash", "correct horse battery")
    assert not await passwords.verify(None, "nobody has this password")
