"""The image the sample starts from, also where no image registry can be reached: then it is made from a static busybox."""

import asyncio
import io
import os
import shutil
import signal
import struct
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

BASE_IMAGE: Final = "dokploy-demo-base:1"
PUBLIC_IMAGE: Final = "busybox:stable"
PULL_SECONDS: Final = 15.0

APPLETS: Final = """
[ ash awk base64 basename cat chmod chown cp cut date dd df dirname du echo env expr false find grep gzip head hostname httpd id ip kill ln
ls md5sum mkdir mktemp mv nc nslookup od ping printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum sleep sort stat stty sync tail
tar tee test time timeout top touch tr true tty uname uniq unzip uptime vi wc wget which whoami xargs yes zcat
"""
_ACCOUNTS: Final = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
_GROUPS: Final = "root:x:0:\nnogroup:x:65534:\n"
_INTERPRETER: Final = 3
"""PT_INTERP: the program header that names the dynamic loader; a static executable has none."""


class BaseImageError(Exception):
    """The base image of the sample could not be had."""


def build_tar(busybox: Path) -> bytes:
    """A root file system with nothing but this busybox, its applets and two accounts; equal input gives equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            _add(tar, name, tarfile.DIRTYPE, mode)
        _add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, busybox.read_bytes())
        for applet in APPLETS.split():
            _add(tar, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        _add(tar, "etc/passwd", tarfile.REGTYPE, 0o644, _ACCOUNTS.encode())
        _add(tar, "etc/group", tarfile.REGTYPE, 0o644, _GROUPS.encode())
    return buffer.getvalue()


def is_static(executable: Path) -> bool:
    """Whether this is a Linux executable that needs no dynamic loader, and so runs in an otherwise empty image."""
    data = executable.read_bytes()
    if data[:4] != b"\x7fELF" or len(data) < 64:
        return False
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (table,) = struct.unpack_from(f"{order}Q", data, 32) if wide else struct.unpack_from(f"{order}I", data, 28)
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    types = (struct.unpack_from(f"{order}I", data, table + index * size)[0] for index in range(count))
    return _INTERPRETER not in types


async def ensure_base_image(docker: Path | str, report: Callable[[str], None] | None = None) -> str:
    """Take the image if it is there, pull it if it can be, else import it; its name. Raises `BaseImageError`."""
    report = report or _to_stderr
    docker = str(docker)
    if (await _run(docker, "image", "inspect", BASE_IMAGE))[0]:
        return BASE_IMAGE
    if (await _run(docker, "tag", PUBLIC_IMAGE, BASE_IMAGE))[0]:
        return BASE_IMAGE
    pulled, why = await _run(docker, "pull", "--quiet", PUBLIC_IMAGE, seconds=PULL_SECONDS)
    if pulled:
        await _must(docker, "tag", PUBLIC_IMAGE, BASE_IMAGE)
        return BASE_IMAGE
    report(f"{PUBLIC_IMAGE} cannot be pulled ({_last_line(why)}): making {BASE_IMAGE} from the distribution's static busybox")
    async with _static_busybox(report) as busybox:
        content = await asyncio.to_thread(build_tar, busybox)
    await _must(docker, "import", "--change", 'CMD ["sh"]', "-", BASE_IMAGE, stdin=content)
    return BASE_IMAGE


@asynccontextmanager
async def _static_busybox(report: Callable[[str], None]) -> AsyncIterator[Path]:
    found = shutil.which("busybox")
    if found and is_static(Path(found)):
        yield Path(found)
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise BaseImageError(
            f"{BASE_IMAGE} cannot be made: there is no static busybox here; install one, or `docker tag` an image with busybox"
        )
    # Unpacked and not installed: the package would replace a dynamic busybox, and this way it needs no root and leaves nothing behind.
    report("there is no static busybox: fetching it with `apt-get download busybox-static`, without installing it")
    with tempfile.TemporaryDirectory(prefix="dokploy-busybox-") as name:
        directory = Path(name)
        if not (await _run("apt-get", "download", "busybox-static", directory=directory))[0]:
            await _run("apt-get", "update")
            await _must("apt-get", "download", "busybox-static", directory=directory)
        await _must("dpkg-deb", "--extract", str(_only(directory, "*.deb")), str(directory))
        yield _only(directory, "**/bin/busybox")


def _only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found


async def _must(*argv: str, stdin: bytes | None = None, directory: Path | None = None) -> None:
    succeeded, output = await _run(*argv, stdin=stdin, directory=directory)
    if not succeeded:
        raise BaseImageError(f"{BASE_IMAGE} cannot be made: `{' '.join(argv[:3])}`: {_last_line(output)}")


async def _run(*argv: str, stdin: bytes | None = None, directory: Path | None = None, seconds: float = 120.0) -> tuple[bool, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        return False, f"{argv[0]}: {error.strerror}"
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate(stdin)
    except TimeoutError:
        return False, f"no answer within {seconds:g} s"
    finally:
        if process.returncode is None:
            # The group: a wrapper script's child would keep the pipe open.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode == 0, output.decode(errors="replace")


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
    tar.addfile(entry, io.BytesIO(content))


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no reason given")


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
