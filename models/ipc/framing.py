"""JSON messages over a socket pair: four bytes of length (big-endian), then UTF-8. Never pickle."""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import Any

_LENGTH = struct.Struct(">I")

Message = dict[str, Any]


class Frames:
    """One end of the pair. `send` may be called from any thread, `receive` from one; both block.

    With `send_seconds`, a `send` that gets nothing away for so long raises BlockingIOError; the stream is then cut
    in the middle of a message and of no more use.
    """

    def __init__(self, end: socket.socket, *, send_seconds: float | None = None) -> None:
        self._socket = end
        if send_seconds is not None:  # not settimeout, which would hold for receiving as well
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *_timeval(send_seconds)))
        self._sending = threading.Lock()
        self._stream = end.makefile("rb", buffering=256 * 1024)

    def send(self, message: Message) -> None:
        """Send one message. Raises OSError when the other end is gone."""
        body = json.dumps(message, separators=(",", ":")).encode()
        with self._sending:
            self._socket.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self) -> Message | None:
        """The next message; None once the other end is closed, also in the middle of a message."""
        try:
            head = self._stream.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                return None
            (size,) = _LENGTH.unpack(head)
            body = self._stream.read(size)
        except OSError:
            return None
        return json.loads(body) if len(body) == size else None

    def close(self) -> None:
        """Close this end; a `receive` that waits on the other end returns None."""
        self._stream.close()
        self._socket.close()


def _timeval(seconds: float) -> tuple[int, int]:
    return int(seconds), int(seconds % 1 * 1_000_000)
