"""What the answers of receivers mean, and that nobody is reached who may not be."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from models.settings import settings
from workers import addresses, outgoing
from workers.notifications.contract import NotTaken
from workers.notifications.posting import post_json


async def answer(monkeypatch: pytest.MonkeyPatch, head: str, *, allowed: bool = True) -> NotTaken | None:
    """What becomes of a post to a server that answers so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached = True
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode())
        await writer.drain()
        writer.close()

    reached = False
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setitem(settings().__dict__, "notification_allowed_hosts", frozenset({host} if allowed else ()))
    try:
        await post_json({"url": f"http://{host}/secret/path?token=secret"}, b"{}")
    except NotTaken as error:
        assert "secret" not in str(error) and reached is allowed
        return error
    finally:
        server.close()
    return None


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_success_is_taken(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    assert await answer(monkeypatch, f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n") is None


@pytest.mark.parametrize(
    ("status", "lasting"),
    [(400, True), (401, True), (404, True), (410, True), (301, True), (302, True)]
    + [(each, False) for each in (408, 425, 429, 500, 502, 503)],
)
async def test_whether_it_would_be_so_again(monkeypatch: pytest.MonkeyPatch, status: int, lasting: bool) -> None:
    error = await answer(monkeypatch, f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    assert error is not None and (str(error), error.lasting) == (f"The receiver answered with the status {status}.", lasting)
    assert error.after is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("120", 120), (" 7 ", 7), ("-5", None), ("soon", None), ("9" * 30, None), ("", None), ("Sat, 07 Dec 2024 10:00:00 GMT", 0)],
)
async def test_a_receiver_says_how_long_it_wants_to_be_left_alone(monkeypatch: pytest.MonkeyPatch, said: str, seconds: int | None) -> None:
    error = await answer(monkeypatch, f"HTTP/1.1 429 X\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n")
    assert error is not None and error.after == (None if seconds is None else timedelta(seconds=seconds))


async def test_or_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    error = await answer(monkeypatch, f"HTTP/1.1 503 X\r\nRetry-After: {until}\r\nContent-Length: 0\r\n\r\n")
    assert error is not None and error.after is not None and abs(error.after.total_seconds() - 300) < 10


async def test_a_private_address_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    error = await answer(monkeypatch, "HTTP/1.1 200 X\r\n\r\n", allowed=False)
    assert error is not None and "Plain HTTP is only for hosts that the administrator allows" in str(error) and error.lasting


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
async def test_nor_is_one_by_https(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "notification_allowed_hosts", frozenset())
    with pytest.raises(NotTaken, match="not public") as caught:
        await post_json({"url": f"https://{host}/x"}, b"{}")
    assert caught.value.lasting


async def test_a_host_that_code_may_come_from_is_not_thereby_told_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "git_allowed_hosts", frozenset({"127.0.0.1"}))
    error = await answer(monkeypatch, "HTTP/1.1 200 X\r\n\r\n", allowed=False)
    assert error is not None and error.lasting


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://a]b/x", "https://[zz]/x", "https://a..b/x", "https://a:99999/x", "//a", "", "https://b/\0"]
)
async def test_a_url_that_is_none_stays_so(url: str) -> None:
    with pytest.raises(NotTaken) as caught:
        await post_json({"url": url}, b"{}")
    assert caught.value.lasting


async def test_a_name_that_is_not_found_may_be_found_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        raise addresses.Unresolvable(f"The host {host} cannot be found.")

    monkeypatch.setattr(addresses, "resolve", resolve)
    with pytest.raises(NotTaken, match="cannot be found") as caught:
        await post_json({"url": "https://hooks.example.com/x"}, b"{}")
    assert not caught.value.lasting


@pytest.mark.parametrize("head", ["", "nonsense\r\n\r\n"])
async def test_one_that_does_not_speak_http_has_not_taken_it(monkeypatch: pytest.MonkeyPatch, head: str) -> None:
    error = await answer(monkeypatch, head)
    assert error is not None and str(error) == "The receiver cannot be reached (RemoteProtocolError)." and not error.lasting


async def test_one_that_sends_its_head_byte_by_byte_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setitem(settings().__dict__, "notification_allowed_hosts", frozenset({host}))
    monkeypatch.setattr(outgoing, "SECONDS", 0.5)
    with pytest.raises(NotTaken, match="in time"):
        await asyncio.wait_for(post_json({"url": f"http://{host}/"}, b"{}"), 5)
    server.close()


async def test_a_channel_without_a_url_is_told_nothing() -> None:
    with pytest.raises(NotTaken, match="no URL") as caught:
        await post_json({}, b"{}")
    assert caught.value.lasting
