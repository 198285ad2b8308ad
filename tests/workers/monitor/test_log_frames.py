"""The Engine's frames, cut into lines."""

import pytest

from workers.monitor.log_frames import Frames, Read
from workers.processes import CUT, LINE_LIMIT

FIRST, SECOND = "2026-11-28T20:35:29.000000001Z", "2026-11-28T20:35:29.000000002Z"
STDOUT, STDERR = 1, 2


def frame(text: bytes, at: str = FIRST, stream: int = STDOUT) -> bytes:
    content = at.encode() + b" " + text
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4) + content


def test_each_frame_is_a_line_with_its_time() -> None:
    assert Frames().feed(frame(b"one\n") + frame(b"two\r\n", SECOND)) == [Read(FIRST, "one"), Read(SECOND, "two")]


@pytest.mark.parametrize("size", [1, 3, 7, 30, 1000])
def test_frames_may_come_in_pieces_of_any_size(size: int) -> None:
    data, frames = frame("grün\n".encode()) + frame(b"\n", SECOND) + frame(b"three\n", SECOND), Frames()
    found = [line for at in range(0, len(data), size) for line in frames.feed(data[at : at + size])]
    assert found == [Read(FIRST, "grün"), Read(SECOND, ""), Read(SECOND, "three")]


def test_a_line_that_the_engine_has_cut_is_one_with_the_time_of_its_beginning() -> None:
    frames = Frames()
    assert frames.feed(frame(b"a" * 100)) == []
    assert frames.feed(frame(b"other\n", SECOND, STDERR)) == [Read(SECOND, "other")], "the streams do not mix"
    assert frames.feed(frame(b"b\n", SECOND)) == [Read(FIRST, "a" * 100 + "b")]


def test_a_line_without_an_end_grows_no_memory_and_says_that_it_was_cut() -> None:
    frames = Frames()
    for _ in range(100):
        assert frames.feed(frame(b"x" * 16384)) == []
    (found,) = frames.feed(frame(b"\n", SECOND))
    assert found == Read(FIRST, "x" * LINE_LIMIT + CUT)


def test_a_character_at_the_limit_is_not_cut_in_half() -> None:
    (found,) = Frames().feed(frame("é".encode() * LINE_LIMIT + b"\n"))
    assert found.text == "é" * (LINE_LIMIT // 2) + CUT


def test_what_is_unsafe_to_show_is_taken_out() -> None:
    (found,) = Frames().feed(frame(b"\x1b[31mred\x1b[0m \x00\xff\n"))
    assert found.text == "red \ufffd"


def test_the_last_line_needs_no_end() -> None:
    frames = Frames()
    assert frames.feed(frame(b"almost")) == []
    assert frames.flush() == [Read(FIRST, "almost")]
    assert frames.flush() == []


def test_what_the_engine_says_in_between_is_no_line() -> None:
    said = b"Error grabbing logs: invalid character"
    broken = bytes([3, 0, 0, 0]) + len(said).to_bytes(4) + said
    assert Frames().feed(broken + frame(b"one\n") + frame(b"odd\n", "x" * 30)) == [Read(FIRST, "one")]
