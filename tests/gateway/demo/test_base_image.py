import io
import json
import shutil
import struct
import sys
import tarfile
from pathlib import Path

import pytest

from gateway.demo import base_image
from gateway.demo.base_image import APPLETS, BASE_IMAGE, BaseImageError, build_tar, ensure_base_image, is_static


def elf(*header_types: int, bits: int = 64, order: str = "<") -> bytes:
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1 if order == "<" else 2]) + bytes(10)
    if bits == 64:
        head = struct.pack(f"{order}HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(header_types), 0, 0, 0)
    else:
        head = struct.pack(f"{order}HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, len(header_types), 0, 0, 0)
    return ident + head + b"".join(struct.pack(f"{order}I", kind).ljust(56 if bits == 64 else 32, b"\0") for kind in header_types)


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "busybox"
    path.parent.mkdir()
    path.write_bytes(elf(1, 1))
    path.chmod(0o755)
    return path


def test_the_tar_is_deterministic(busybox: Path, tmp_path: Path) -> None:
    first = build_tar(busybox)
    other = tmp_path / "other"
    other.write_bytes(busybox.read_bytes())
    other.chmod(0o600)
    assert build_tar(other) == first
    other.write_bytes(b"another")
    assert build_tar(other) != first


def test_the_tar_holds_busybox_its_applets_and_two_accounts(busybox: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(build_tar(busybox))) as tar:
        members = {member.name: member for member in tar.getmembers()}
        content = tar.extractfile("bin/busybox")
        passwd = tar.extractfile("etc/passwd")
        assert content is not None
        assert passwd is not None
        assert content.read() == busybox.read_bytes()
        assert [line.split(b":")[0] for line in passwd.read().splitlines()] == [b"root", b"nobody"]
    applets = {name.removeprefix("bin/") for name, member in members.items() if member.issym() and member.linkname == "busybox"}
    assert applets == set(APPLETS.split())
    assert applets >= {"sh", "httpd", "wget"}
    assert set(members) == {"bin", "etc", "root", "tmp", "bin/busybox", "etc/passwd", "etc/group", *(f"bin/{applet}" for applet in applets)}
    assert members["bin/busybox"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members.values()} == {(0, 0, 0, "")}


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_executable_without_a_loader_is_static(tmp_path: Path, bits: int, order: str) -> None:
    path = tmp_path / "executable"
    path.write_bytes(elf(6, 1, 1, bits=bits, order=order))
    assert is_static(path)
    path.write_bytes(elf(6, 3, 1, bits=bits, order=order))
    assert not is_static(path)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" + bytes(100)])
def test_anything_else_is_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "executable"
    path.write_bytes(content)
    assert not is_static(path)


class Docker:
    """A stand-in for the docker client: it knows some images, and can or cannot pull."""

    def __init__(self, directory: Path, *, images: list[str], pull: str) -> None:
        self.log = directory / "log"
        self.stdin = directory / "stdin"
        self.program = directory / "docker"
        self.program.write_text(f"""#!{sys.executable} -S
import json, sys, time
argv = sys.argv[1:]
with open({str(self.log)!r}, "a") as log:
    log.write(json.dumps(argv) + "\\n")
if argv[0] in ("image", "tag"):
    pulled = argv[0] == "tag" and {pull!r} == "works" and '"pull"' in open({str(self.log)!r}).read()
    sys.exit(not (pulled or argv[1 if argv[0] == "tag" else 2] in {images!r}))
if argv[0] == "pull":
    if {pull!r} == "hangs":
        time.sleep(60)
    print("no such host", file=sys.stderr)
    sys.exit({pull!r} != "works")
if argv[0] == "import":
    open({str(self.stdin)!r}, "wb").write(sys.stdin.buffer.read())
    if {pull!r} == "broken":
        sys.exit("no space left")
""")
        self.program.chmod(0o755)

    @property
    def commands(self) -> list[str]:
        return [" ".join(json.loads(line)) for line in self.log.read_text().splitlines()]


LOOK = f"image inspect {BASE_IMAGE}"
TAG = f"tag busybox:stable {BASE_IMAGE}"
PULL = "pull --quiet busybox:stable"
IMPORT = f'import --change CMD ["sh"] - {BASE_IMAGE}'


@pytest.mark.parametrize(
    ("images", "commands"),
    [([BASE_IMAGE], [LOOK]), (["busybox:stable"], [LOOK, TAG]), ([], [LOOK, TAG, PULL, TAG])],
    ids=["base", "public", "none"],
)
async def test_an_image_that_can_be_had_is_taken(tmp_path: Path, images: list[str], commands: list[str]) -> None:
    docker, said = Docker(tmp_path, images=images, pull="works"), list[str]()
    assert await ensure_base_image(docker.program, said.append) == BASE_IMAGE
    assert docker.commands == commands
    assert said == []


@pytest.mark.parametrize(("pull", "reason"), [("fails", "no such host"), ("hangs", "no answer within 0.5 s")])
async def test_without_a_registry_it_is_imported(
    tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch, pull: str, reason: str
) -> None:
    monkeypatch.setenv("PATH", str(busybox.parent))
    monkeypatch.setattr(base_image, "PULL_SECONDS", 0.5)
    docker, said = Docker(tmp_path, images=[], pull=pull), list[str]()
    assert await ensure_base_image(str(docker.program), said.append) == BASE_IMAGE
    assert docker.commands == [LOOK, TAG, PULL, IMPORT]
    assert docker.stdin.read_bytes() == build_tar(busybox)
    assert said == [f"busybox:stable cannot be pulled ({reason}): making {BASE_IMAGE} from the distribution's static busybox"]


async def test_what_it_does_is_said_on_standard_error(
    tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(busybox.parent))
    await ensure_base_image(Docker(tmp_path, images=[], pull="fails").program)
    assert "making dokploy-demo-base:1" in capsys.readouterr().err


async def test_an_import_that_fails_says_why(tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(busybox.parent))
    with pytest.raises(BaseImageError, match="no space left"):
        await ensure_base_image(Docker(tmp_path, images=[], pull="broken").program, lambda _: None)


async def test_without_docker_it_says_so(tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(busybox.parent))
    with pytest.raises(BaseImageError, match="No such file"):
        await ensure_base_image(tmp_path / "no-docker", lambda _: None)


async def test_without_any_static_busybox_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "busybox").write_bytes(elf(3))
    (tmp_path / "busybox").chmod(0o755)
    with pytest.raises(BaseImageError, match="there is no static busybox here"):
        await ensure_base_image(Docker(tmp_path, images=[], pull="fails").program, lambda _: None)


async def test_a_missing_busybox_is_unpacked_from_its_package(tmp_path: Path, busybox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, log = tmp_path / "programs", tmp_path / "apt"
    programs.mkdir()
    # The package is not known before the lists are updated; dpkg-deb puts the executable where the merged /usr has it.
    mkdir, cp = shutil.which("mkdir"), shutil.which("cp")
    scripts = {
        "apt-get": f"""echo "$*" >> {log}
case $1 in
    update) : > {log}.updated ;;
    download) [ -e {log}.updated ] && : > busybox-static_1_amd64.deb ;;
esac""",
        "dpkg-deb": f"""echo "$1 ${{2##*/}}" >> {log}
{mkdir} -p "$3/usr/bin" && {cp} {busybox} "$3/usr/bin/busybox\"""",
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    docker, said = Docker(tmp_path, images=[], pull="fails"), list[str]()
    await ensure_base_image(docker.program, said.append)
    assert docker.stdin.read_bytes() == build_tar(busybox)
    assert log.read_text().splitlines() == [
        "download busybox-static",
        "update",
        "download busybox-static",
        "--extract busybox-static_1_amd64.deb",
    ]
    assert said[1:] == ["there is no static busybox: fetching it with `apt-get download busybox-static`, without installing it"]
