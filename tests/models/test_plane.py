"""Archives of the control plane: what is read is what was written, and anything else is said to be."""

import asyncio
import random
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from models import sealed
from models.plane import catalog, keys
from models.plane.archive import BATCH, Contents, Keys, Manifest, Sequences, Sums, Table, Writer, checked, items
from models.plane.bridge import AHEAD, Interrupted, taken
from models.plane.envelope import packed, unpacked
from models.plane.errors import Damaged, NewerBackup, NotABackup, OtherKeys, WrongPassphrase
from models.plane.load import refuse_newer
from models.settings import settings

PASSPHRASE = "correct horse battery"
MANIFEST = Manifest(
    dokploy="0.1.0", migration="0009_databases", taken_at=datetime(2026, 1, 2, tzinfo=UTC), installation=UUID(int=7), postgres="18.4"
)
KEYS = Keys(("secret",), "token" * 8)
ROWS = {"small": b"1\ta\\nb\n2\t\\N\n", "none": b"", "large": b"".join(b"%d\t%d\n" % (n, n * n) for n in range(60_000))}
SEQUENCES = Sequences({"large_id_seq": (60_000, True)})


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase's key in no time: these tests need hundreds."""
    monkeypatch.setattr(sealed, "passphrase_key", lambda passphrase, salt: sha256(passphrase.encode() + salt).digest())


async def written(manifest: Manifest = MANIFEST) -> tuple[Contents, list[bytes]]:
    chunks: list[bytes] = []

    async def emit(chunk: bytes) -> None:
        chunks.append(chunk)

    writer = Writer(emit)
    await writer.begin(manifest, KEYS)
    for name, rows in ROWS.items():
        await writer.table(Table(name, ("id", "value")))
        for start in range(0, len(rows), 1000):
            await writer.rows(rows[start : start + 1000])
        await writer.end_table()
    return await writer.end(SEQUENCES), chunks


def cut(whole: bytes, size: int) -> Iterator[bytes]:
    return (whole[start : start + size] for start in range(0, len(whole), size))


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 22])
async def test_what_is_read_is_what_was_written_however_it_is_cut(size: int, cheap: None) -> None:
    contents, chunks = await written()
    assert contents.tables["large"] == Sums(60_000, len(ROWS["large"]), sha256(ROWS["large"]).hexdigest())
    assert contents.total.rows == 60_002
    assert checked(cut(b"".join(chunks), size)) == contents
    found, name = dict.fromkeys(ROWS, b""), ""
    for item in items(unpacked(packed(chunks, PASSPHRASE), PASSPHRASE)):
        if isinstance(item, Table):
            name = item.name
        elif isinstance(item, bytes):
            assert len(item) <= BATCH
            found[name] += item
    assert found == ROWS


async def test_whatever_is_cut_off_changed_or_added_is_noticed(cheap: None) -> None:
    _, chunks = await written()
    whole = b"".join(packed(chunks, PASSPHRASE))
    dice = random.Random(1)
    for size in [0, 1, 7, 8, 24, 63, 64, 65, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(100))]:
        with pytest.raises((Damaged, NotABackup)):
            checked(unpacked(cut(whole[:size], 999), PASSPHRASE))
    for place in [0, 7, 8, 23, 24, 40, 63, 64, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(100))]:
        changed = bytearray(whole)
        changed[place] ^= 1 << dice.randrange(8)
        with pytest.raises((Damaged, NotABackup, WrongPassphrase)):
            checked(unpacked(cut(bytes(changed), 999), PASSPHRASE))
    with pytest.raises(Damaged):
        checked(unpacked(cut(whole + b"x", 999), PASSPHRASE))
    with pytest.raises(WrongPassphrase):
        checked(unpacked([whole], f"{PASSPHRASE}!"))
    with pytest.raises(NotABackup):
        checked(unpacked([b"something else" * 99], PASSPHRASE))


async def test_an_archive_that_says_one_thing_and_holds_another_is_damaged(cheap: None) -> None:
    """As a mistake of ours would write it; nobody else can."""
    _, chunks = await written()
    frames = len(chunks)
    for number in range(frames):
        with pytest.raises(Damaged):
            checked(chunks[:number] + chunks[number + 1 :])
    for number in range(1, frames + 1):
        with pytest.raises(Damaged):
            checked([*chunks[:number], b"R\0\0\0\2x\n", *chunks[number:]])
    with pytest.raises(Damaged):
        checked([*chunks, chunks[-1]])
    for foreign in (b"?\0\0\0\0", b"M\xff\xff\xff\xff", b"M\0\0\0\1x", b"M\0\0\0\2{}"):
        with pytest.raises(Damaged):
            checked([foreign])
    for rest in ([b"more"], [b""]):
        packer = b"".join(packed([*chunks, *rest], PASSPHRASE))
        if rest[0]:
            with pytest.raises(Damaged):
                checked(unpacked([packer], PASSPHRASE))
        else:
            assert checked(unpacked([packer], PASSPHRASE)).total.rows == 60_002


