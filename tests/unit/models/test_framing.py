"""Messages arrive whole or not at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from models.ipc.framing import Frames


@pytest.fixture
def pair() -> Iterator[tuple[Frames, Frames, socket.socket]]:
    left, right = socket.socketpair()
    ends = Frames(left, send_seconds=60), Frames(right)
    yield (*ends, left)
    for end in ends:
        end.close()


def test_messages_arrive_in_order_and_as_they_were(pair: tuple[Frames, Frames, socket.socket]) -> None:
    ours, theirs, _ = pair
    messages = [{"text": "ü€😀", "number": i, "none": None, "float": 0.1} for i in range(50)]
    for message in messages:
        ours.send(message)
    assert [theirs.receive() for _ in messages] == messages


def test_a_large_message_passes_while_the_other_end_reads(pair: tuple[Frames, Frames, socket.socket]) -> None:
    ours, theirs, _ = pair
    large = {"text": "x" * 5_000_000}
    thread = threading.Thread(target=ours.send, args=(large,))
    thread.start()
    assert theirs.receive() == large
    thread.join(10)


def test_the_end_of_the_other_side_is_told(pair: tuple[Frames, Frames, socket.socket]) -> None:
    ours, theirs, _ = pair
    ours.send({"last": True})
    ours.close()
    assert theirs.receive() == {"last": True}
    assert theirs.receive() is None


def test_a_message_cut_off_is_no_message(pair: tuple[Frames, Frames, socket.socket]) -> None:
    ours, theirs, raw = pair
    raw.sendall(b"\0\0\0\x10{")
    ours.close()
    assert theirs.receive() is None


def test_one_who_does_not_read_is_not_waited_for_for_ever() -> None:
    left, right = socket.socketpair()
    with closing(Frames(left, send_seconds=0.1)) as ours, closing(right), pytest.raises(BlockingIOError):
        ours.send({"text": "x" * 5_000_000})
