"""A real Redis of a test's own, which it may kill and start again on the same files."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisError

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
SAFE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
START_SECONDS = 60.0


class RedisServer:
    """One server; its port stays the same."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = SAFE | {name.replace("_", "-"): value for name, value in settings.items()}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM, "redis-server is missing, and CI must not skip this"
        settings = [word for name, value in self._settings.items() for word in (f"--{name}", value)]
        command = [PROGRAM, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *settings], stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client().ping()
            except (RedisError, OSError):
                assert time.monotonic() < until, (self.folder / "redis.log").read_text()
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(START_SECONDS)
            self._process = None

    def client(self) -> Any:
        """A client of the test's own."""
        return Redis.from_url(self.url, socket_timeout=10)


@contextmanager
def running_redis(folder: Path, **settings: str) -> Iterator[RedisServer]:
    if PROGRAM is None and "CI" not in os.environ:
        pytest.skip("no redis-server here: `make redis` installs it")
    server = RedisServer(folder, **settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()
