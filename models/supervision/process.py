"""A device process as its parent sees it: start it, talk to it, end it, and learn how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from models.ipc.child_setup import DUMP_SIGNAL
from models.ipc.framing import Frames, Message

SEND_SECONDS = 30.0  # a process reads within milliseconds, unless it is stopped or native code never lets go
PROGRAM = "models.device_process"
_END_SECONDS = 5.0
_MAX_FRAMES_BYTES = 8_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ROOT = Path(__file__).resolve().parents[2]


class DeviceProcess:
    """`python -m PROGRAM`. Construct it on a thread that lives longer: when that ends, the kernel kills it.

    `send`, `kill` and `end` may be called from any thread, `receive` from one. Raises OSError when no process can
    be started.
    """

    def __init__(self, program: str = PROGRAM) -> None:
        ours, theirs = socket.socketpair()
        self._dump = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `reap`
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                    [sys.executable, "-m", program, *map(str, (theirs.fileno(), os.getpid(), self._dump.fileno()))],
                    pass_fds=[theirs.fileno(), self._dump.fileno()],
                    stdin=subprocess.DEVNULL,
                    cwd=_ROOT,  # where `-m models.…` is found, whatever the worker's own folder
                )
            except OSError:
                ours.close()
                self._dump.close()
                raise
        self._link = Frames(ours, send_seconds=SEND_SECONDS)
        self._killed_because = ""
        self.frames = ""
        self.pid = self._process.pid

    def send(self, message: Message) -> None:
        """Send a message. A dead process is no error: `receive` tells of it. One that does not read is killed."""
        try:
            self._link.send(message)
        except BlockingIOError:
            self.kill(f"it read nothing for {SEND_SECONDS:g} s")
        except OSError:
            pass

    def receive(self) -> Message | None:
        """The next message; None once the process has ended. Blocks."""
        return self._link.receive()

    def memory_bytes(self) -> int:
        """What the process has in memory (its resident set); 0 where the system does not say."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, ValueError, IndexError):
            return 0

    def ask_for_frames(self, because: str) -> None:
        """Before it is killed: let it write where its threads are, which takes a moment; see `frames`."""
        if not self._killed_because:
            self._killed_because = because
            self._process.send_signal(DUMP_SIGNAL)

    def kill(self, because: str) -> None:
        """End it now."""
        self._killed_because = self._killed_because or because
        self._process.kill()

    def end(self) -> None:
        """Let an idle process end by itself, and kill it when it does not."""
        self.send({"stop": True})
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self.kill("it did not end when it was told to")

    def reap(self) -> str:
        """Wait for its end, let go of what it held, and say how it ended; `frames` are then Python's at a crash."""
        status = self._process.wait()
        with self._dump:
            self.frames = os.pread(self._dump.fileno(), _MAX_FRAMES_BYTES, 0).decode("utf-8", "replace")
        self._link.close()
        return self._killed_because or _death(status)


def _death(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
