"""The docker command line of the stand-in: sends its arguments and environment to the test, prints and exits as it is told.

Run with `-I -S`, and it imports nothing but built-in modules: a stage calls it a dozen times, and it has to start in milliseconds.
"""

import posix
import sys
from _socket import AF_UNIX, SOCK_STREAM, socket

EXIT, STDOUT, STDERR = 0, 1, 2
GONE = b"error during connect: EOF. Is the docker daemon running?\n"


def print_to(channel: int, data: bytes) -> None:
    """Write all of it."""
    left = memoryview(data)
    while left:
        left = left[posix.write(channel, left) :]


def exactly(connection: socket, count: int) -> bytes:
    """The next bytes of the connection, fewer when it ends."""
    parts = []
    while count and (part := connection.recv(min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def main() -> int:
    """One frame with all we were given; then frames of kind, number and content until the one that says how to exit."""
    connection = socket(AF_UNIX, SOCK_STREAM)
    connection.connect(sys.argv[0].rpartition("/")[0] + "/cli.sock")
    told = [argument.encode("utf-8", "surrogateescape") for argument in sys.argv[1:]]
    environment = [key + b"=" + value for key, value in posix.environ.items()]
    frame = b"\0".join([b"%d" % posix.getpid(), b"%d" % len(told), *told, *environment])
    connection.sendall(len(frame).to_bytes(4, "big") + frame)
    while head := exactly(connection, 9):
        kind, number, length = head[0], int.from_bytes(head[1:5], "big"), int.from_bytes(head[5:], "big")
        if kind == EXIT:
            return number
        content = exactly(connection, length)
        for _ in range(number):
            print_to(kind, content)
    print_to(STDERR, GONE)
    return 1


if __name__ == "__main__":
    posix._exit(main())
