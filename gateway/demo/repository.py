"""A bare git repository that is committed to without a work tree: what the demo deploys from, and what tests clone from."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.demo import git
from gateway.demo.git_http import Manner, Server, Wants

AUTHOR: Final = "Ada Lovelace <ada@example.com>"


@dataclass(frozen=True)
class Repository:
    """The bare git repository at `path`."""

    path: Path

    @classmethod
    def create(cls, path: Path, content: Path, *, branch: str = "main") -> "Repository":
        """Make one at `path`, where nothing is yet, whose first commit is a copy of the directory `content`."""
        repository = cls(path.resolve())
        git.output_of("init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", str(repository.path))
        files = {file.relative_to(content).as_posix(): file for file in sorted(content.rglob("*")) if file.is_file()}
        entries = [_modify(name, file.read_bytes(), executable=os.access(file, os.X_OK)) for name, file in files.items()]
        repository._import("First version", entries, branch=branch, parent=None)
        return repository

    def commit(self, message: str, changes: Mapping[str, str | None], *, branch: str = "main") -> str:
        """Commit new contents of files, None deleting one, on a branch, which starts where HEAD is if it is new. The commit's hash."""
        entries = [_delete(name) if text is None else _modify(name, text.encode()) for name, text in changes.items()]
        return self._import(message, entries, branch=branch, parent=f"refs/heads/{branch}^0" if branch in self.branches() else "HEAD^0")

    def branches(self) -> dict[str, str]:
        """The hash of each branch's last commit."""
        lines = self._git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/").decode().splitlines()
        return {name.removeprefix("refs/heads/"): commit for commit, name in (line.split(" ", 1) for line in lines)}

    @asynccontextmanager
    async def serve(
        self, *, hang: bool = False, dumb: bool = False, protocol_v2: bool = True, wants: Wants = "reachable"
    ) -> AsyncIterator[str]:
        """Serve it on a free port of 127.0.0.1 while the context lasts; its URL.

        `hang` accepts connections and never answers. `dumb` serves plain files, as any web server would: no shallow fetch, no fetch by
        hash. `wants` says which commits can be fetched by their hash; version 2 of the protocol allows all of them, so it counts only
        with `protocol_v2=False`, which is how old servers answer.
        """
        server = Server(self.path, Manner(hang=hang, dumb=dumb, protocol_v2=protocol_v2, wants=wants))
        try:
            yield server.url
        finally:
            await asyncio.to_thread(server.stop)

    def _import(self, message: str, entries: list[bytes], *, branch: str, parent: str | None) -> str:
        stamp = f"{AUTHOR} {int(time.time())} +0000\n"
        stream = [
            f"commit refs/heads/{branch}\nmark :1\nauthor {stamp}committer {stamp}".encode(),
            _data(message.encode()),
            f"from {parent}\n".encode() if parent else b"",
            *entries,
            b"\nget-mark :1\ndone\n",
        ]
        return self._git("fast-import", "--quiet", "--done", "--cat-blob-fd=1", stdin=b"".join(stream)).decode().strip()

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return git.output_of(f"--git-dir={self.path}", *arguments, stdin=stdin)


def _modify(name: str, content: bytes, *, executable: bool = False) -> bytes:
    return f"M {'100755' if executable else '100644'} inline {_quoted(name)}\n".encode() + _data(content)


def _delete(name: str) -> bytes:
    return f"D {_quoted(name)}\n".encode()


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
