"""The Engine's frames, cut into lines."""

import pytest

from workers.monitor.log_frames import Frames, Position, Read
from workers.processes import CUT, LINE_LIMIT

FIRST, SECOND = "2026-11-28T20:35:29.000000001Z", "2026-11-28T20:35:29.000000002Z"
THIRD, FOURTH = "2026-11-28T20:35:29.000000003Z", "2026-11-28T20:35:29.000000004Z"
STDOUT, STDERR = 1, 2
NOTHING = Position()


def frame(text: bytes, at: str = FIRST, stream: int = STDOUT) -> bytes:
    content = at.encode() + b" " + text
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4) + content


def printed_since(at: str, log: bytes) -> bytes:
    """What the Engine answers when it is asked for what was printed from a time on."""
    found, start = b"", 0
    while start < len(log):
        end = start + 8 + int.from_bytes(log[start + 4 : start + 8])
        found += log[start:end] if log[start + 8 : start + 38].decode() >= at else b""
        start = end
    return found


def said(lines: list[Read]) -> list[tuple[str, str]]:
    return [(each.at, each.text) for each in lines]


def test_each_frame_is_a_line_with_its_time() -> None:
    assert said(Frames(NOTHING).feed(frame(b"one\n") + frame(b"two\r\n", SECOND))) == [(FIRST, "one"), (SECOND, "two")]


@pytest.mark.parametrize("size", [1, 3, 7, 30, 1000])
def test_frames_may_come_in_pieces_of_any_size(size: int) -> None:
    data, frames = frame("grün\n".encode()) + frame(b"\n", SECOND) + frame(b"three\n", SECOND), Frames(NOTHING)
    found = [line for at in range(0, len(data), size) for line in frames.feed(data[at : at + size])]
    assert said(found) == [(FIRST, "grün"), (SECOND, ""), (SECOND, "three")]


def test_a_line_that_the_engine_has_cut_is_one_with_the_time_of_its_beginning() -> None:
    frames = Frames(NOTHING)
    assert frames.feed(frame(b"a" * 100)) == []
    assert said(frames.feed(frame(b"other\n", SECOND, STDERR))) == [(SECOND, "other")], "the streams do not mix"
    assert said(frames.feed(frame(b"b\n", SECOND))) == [(FIRST, "a" * 100 + "b")]


def test_a_line_without_an_end_grows_no_memory_and_says_that_it_was_cut() -> None:
    frames = Frames(NOTHING)
    for _ in range(100):
        assert frames.feed(frame(b"x" * 16384)) == []
    assert said(frames.feed(frame(b"\n", SECOND))) == [(FIRST, "x" * LINE_LIMIT + CUT)]


def test_a_character_at_the_limit_is_not_cut_in_half() -> None:
    (found,) = Frames(NOTHING).feed(frame("é".encode() * LINE_LIMIT + b"\n"))
    assert found.text == "é" * (LINE_LIMIT // 2) + CUT


def test_what_is_unsafe_to_show_is_taken_out() -> None:
    (found,) = Frames(NOTHING).feed(frame(b"\x1b[31mred\x1b[0m \x00\xff\n"))
    assert found.text == "red \ufffd"


def test_the_last_line_needs_no_end() -> None:
    frames = Frames(NOTHING)
    assert frames.feed(frame(b"almost")) == []
    assert said(frames.flush()) == [(FIRST, "almost")]
    assert frames.flush() == []


def test_what_the_engine_says_in_between_is_no_line() -> None:
    words = b"Error grabbing logs: invalid character"
    broken = bytes([3, 0, 0, 0]) + len(words).to_bytes(4) + words
    assert said(Frames(NOTHING).feed(broken + frame(b"one\n") + frame(b"odd\n", "x" * 30))) == [(FIRST, "one")]


def test_the_rest_is_asked_for_from_the_last_line_on() -> None:
    one, two = Frames(NOTHING).feed(frame(b"one\n") + frame(b"two\n", SECOND, STDERR))
    assert one.to == Position(since=FIRST, stdout=FIRST)
    assert two.to == Position(since=SECOND, stdout=FIRST, stderr=SECOND)


def test_the_rest_is_asked_for_from_the_beginning_of_a_line_that_has_no_end() -> None:
    frames = Frames(NOTHING)
    (other,) = frames.feed(frame(b"a") + frame(b"other\n", SECOND, STDERR))
    assert other.to == Position(since=FIRST, stderr=SECOND)
    (whole,) = frames.feed(frame(b"b\n", THIRD))
    assert whole.to == Position(since=THIRD, stdout=THIRD, stderr=SECOND), "of its last piece, which is asked for again"


def test_of_two_lines_without_an_end_the_first_counts() -> None:
    first, second = (frames := Frames(NOTHING)).feed(frame(b"a") + frame(b"b", SECOND, STDERR)) or frames.flush()
    assert first.to == Position(since=SECOND, stdout=FIRST)
    assert second.to == Position(since=SECOND, stdout=FIRST, stderr=SECOND)


def cut(size: int, at: str) -> bytes:
    """The pieces of a line that the Engine has cut, which all have the time of the first."""
    return b"".join(frame(b"%d" % n, at) for n in range(size)) + frame(b"\n", at)


@pytest.mark.parametrize(
    "log",
    [
        frame(b"a\n") + frame(b"b\n", SECOND) + frame(b"c\n", THIRD, STDERR),
        frame(b"a") + frame(b"b\n", SECOND, STDERR) + frame(b"c\n", FIRST) + frame(b"d\n", THIRD),
        frame(b"a") + frame(b"b\n", SECOND, STDERR) + frame(b"c\n", THIRD) + frame(b"d\n", FOURTH, STDERR),
        frame(b"a", FIRST, STDERR) + frame(b"b", SECOND) + frame(b"c\n", THIRD, STDERR) + frame(b"d\n", FOURTH),
        cut(3, FIRST) + cut(4, SECOND) + frame(b"other\n", THIRD, STDERR),
    ],
)
def test_wherever_reading_was_left_it_goes_on_with_every_line_once_and_whole(log: bytes) -> None:
    whole = said(Frames(NOTHING).feed(log))
    for left in range(len(log)):
        before = Frames(NOTHING).feed(log[:left])
        known = Position.of(str(before[-1].to)) if before else NOTHING
        assert said(before) + said(Frames(known).feed(printed_since(known.since, log))) == whole, left


def test_a_position_as_it_was_stored_once_is_that_of_both_streams() -> None:
    known = Position.of(SECOND)
    assert known == Position(SECOND, SECOND, SECOND)
    log = frame(b"a\n") + frame(b"b\n", SECOND, STDERR) + frame(b"c\n", THIRD)
    assert said(Frames(known).feed(log)) == [(THIRD, "c")]


def test_nothing_that_is_stored_is_read_from_the_beginning() -> None:
    assert Position.of("") == NOTHING
