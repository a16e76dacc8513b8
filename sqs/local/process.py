"""Starts the server as a child process, for tests, benchmarks and the demo."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

READY_SECONDS: Final = 60.0  # reading a large journal takes some
STOP_SECONDS: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_ROOT: Final = Path(__file__).resolve().parents[2]
_READY: Final = re.compile(r"ready on (http://\S+:(\d+)),")


class LocalServer:
    """A server on a free port, or on `port`; `data` None keeps messages in memory.

    The child is killed when the thread that started it ends, so it never outlives its parent. `start` raises
    RuntimeError with the server's own words when it does not come up.
    """

    def __init__(self, *, data: Path | None = None, port: int = 0, arguments: Sequence[str] = ()) -> None:
        keep = ["--memory"] if data is None else ["--data", str(data)]
        self._command = [sys.executable, "-m", "sqs.local", "--port", str(port), *keep, *arguments]
        self._child: subprocess.Popen[str] | None = None
        self.endpoint_url = ""
        self.port = 0
        self.pid = 0

    def start(self) -> Self:
        """Returns once the server takes requests."""
        libc = ctypes.CDLL(None)
        child = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=_ROOT,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        )
        self._child = child
        said = []
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line)
            if ready := _READY.search(line):
                self.endpoint_url, self.port, self.pid = ready[1], int(ready[2]), child.pid
                return self
        self.kill()
        raise RuntimeError(f"the SQS server did not start: {''.join(said).strip()}")

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; gives the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        child.send_signal(number)
        try:
            child.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
        return child.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
