"""Many subscribers in one process, as lean as they can be: frames are taken apart by hand, and each result is understood only once.

What to do comes as JSON in the first argument (`Asked`). One JSON object per line goes out: `{}` once everybody follows, and at the end
what came (`Came`). Idle subscribers, who wait for no events, are there until standard input ends.
"""

import json
import math
import resource
import select
import socket
import struct
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import uuid4

AT_ONCE: Final = 50
"""Subscribers who begin beside each other."""
SILENCE: Final = 20.0
"""Seconds without anything after which what has not come is lost."""
TEXT, PING, PONG = 1, 9, 10
RESULT: Final = b'"payload":'
"""Before it a message has its id, which is another one for each subscriber."""
_MASK: Final = bytes(4)
"""A mask that changes nothing."""


@dataclass(frozen=True)
class Asked:
    """Who follows what: `events` events after number `after`, which is there already and tells each that it follows."""

    port: int
    token: str
    query: str
    deployment: str
    after: int
    subscribers: int
    events: int


@dataclass(frozen=True)
class Came:
    """What came. Times in milliseconds since an event was written, but for `seconds` since the first was."""

    delivered: int
    disorder: int
    """Deliveries with another number than the next."""
    p50: float
    p99: float
    longest: float
    seconds: float
    """Until the last delivery."""
    cpu: float
    """Processor's seconds of this process."""


class Subscriber:
    """One socket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.seq = 0
        self.left = 0

    def upgrade(self) -> None:
        """Ask for a WebSocket."""
        lines = (
            "GET /api/graphql HTTP/1.1",
            "Host: 127.0.0.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: graphql-transport-ws",
        )
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def upgraded(self) -> None:
        """Wait for it."""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self._received()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        if b" 101 " not in head:
            raise SystemExit(f"no WebSocket: {head.decode()}")

    def send(self, **message: Any) -> None:
        """Send a message of the protocol."""
        self.frame(TEXT, json.dumps(message).encode())

    def frame(self, opcode: int, payload: bytes) -> None:
        """Send a frame."""
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
        self.socket.sendall(bytes([0x80 | opcode]) + length + _MASK + payload)

    def message(self) -> dict[str, Any]:
        """Wait for a message of the protocol."""
        while True:
            found, self.rest = taken(self.rest, 1)
            for opcode, payload in found:
                if opcode == TEXT:
                    return dict(json.loads(payload))
                self.other(opcode, payload)
            if not found:
                self.rest += self._received()

    def other(self, opcode: int, payload: bytes) -> None:
        """Answer a ping; nothing else may come."""
        if opcode != PING:
            raise SystemExit(f"closed: {payload!r}")
        self.frame(PONG, payload)

    def _received(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise SystemExit("the server has closed a socket")
        return data


def taken(data: bytes, most: int = sys.maxsize) -> tuple[list[tuple[int, bytes]], bytes]:
    """So many frames at most that data begins with, each as its opcode and payload, and what is left of data."""
    found, at, size = list[tuple[int, bytes]](), 0, len(data)
    while size - at >= 2 and len(found) < most:
        start, length = at + 2, data[at + 1]
        if length == 126:
            if size - at < 4:
                break
            start, length = at + 4, data[at + 2] << 8 | data[at + 3]
        elif length == 127:
            raise SystemExit("a frame is too long")
        end = start + length
        if end > size:
            break
        found.append((data[at] & 15, data[start:end]))
        at = end
    return found, data[at:]


class Results:
    """What comes to all of them."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        """Subscribers who have not had everything."""
        self.began = self.ended = 0
        self._known: dict[bytes, tuple[int, int]] = {}
        self._delays, self._disorder = array("q"), 0
        self._cpu = time.process_time()

    def take(self, subscriber: Subscriber, data: bytes) -> None:
        """Take what has come to one of them."""
        if not data:
            raise SystemExit("the server has closed a socket")
        self.ended = time.monotonic_ns()
        found, subscriber.rest = taken(subscriber.rest + data)
        for opcode, message in found:
            if opcode != TEXT:
                subscriber.other(opcode, message)
                continue
            result = message[message.find(RESULT) :]
            seq, written = self._known.get(result) or self._understood(result, message)
            self._delays.append(self.ended - written)
            self._disorder += seq != subscriber.seq + 1
            subscriber.seq = seq
            subscriber.left -= 1
            self.waiting -= subscriber.left == 0

    def _understood(self, result: bytes, message: bytes) -> tuple[int, int]:
        event = json.loads(message)["payload"]["data"]["deploymentEvents"]
        seq, written = self._known[result] = event["seq"], int(event["message"].split()[0])
        self.began = self.began or written
        return seq, written

    def came(self) -> Came:
        """What has come."""
        ordered = [each / 1e6 for each in sorted(self._delays)]

        def percentile(percent: int) -> float:
            return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else math.inf

        times = percentile(50), percentile(99), percentile(100)
        return Came(len(ordered), self._disorder, *times, (self.ended - self.began) / 1e9, time.process_time() - self._cpu)


class Crowd:
    """All of them."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.results = Results(asked.subscribers)
        self._by_number: dict[int, Subscriber] = {}
        self._poll = select.epoll()

    def begin(self) -> None:
        """Let everybody follow, some beside each other; those who do are listened to meanwhile."""
        while (missing := self.asked.subscribers - len(self._by_number)) > 0:
            for each in self._some(min(AT_ONCE, missing)):
                self._by_number[each.socket.fileno()] = each
                self._poll.register(each.socket, select.EPOLLIN)
            self._listen(0)

    def _some(self, number: int) -> list[Subscriber]:
        some = [Subscriber(self.asked.port) for _ in range(number)]
        for each in some:
            each.upgrade()
        for each in some:
            each.upgraded()
            each.send(type="connection_init", payload={"Authorization": f"Bearer {self.asked.token}"})
        variables = {"id": self.asked.deployment, "after": self.asked.after - 1}
        for each in some:
            if (answer := each.message())["type"] != "connection_ack":
                raise SystemExit(f"not let in: {answer}")
            each.send(type="subscribe", id=str(uuid4()), payload={"query": self.asked.query, "variables": variables})
        for each in some:
            each.seq = each.message()["payload"]["data"]["deploymentEvents"]["seq"]
            each.left = self.asked.events
        return some

    def listen(self) -> Came:
        """What comes until everybody has had all events or nothing comes any more; without events until standard input ends."""
        if not self.asked.events:
            self._poll.register(sys.stdin, select.EPOLLIN)
        while self.results.waiting and self._listen(SILENCE):
            pass
        return self.results.came()

    def _listen(self, seconds: float) -> bool:
        """Take what is there, within so many seconds; whether there was something of theirs, and standard input has not ended."""
        ready = self._poll.poll(seconds)
        for number, _ in ready:
            if number not in self._by_number:
                return False
            each = self._by_number[number]
            self.results.take(each, each.socket.recv(65536))
        return bool(ready)


def main() -> None:
    """Follow, and tell what came."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asked = Asked(**json.loads(sys.argv[1]))
    crowd = Crowd(asked)
    crowd.begin()
    print("{}", flush=True)
    print(json.dumps(asdict(crowd.listen())), flush=True)


if __name__ == "__main__":
    main()