async def test_an_archive_of_a_later_format_or_version_is_refused(cheap: None) -> None:
    _, chunks = await written(msgspec.structs.replace(MANIFEST, format=2))
    with pytest.raises(NewerBackup, match="made by a newer dokploy"):
        checked(chunks)
    await refuse_newer(MANIFEST)
    for newer in ({"dokploy": "0.10.0"}, {"dokploy": "1.0.0.dev1"}, {"migration": "9999_later"}):
        with pytest.raises(NewerBackup, match="newer than this one"):
            await refuse_newer(msgspec.structs.replace(MANIFEST, **newer))


def test_the_tables_and_their_secrets_are_those_of_the_models() -> None:
    assert {"account", "event", "database_backup", "domain", "webhook_delivery", "tally", "tortoise_migrations"} <= catalog.ours()
    assert {("application", "env_vars"), ("application", "git_token"), ("deployment", "snapshot"), ("domain", "own")} <= set(
        catalog.encrypted()
    )
    assert catalog.quoted(("a", 'b"c')) == '"a", "b""c"'


async def test_what_is_written_is_taken_a_few_pieces_at_a_time() -> None:
    ahead, seen = 0, 0

    async def write(emit: object) -> str:
        nonlocal ahead
        for number in range(100):
            await emit(bytes([number]))  # type: ignore[operator]
            ahead = max(ahead, number + 1 - seen)
        return "written"

    def take(pieces: Iterator[bytes]) -> int:
        nonlocal seen
        for _ in pieces:
            seen += 1
        return seen

    assert await taken(write, take) == ("written", 100)
    assert ahead <= AHEAD + 2


async def test_what_goes_wrong_on_either_side_ends_both() -> None:
    ended: list[BaseException] = []

    async def write(emit: object) -> None:
        try:
            while True:
                await emit(b"x")  # type: ignore[operator]
        except BaseException as error:
            ended.append(error)
            raise

    def take(pieces: Iterator[bytes]) -> None:
        next(pieces)
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        await taken(write, take)
    assert isinstance(ended.pop(), asyncio.CancelledError)

    async def fail(emit: object) -> None:
        await emit(b"x")  # type: ignore[operator]
        raise ValueError("gone")

    def watch(pieces: Iterator[bytes]) -> None:
        try:
            list(pieces)
        except BaseException as error:
            ended.append(error)
            raise

    with pytest.raises(ValueError, match="gone"):
        await taken(fail, watch)
    assert isinstance(ended.pop(), ValueError)

    async def wait(emit: object) -> None:
        await asyncio.Event().wait()

    running = asyncio.ensure_future(taken(wait, watch))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert isinstance(ended.pop(), Interrupted)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("data", tmp_path), ("secret_keys", []), ("token_key", None)):
        monkeypatch.setattr(settings(), name, value)
    return tmp_path


def test_keys_are_put_where_none_are_and_nowhere_else(data: Path) -> None:
    assert keys.in_effect() == Keys((), None)
    assert not (data / "keys").exists()
    kept = Keys((Fernet.generate_key().decode(), Fernet.generate_key().decode()), "t" * 64)
    made = keys.put(kept)
    assert keys.in_effect() == kept
    assert [path.name for path in made] == ["secrets", "tokens"] == sorted(path.name for path in (data / "keys").iterdir())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in made)
    assert keys.put(kept) == []
    for others, name in ((Keys(("other",), kept.token_key), "secrets"), (Keys(kept.secret_keys, "other"), "tokens")):
        with pytest.raises(OtherKeys, match=rf"keys/{name} has other keys than the backup: move it away if nothing needs it\.$"):
            keys.put(others)
    assert keys.in_effect() == kept
    keys.take_away(made)
    assert keys.in_effect() == Keys((), None)


def test_keys_that_are_configured_are_said_by_their_setting(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "secret_keys", [SecretStr("new"), SecretStr("old")])
    assert [path.name for path in keys.put(Keys(("old",), "t" * 64))] == ["tokens"]  # rotated meanwhile
    with pytest.raises(OtherKeys, match=r"^DOKPLOY_SECRET_KEYS has other keys than the backup"):
        keys.put(Keys(("older",), None))
    monkeypatch.setattr(settings(), "token_key", SecretStr("u" * 64))
    with pytest.raises(OtherKeys, match=r"^DOKPLOY_TOKEN_KEY has other keys than the backup: let it name the backup's, or nothing\.$"):
        keys.put(Keys(("old",), "t" * 64))
    monkeypatch.setattr(settings(), "token_key", SecretStr(""))
    assert keys.in_effect().token_key == "t" * 64


def test_keys_that_came_meanwhile_are_left_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "keys").mkdir()
    (data / "keys" / "tokens").write_text("theirs")
    monkeypatch.setattr(keys, "in_effect", lambda: Keys((), None))
    with pytest.raises(OtherKeys, match="tokens has other keys"):
        keys.put(Keys(("mine",), "mine"))
    assert [path.name for path in (data / "keys").iterdir()] == ["tokens"]
    assert (data / "keys" / "tokens").read_text() == "theirs"
