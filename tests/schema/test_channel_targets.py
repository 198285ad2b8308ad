"""Where a channel may lead: URLs that everything can take apart which has to."""

from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schema.channel_targets import MASK, HookUrl, shown_url
from schema.rules import Pattern
from workers import addresses

URLS: TypeAdapter[str] = TypeAdapter(HookUrl)
[PATTERN] = [each.pattern for each in HookUrl.__metadata__ if isinstance(each, Pattern)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://hooks.example.com",
            "https://hooks.example.com/services/T0/B0/x?y=[z]#@",
            "http://pager:8080/",
            "https://10.0.0.1:65535/x",
        ),
        *("https://[::1]:9/x", "https://[::]/x", "https://[2001:db8::7]/", "https://[1:2:3:4:5:6:7:8]/", "https://[1:2:3:4:5:6:7::]/"),
    ],
)
def test_a_url_leads_to_a_host(url: str) -> None:
    assert URLS.validate_python(url) == url
    addresses.parse(f"https://{urlsplit(url).netloc}/", frozenset())


@pytest.mark.parametrize(
    "host",
    [
        *("[::1", "a]b", "[zz]", "[]", "[::1]b", "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[fe80::1%25eth0]", "[1:2:3:4:5:6:7::8]"),
        *("a..b", "a.", "-a", "a:b:c", "a:", "a:0", "a:65536", "a:123456", "user@a", "user:password@a", "a b", "ä"),
    ],
)
def test_what_no_host_can_be_is_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        URLS.validate_python(f"https://{host}/services/x")


@given(st.from_regex(PATTERN, fullmatch=True))
def test_whatever_is_taken_can_be_taken_apart_and_shown(url: str) -> None:
    parts = urlsplit(url)
    assert parts.hostname and (parts.port is None or 0 < parts.port < 65536) and parts.username is None
    with suppress(addresses.Forbidden):  # which is no InvalidAddress
        addresses.parse(f"{parts.scheme}://{parts.netloc}/", frozenset())
    assert shown_url({"url": url}) == f"{parts.scheme}://{parts.netloc}/{MASK}"
