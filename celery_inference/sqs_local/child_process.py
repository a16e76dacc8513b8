"""Starts the server as a child process, for tests, benchmarks and the demo."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

STOP_SECONDS: Final = 10.0
_ROOT: Final = Path(__file__).resolve().parents[2]
_READY: Final = re.compile(r"ready on (http://\S+:(\d+)),")


class LocalServer:
    """A server on a free port, or on `port`; `data` None keeps messages in memory.

    The child stops when its parent is gone, however that ended: its standard input is a pipe from it. May be started
    again after it ended, on the same port.
    """

    def __init__(self, *, data: Path | None = None, port: int = 0, arguments: Sequence[str] = ()) -> None:
        self._keep = ["--memory"] if data is None else ["--data", str(data)]
        self._arguments = list(arguments)
        self._child: subprocess.Popen[str] | None = None
        self._stderr: IO[str] | None = None
        self.port = port
        self.endpoint_url = ""
        self.pid = 0

    def start(self) -> Self:
        """Returns once the server takes requests. Raises RuntimeError with its own words when it does not come up."""
        command = [sys.executable, "-m", "celery_inference.sqs_local", "--stop-with-stdin", "--port", str(self.port)]
        # A file, as a pipe that nobody reads would stall the server once it is full.
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by _end
        self._child = subprocess.Popen(  # noqa: S603 - our own module and the caller's arguments
            [*command, *self._keep, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=_ROOT,
        )
        assert self._child.stdout is not None
        ready = _READY.search(self._child.stdout.readline())
        if ready is None:
            said = self.said()
            self.kill()
            raise RuntimeError(f"the SQS server did not start: {said.strip()}")
        self.endpoint_url, self.port, self.pid = ready[1], int(ready[2]), self._child.pid
        return self

    def said(self) -> str:
        """What the running server wrote to its standard error."""
        if self._stderr is None:
            return ""
        self._stderr.seek(0)
        return self._stderr.read()

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; gives the exit status once the process is gone."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        child.send_signal(number)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for stream in (child.stdin, child.stdout, self._stderr):
            if stream is not None:
                stream.close()
        self._stderr = None
        return child.returncode

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()
