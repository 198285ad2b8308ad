"""WebSockets that write texts by themselves: what goes out is what the library would have written."""

import pytest
from websockets.frames import Frame, Opcode

from gateway.socket_protocol import _head


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
def test_the_head_of_a_text_is_that_of_the_protocol(length: int) -> None:
    data = b"x" * length
    assert _head(length) + data == Frame(Opcode.TEXT, data).serialize(mask=False)
