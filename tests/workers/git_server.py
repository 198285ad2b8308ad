"""A git server on a loopback port for the tests: smart HTTP by git's own backend, or the files only (dumb HTTP)."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

GIT_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada Löve",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def git(directory: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", "-C", str(directory), *arguments], env=GIT_ENV, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    root: Path
    hits: list[str]
    headers: list[str | None]
    told: list[tuple[str, str | None, bytes]]
    mode: str = "smart"
    opened_by: str = ""
    """The Authorization header that opens it in the mode `token`."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, name: str) -> str:
        return f"http://{self.host}/{name}"

    def handle_error(self, request, client_address) -> None:  # a client that is killed is no news
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.hits.append(self.path)
        self.server.headers.append(self.headers.get("Authorization"))
        match self.server.mode:
            case "hang":
                threading.Event().wait(30)
            case "private":
                self._answer("401 Unauthorized", [("WWW-Authenticate", "Basic realm=x")], b"")
            case "token" if self.headers.get("Authorization") != self.server.opened_by:
                self._answer("401 Unauthorized", [("WWW-Authenticate", "Basic realm=x")], b"")
            case "redirect":
                self._answer("302 Found", [("Location", f"http://{self.server.host}/else{self.path}")], b"")
            case "dumb":
                file = self.server.root / urlsplit(self.path).path.lstrip("/")
                self._answer("200 OK" if file.is_file() else "404 Not Found", [], file.read_bytes() if file.is_file() else b"")
            case _:
                self._backend()

    def do_POST(self) -> None:
        if not self.path.startswith("/api/"):
            self.do_GET()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append((self.path, self.headers.get("Authorization"), body))
        self._answer("201 Created", [], b"{}")

    def _backend(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        env = GIT_ENV | {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        if self.server.mode == "smart":
            env["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if line]
        status = next((value for name, value in headers if name == "Status"), "200 OK")
        self._answer(status, [pair for pair in headers if pair[0] != "Status"], content)

    def _answer(self, status: str, headers: list, content: bytes) -> None:
        self.send_response(int(status[:3]))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        pass


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Server]:
    """A server for the bare repositories under `root`."""
    server = Server(("127.0.0.1", 0), Handler)
    server.root, server.hits, server.headers, server.told = root, [], [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def repository(root: Path, name: str, commits: list[str]) -> list[str]:
    """A bare repository with one commit per message on `main`; the ids, oldest first."""
    work = root / f"{name}-work"
    work.mkdir(parents=True)
    git(work, "init", "--quiet", "-b", "main")
    ids = []
    for number, message in enumerate(commits):
        (work / "file").write_text(str(number))
        (work / "Dockerfile").write_text("FROM scratch\n")
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-F", "-", stdin=message.encode())
        ids.append(git(work, "rev-parse", "HEAD"))
    git(root, "clone", "--quiet", "--bare", str(work), name)
    git(root / name, "update-server-info")
    return ids
