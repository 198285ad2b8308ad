"""The name server, asked as any client asks one."""

import asyncio
import socket
import struct

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from workers.edge.dns import serving

HOST = "127.0.0.1"
KNOWN = {"app": ("172.18.0.2", "172.18.0.3"), "large": tuple(f"172.18.1.{number}" for number in range(200))}


def lookup(application: str) -> tuple[str, ...]:
    return KNOWN.get(application, ())


async def asked(port: int, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    if tcp:
        return await dns.asyncquery.tcp(query, HOST, timeout=5, port=port)
    return await dns.asyncquery.udp(query, HOST, timeout=5, port=port)


def told(message: dns.message.Message) -> set[str]:
    return {str(each) for rrset in message.answer for each in rrset}


@pytest.mark.parametrize("tcp", [False, True])
async def test_an_application_is_its_addresses(tcp: bool) -> None:
    async with serving(lookup, HOST, 0) as port:
        found = await asked(port, "App.edge", tcp=tcp)
    assert told(found) == set(KNOWN["app"])
    assert {rrset.ttl for rrset in found.answer} == {0}, "nobody keeps them"


async def test_an_application_without_containers_has_no_addresses() -> None:
    async with serving(lookup, HOST, 0) as port:
        for name, kind in (("unknown.edge", "A"), ("app.edge", "AAAA")):
            found = await asked(port, name, kind)
            assert (found.rcode(), told(found)) == (dns.rcode.NOERROR, set())


async def test_other_names_are_refused() -> None:
    async with serving(lookup, HOST, 0) as port:
        assert (await asked(port, "app.example")).rcode() == dns.rcode.REFUSED


async def test_more_addresses_than_a_datagram_holds_come_over_tcp() -> None:
    async with serving(lookup, HOST, 0) as port:
        cut = await asked(port, "large.edge")
        whole = await asked(port, "large.edge", tcp=True)
    assert (bool(cut.flags & dns.flags.TC), told(cut)) == (True, set())
    assert told(whole) == set(KNOWN["large"])


async def test_nonsense_is_not_answered_and_nothing_else_suffers() -> None:
    async with serving(lookup, HOST, 0) as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for nonsense in (b"", b"x", b"\xff" * 512, dns.message.make_response(dns.message.make_query("app.edge", "A")).to_wire()):
                client.sendto(nonsense, (HOST, port))
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(struct.pack("!H", 60_000) + b"half of it")
        assert told(await asked(port, "app.edge")) == set(KNOWN["app"])
        writer.close()
