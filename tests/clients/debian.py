"""Programs out of Debian's packages: unpacked and not installed, since some would start a server by themselves."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.clients.programs import ran, unavailable

APT_SECONDS = 60.0


async def unpacked(package: str, programs: Sequence[str], directory: Path) -> list[Path]:
    """Where programs are: on this machine, or else out of their package, in a directory. Skips the test where that cannot be had."""
    found = [shutil.which(each) for each in programs]
    if all(found):
        return [Path(each) for each in found if each]
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        unavailable(f"NO {package.upper()}: it is not on this machine, and there is no apt-get to fetch it with")
    try:
        await ran("apt-get", "download", package, cwd=directory, within=APT_SECONDS)
    except AssertionError:  # it has no list of packages, or an old one
        await ran("apt-get", "update", cwd=directory, within=APT_SECONDS)
        await ran("apt-get", "download", package, cwd=directory, within=APT_SECONDS)
    (archive,) = directory.glob(f"{package}_*.deb")
    await ran("dpkg-deb", "--extract", archive, directory, cwd=directory, within=APT_SECONDS)
    return [directory / "usr" / "bin" / each for each in programs]
