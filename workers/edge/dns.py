"""A name server for one zone, on the loopback of a node: Caddy asks it twice a second for the addresses of each application in use."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from workers.edge.names import ZONE

Lookup = Callable[[str], tuple[str, ...]]
"""The addresses of an application, by its id; none when it is not known."""

_ZONE: Final = dns.name.from_text(ZONE)
_SIZE: Final = struct.Struct("!H")
SMALLEST: Final = 512
"""Bytes that every client takes in one datagram (RFC 1035, section 4.2.1)."""
IDLE: Final = 10.0
"""Seconds after which a connection on which nothing is asked is closed."""


def answer(wire: bytes, lookup: Lookup) -> dns.message.Message | None:
    """The answer to a question (RFC 1035); None for what is no question. An application without an address is a name without data."""
    try:
        query = dns.message.from_wire(wire)
        found = dns.message.make_response(query, recursion_available=False)
    except (dns.exception.DNSException, ValueError):
        return None
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        found.set_rcode(dns.rcode.NOTIMP)
        return found
    (asked,) = query.question
    if not asked.name.is_subdomain(_ZONE):
        found.set_rcode(dns.rcode.REFUSED)
        return found
    found.flags |= dns.flags.AA
    addresses = lookup(asked.name.relativize(_ZONE).to_text().lower())
    if addresses and asked.rdtype == dns.rdatatype.A:
        found.answer.append(dns.rrset.from_text(asked.name, 0, dns.rdataclass.IN, dns.rdatatype.A, *addresses))
    return found


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        found = answer(data, self._lookup)
        if found is None or self._transport is None:
            return
        try:
            wire = found.to_wire(max_size=max(found.request_payload or 0, SMALLEST))
        except dns.exception.TooBig:
            found.answer.clear()
            found.flags |= dns.flags.TC  # the client asks again over TCP
            wire = found.to_wire()
        self._transport.sendto(wire, addr)


class _Connections:
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._open: set[asyncio.Task[None] | None] = set()

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what is asked on a connection."""
        self._open.add(task := asyncio.current_task())
        try:
            while await self._answered(reader, writer):
                pass
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE):
            (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
            found = answer(await reader.readexactly(size), self._lookup)
        if found is None:
            return False
        wire = found.to_wire()
        writer.write(_SIZE.pack(len(wire)) + wire)
        await writer.drain()
        return True

    async def end(self) -> None:
        """End all connections."""
        tasks = [task for task in self._open if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def serving(lookup: Lookup, host: str, port: int) -> AsyncIterator[int]:
    """Answer on a port, over UDP and TCP, for as long as the block lasts; 0 is any free one. Raises `OSError`."""
    connections = _Connections(lookup)
    server = await asyncio.start_server(connections.hold, host, port)
    async with server:
        found: int = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(lookup), (host, found))
        try:
            yield found
        finally:
            transport.close()
            await connections.end()
