"""Which addresses a tenant may reach: every odd spelling of a private one is refused before anything connects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import addresses
from workers.addresses import Forbidden, InvalidAddress, Unresolvable, check, parse, public

HOSTS = [
    *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.0.0.2", "127.255.255.254", "127.000.000.001", "0127.0.0.1", "0177.0.0.1"),
    *("0177.0.0.01", "0177.1", "0x7f.0.0.1", "0x7f.1", "0X7F.0.0.1", "0x7f000001", "0x7F000001", "2130706433", "017700000001"),
    *("0x7f.0x0.0x0.0x1", "00000177.0.0.1", "127.0.0.0x1", "0", "0.0.0.0", "0.0.0.0.", "00", "0x0", "000000000000", "4294967295"),
    *("255.255.255.255", "256.256.256.256", "127.0.0.1.1", "10.0.0.1", "10.1", "192.168.0.1", "192.168.257", "172.16.0.1"),
    *("172.31.255.255", "169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "100.64.0.1", "198.18.0.1", "192.0.2.1"),
    *("224.0.0.1", "240.0.0.1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:0:0:0:0:80ff:fffe]", "[fe80::1]"),
    *("[fe80::1%25lo]", "[fe80::1%lo]", "[fc00::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]"),
    *("[::ffff:169.254.169.254]", "[2002:a9fe:a9fe::]", "localhost", "localhost.", "LOCALHOST", "LocalHost", "localhost.localdomain"),
    "ip6-localhost",
]

URLS = [
    "https://github.com@127.0.0.1/r",
    "https://github.com:443@127.0.0.1/r",
    "https://user:password@127.0.0.1/r",
    "https://127.0.0.1\\@github.com/r",
    "https://github.com\\@127.0.0.1/r",
    "https://127.0.0.1#@github.com/r",
    "https://127.0.0.1?@github.com/r",
    "https://github.com#@127.0.0.1/r",
    "https://127.0.0.1%23@github.com/r",
    "https://127%2e0%2e0%2e1/r",
    "https://%31%32%37.0.0.1/r",
    "https://①②⑦.⓪.⓪.①/r",
    "https://127。0。0。1/r",
    "https://127\uff0e0\uff0e0\uff0e1/r",
    "https://ⓛocalhost/r",
    "https:// 127.0.0.1/r",
    "https://127.0.0.1 /r",
    "https://127.0.0.1\t/r",
    "https://127.0.0.1\n/r",
    "\nhttps://127.0.0.1/r",
    "https:127.0.0.1/r",
    "https:/127.0.0.1/r",
    "https:///127.0.0.1/r",
    "https://127.0.0.1:443:80/r",
    "https://[::1/r",
    "https://::1/r",
    "https://[[::1]]/r",
    "https://[::1]x/r",
    "https://[v1.x]/r",
    "https://-oProxyCommand=x/r",
    "ssh://-oProxyCommand=x/r",
    "ssh://-x@host/r",
    "-oProxyCommand=x@host:r",
    "git@-oProxyCommand=x:r",
    "git@host:-r",
    "git@127.0.0.1:r",
    "git@0x7f000001:r",
    "git@127.1:r",
    "git@localhost:r",
    "ssh://git@[::1]/r",
    "ssh://git@2130706433/r",
    "file:///etc/passwd",
    "/etc/passwd",
    "../repository",
    "ext::sh -c id",
    "git://127.0.0.1/r",
    "ftp://127.0.0.1/r",
    "fd::17",
    "HTTPS://127.0.0.1/r",
    "--upload-pack=touch canary",
    "",
    "https://",
    "https://host",
    "https://host:0/r",
    "https://host:65536/r",
    "https://host:٣/r",
    "https://a..b/r",
    "https://x/r\0",
    "https://host/" + "a" * 3000,
    "http://example.org/r",
]


async def refused(url: str) -> bool:
    try:
        await check(parse(url, frozenset()), frozenset())
    except (InvalidAddress, Forbidden, Unresolvable):
        return True
    return False


@pytest.mark.parametrize("scheme", ["https", "ssh"])
@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_a_private_address_passes(scheme: str, host: str):
    assert await refused(f"{scheme}://{host}/r")
    assert await refused(f"{scheme}://{host}:8443/r")


@pytest.mark.parametrize("url", URLS)
async def test_nothing_that_parsers_read_differently_passes(url: str):
    assert await refused(url)


def test_there_are_enough_of_them():
    assert len(set(HOSTS)) + len(set(URLS)) > 120


async def test_a_name_that_resolves_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch):
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("140.82.121.4", "10.0.0.1")

    monkeypatch.setattr(addresses, "resolve", resolve)
    assert await refused("https://example.org/r")


async def test_checked_addresses_are_kept(monkeypatch: pytest.MonkeyPatch):
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("140.82.121.4", "2a00:1450::5")

    monkeypatch.setattr(addresses, "resolve", resolve)
    endpoint = await check(parse("https://GitHub.com/a/b.git", frozenset()), frozenset())
    assert endpoint.addresses == ("140.82.121.4", "2a00:1450::5")
    assert endpoint.url == "https://github.com/a/b.git"


@pytest.mark.parametrize("name", ["git.internal", "GIT.internal", "git.internal:8080"])
async def test_the_administrator_may_allow_a_host_and_plain_http(name: str):
    allowed = frozenset({name})
    endpoint = await check(parse("http://git.internal:8080/a", allowed), allowed)
    assert endpoint.url == "http://git.internal:8080/a"
    assert endpoint.addresses == ()


@pytest.mark.parametrize(
    "url", ["http://git.internal:8081/a", "http://git.internal/a", "http://x.git.internal:8080/a", "http://git.internal.:8080/a"]
)
def test_an_allowed_port_is_that_port_only(url: str):
    with pytest.raises((Forbidden, InvalidAddress)):
        parse(url, frozenset({"git.internal:8080"}))


@pytest.mark.parametrize("name", ["::1", "[::1]:8080"])
def test_an_allowed_ipv6_address(name: str):
    assert parse("http://[0:0::1]:8080/a", frozenset({name})).url == "http://[::1]:8080/a"


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://GitHub.com:443/a/b", "https://github.com/a/b"),
        ("https://example.org:8443/a%20b/~c", "https://example.org:8443/a%20b/~c"),
        ("ssh://git@example.org:2222/a/b.git", "ssh://git@example.org:2222/a/b.git"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("https://140.82.121.4/a", "https://140.82.121.4/a"),
        ("https://[2606:4700::1111]/a", "https://[2606:4700::1111]/a"),
    ],
)
def test_ordinary_urls_stay_what_they_are(url: str, same: str):
    assert parse(url, frozenset()).url == same


@pytest.mark.parametrize("text", ["140.82.121.4", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::", "64:ff9b::8.8.8.8"])
def test_public_addresses(text: str):
    assert public(text)


@given(st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_loopback_is_not_public_however_it_is_wrapped(address):
    number = int(address)
    for text in (str(address), f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1"):
        assert not public(text)


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_stumble(text: str):
    for url in (text, f"https://{text}", f"https://{text}/r", f"git@{text}"):
        try:
            endpoint = parse(url, frozenset())
        except (InvalidAddress, Forbidden):
            continue
        assert not endpoint.url.startswith("-")
        assert endpoint.url.isascii()
