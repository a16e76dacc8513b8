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
    """One end of the pair. `send` may be called from any thread, `receive` from one; both block."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
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
