"""Small disks: a file system in memory, laid over a folder so that what is written there fills it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docker.installation import eventually
from tests.docker.managed import Managed
from workers import processes


@dataclass(frozen=True)
class SmallDisk:
    """A disk and the folder that it is laid over."""

    path: Path

    @property
    def used(self) -> int:
        """KiB that are written on it."""
        told = os.statvfs(self.path)
        return (told.f_blocks - told.f_bfree) * told.f_frsize >> 10

    @property
    def files(self) -> list[Path]:
        """All files on it."""
        return [path for path in self.path.rglob("*") if path.is_file()]

    async def has(self, free: int) -> None:
        """Make it larger or smaller, so that so many KiB are free."""
        await _told("mount", "-o", f"remount,size={self.used + free}k", str(self.path))


@asynccontextmanager
async def small_disk(path: Path, kibibytes: int) -> AsyncIterator[SmallDisk]:
    """An empty disk over a folder, which is made when there is none, as whose owner's it looks."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = path.stat()
    await _told("mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,mode={owner.st_mode & 0o777:o}", "tmpfs", str(path))
    try:
        os.chown(path, owner.st_uid, owner.st_gid)
        yield SmallDisk(path)
    finally:
        await _told("umount", "-l", str(path))


@asynccontextmanager
async def fresh_volume(database: Managed, kibibytes: int) -> AsyncIterator[SmallDisk]:
    """A disk over the volume that the first attempt at a restore makes, as soon as it is there."""
    volume = await database.volume()

    async def look() -> Path | None:
        return next((each for each in volume.parents[1].glob(f"{database.service_name}-*-1/_data")), None)

    async with small_disk(await eventually(look, within=60, every=0.002), kibibytes) as disk:
        yield disk


@asynccontextmanager
async def small_volume(database: Managed) -> AsyncIterator[SmallDisk]:
    """A disk over the volume of a database that does not run, holding what the volume holds; a gibibyte large at first."""
    volume = await database.volume()
    aside = volume.with_name("aside")
    async with small_disk(aside, 1 << 20) as disk:
        await _told("cp", "-a", f"{volume}/.", str(disk.path))
        os.chown(disk.path, volume.stat().st_uid, volume.stat().st_gid)
        disk.path.chmod(volume.stat().st_mode & 0o777)
        await _told("mount", "--bind", str(disk.path), str(volume))
        try:
            yield disk
        finally:
            await _told("umount", "-l", str(volume))
    aside.rmdir()


async def _told(*argv: str) -> None:
    done = await processes.run(list(argv), env=dict(os.environ), deadline=60)
    assert done.returncode == 0, done.tail
