"""Processes of one machine: started with a log file, waited for until they are ready, always ended."""

import contextlib
import ctypes
import errno
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
_TRIES = 100
_random = random.SystemRandom()  # a seeded generator would give the same ports to processes beside each other
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class NotReady(Exception):
    """A process ended, or said nothing, before it was ready; the sentence ends with the tail of its log."""


def free_port() -> int:
    """A TCP port of loopback that nothing listens on at the moment.

    It is outside of the range that Linux gives out by itself (ip(7), ip_local_port_range: 32768 to 60999), so that no
    connection and no server that asks for any port takes it before its process has started.

    Raises:
        OSError: none of a hundred ports was free.
    """
    for _ in range(_TRIES):
        port = _random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(errno.EADDRINUSE, f"none of {_TRIES} ports of loopback was free")


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A child in a session of its own, in the project's folder, whose output goes to a log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, nothing that could deadlock
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._process.poll() is None

    def text(self) -> str:
        """All that the child has written so far."""
        return self.log.read_text(errors="replace")

    def wait_until(self, ready: Callable[[str], bool], timeout_seconds: float) -> Self:
        """Wait until `ready` says yes to the log's text.

        Raises:
            NotReady: the child ended first, or the time is over.
        """
        until = time.monotonic() + timeout_seconds
        while not ready(self.text()):
            if not self.running or time.monotonic() > until:
                what = "did not become ready" if self.running else f"ended with status {self._process.returncode}"
                tail = "\n".join(self.text().splitlines()[-20:])
                raise NotReady(f"{self.name} {what}; its log ends with:\n{tail}")
            time.sleep(0.05)
        return self

    def wait(self, timeout_seconds: float) -> int:
        """The exit status, once the child has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        return self._process.wait(timeout_seconds)

    def kill(self) -> None:
        """kill -9, of this process alone."""
        self._process.kill()
        self._process.wait()

    def stop(self, timeout_seconds: float = 15.0) -> None:
        """End the child: SIGTERM, and SIGKILL for it and what it has started when that does not help."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
