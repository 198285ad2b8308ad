"""The repository that the tests deploy from: a page, and a Dockerfile whose container also shows its environment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.demo.base_image import BASE_IMAGE
from gateway.demo.repository import Repository
from tests.workers.git_server import git

HEALTH = "wget -q -O /dev/null http://127.0.0.1:8080/"
HEALTHCHECK = f"HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD {HEALTH}"
DOCKERFILE = f"""\
FROM {BASE_IMAGE}
COPY www /www
{HEALTHCHECK}
CMD ["sh", "-c", "env > /www/env; exec httpd -f -p 8080 -h /www"]
"""
INDEX = "www/index.html"
SERVING = "dokploy-tests-serving:1"
"""The base image with a server that keeps connections and takes POST: Caddy, which here is an application like any other."""


def dockerfile(*more: str) -> str:
    """The Dockerfile with more instructions at its end."""
    return "\n".join([DOCKERFILE.rstrip(), *more, ""])


def version(number: int, healthcheck: str = HEALTHCHECK) -> str:
    """The Dockerfile of a version, which says its number to everybody."""
    command = f'CMD ["caddy", "respond", "--listen", ":8080", "version {number}"]'
    return f"FROM {SERVING}\n{healthcheck}\n{command}\n"


@dataclass(frozen=True)
class Sample:
    """A served repository."""

    repository: Repository
    url: str

    def commit(self, message: str = "Change", **changes: str | None) -> str:
        """Commit new contents of `Dockerfile` or `index`. The commit's hash."""
        names = {"index": INDEX}
        return self.repository.commit(message, {names.get(name, name): text for name, text in changes.items()})

    def link(self, name: str, target: str) -> str:
        """Commit a symbolic link. The commit's hash."""
        work = self.repository.path.with_name("work")
        git(work.parent, "clone", "--quiet", str(self.repository.path), str(work))
        (work / name).unlink(missing_ok=True)
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).symlink_to(target)
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "-m", "Link")
        git(work, "push", "--quiet", "origin", "HEAD:main")
        return git(work, "rev-parse", "HEAD")

    @property
    def source(self) -> dict[str, Any]:
        """The application's `gitSource`."""
        return {"repoUrl": self.url, "branch": "main"}


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[Sample]:
    """A new sample, served while the block lasts."""
    content = directory / "content"
    (content / "www").mkdir(parents=True)
    (content / "Dockerfile").write_text(DOCKERFILE)
    (content / INDEX).write_text("version 1\n")
    repository = Repository.create(directory / "sample.git", content)
    async with repository.serve() as url:
        yield Sample(repository, url)
