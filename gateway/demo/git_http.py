"""A bare git repository over HTTP on loopback, read-only: git's smart protocol, versions 0 to 2, by one `git upload-pack` per request."""

import contextlib
import gzip
import re
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.demo import git

URL_PATH: Final = "/hello.git"

Wants = Literal["tips", "reachable", "any"]
"""Which commits can be fetched by their hash: the branches' last ones, whatever a branch leads to, or any object."""

# Never the other one as false: allowAnySHA1InWant=false takes back allowReachableSHA1InWant=true.
_SETTINGS: Final[dict[Wants, tuple[str, ...]]] = {
    "tips": (),
    "reachable": ("-c", "uploadpack.allowReachableSHA1InWant=true"),
    "any": ("-c", "uploadpack.allowAnySHA1InWant=true"),
}
_PROTOCOL: Final = re.compile(r"version=[0-2](:[\w=.-]+)*")


@dataclass(frozen=True)
class Manner:
    """How a server behaves."""

    hang: bool = False
    dumb: bool = False
    protocol_v2: bool = True
    wants: Wants = "reachable"


class Server(ThreadingHTTPServer):
    """One thread per connection; `stop` ends them all, also those whose client waits for an answer or keeps the connection."""

    # Joined by `server_close`, so that nothing of a server outlives it.
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, path: Path, manner: Manner) -> None:
        self.path, self.manner, self.stopped = path, manner, threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="git-http", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the repository is."""
        return f"http://127.0.0.1:{self.server_port}{URL_PATH}"

    def stop(self) -> None:
        """Close every connection and return when all threads have ended."""
        self.stopped.set()
        self.shutdown()
        with self._lock:
            for connection in self._connections:
                _shut(connection)
        self.server_close()
        self._thread.join()

    def opened(self, connection: socket.socket) -> None:
        """A thread serves this connection from now on."""
        with self._lock:
            self._connections.add(connection)
            if self.stopped.is_set():
                _shut(connection)

    def closed(self, connection: socket.socket) -> None:
        """The connection is no longer served."""
        with self._lock:
            self._connections.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    connection: socket.socket

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def handle(self) -> None:
        if self.server.manner.hang:
            self.server.stopped.wait()
        else:
            super().handle()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        name = unquote(url.path).removeprefix(f"{URL_PATH}/")
        if self.server.manner.dumb:
            self._file(name)
        elif name != "info/refs":
            self._answer(404, "text/plain", b"not found\n")
        elif parse_qs(url.query).get("service") == ["git-upload-pack"]:
            announced = b"001e# service=git-upload-pack\n0000"
            self._answer(200, "application/x-git-upload-pack-advertisement", announced + self._upload_pack("--advertise-refs"))
        else:
            self._answer(403, "text/plain", b"only fetching over the smart protocol is offered here\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if self.path != f"{URL_PATH}/git-upload-pack" or self.server.manner.dumb:
            self._refuse(403, b"this repository is read-only\n")
        elif "Content-Length" not in self.headers:
            # Only a negotiation above http.postBuffer (1 MiB) would come in chunks.
            self._refuse(411, b"a length is required\n")
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") in {"gzip", "x-gzip"}:
                body = gzip.decompress(body)
            self._answer(200, "application/x-git-upload-pack-result", self._upload_pack(stdin=body))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: neither a terminal with a progress bar nor a test's output is an access log."""

    def _upload_pack(self, *options: str, stdin: bytes = b"") -> bytes:
        manner, protocol = self.server.manner, self.headers.get("Git-Protocol", "")
        command = (*_SETTINGS[manner.wants], "upload-pack", "--strict", "--stateless-rpc", *options, str(self.server.path))
        also = {"GIT_PROTOCOL": protocol} if manner.protocol_v2 and _PROTOCOL.fullmatch(protocol) else {}
        return git.run(*command, stdin=stdin, also=also).stdout

    def _file(self, name: str) -> None:
        if name == "info/refs":
            git.output_of(f"--git-dir={self.server.path}", "update-server-info")
        file = (self.server.path / name).resolve()
        if file.is_relative_to(self.server.path) and file.is_file():
            self._answer(200, "application/octet-stream", file.read_bytes())
        else:
            self._answer(404, "text/plain", b"not found\n")

    def _refuse(self, status: int, reason: bytes) -> None:
        # The body was not read: what follows on this connection would be taken for a request.
        self.close_connection = True
        self._answer(status, "text/plain", reason)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _shut(connection: socket.socket) -> None:
    # It fails where the client was faster.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
