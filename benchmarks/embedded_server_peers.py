"""The servers to measure: ours, and the peers that are installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.embedded_server_client import Wire

OURS: Final = "embedded"
START_SECONDS: Final = 60
_ROOT: Final = Path(__file__).resolve().parents[1]
_VERSION_OF: Final = "from importlib.metadata import version; print(version(%r))"


@dataclass(frozen=True)
class Target:
    """A server to measure. `command` and `environment` get port and data directory."""

    name: str
    version: str
    keeps: str
    command: Callable[[int, Path], list[str]]
    environment: Callable[[int, Path], Mapping[str, str]]


def targets(folders: list[str]) -> list[Target]:
    """Ours, and the peers found on PATH or in `folders`."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    found = [
        Target(
            OURS,
            "this checkout",
            "journal, sends synced before they are answered",
            lambda port, data: [
                sys.executable,
                "-m",
                "celery_inference.sqs_local",
                "--port",
                str(port),
                "--data",
                str(data),
            ],
            lambda port, data: {},
        )
    ]
    for name, peer in (("ministack", _ministack), ("roto-server", _roto), ("fauxqs", _fauxqs)):
        program = shutil.which(name, path=path)
        if program is not None:
            found.append(peer(program))
    return found


def _ministack(program: str) -> Target:
    return Target(
        "ministack",
        _output([str(Path(program).with_name("python")), "-c", _VERSION_OF % "ministack"]),
        "memory",
        lambda port, data: [program],
        lambda port, data: {"BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR", "GATEWAY_PORT": str(port)},
    )


def _roto(program: str) -> Target:
    return Target(
        "roto",
        _output([program, "--version"]),
        "SQLite, not synced",
        lambda port, data: [program, "--port", str(port), "--data-dir", str(data)],
        lambda port, data: {},
    )


def _fauxqs(program: str) -> Target:
    package = json.loads((Path(program).resolve().parents[1] / "package.json").read_text())
    # Its shebang asks PATH for Node; a Node beside it is the one that it was installed with.
    path = os.pathsep.join([str(Path(program).parent), os.environ.get("PATH", "")])
    node = _output(["node", "--version"], {"PATH": path})
    return Target(
        "fauxqs",
        f"{package['version']} on Node {node}",
        "memory",
        lambda port, data: [program],
        lambda port, data: {"FAUXQS_PORT": str(port), "FAUXQS_LOGGER": "false", "PATH": path},
    )


def _output(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    env = {**os.environ, **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=env).stdout.strip()


class Running:
    """A started server; its children count as it does."""

    def __init__(self, target: Target, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._child = subprocess.Popen(
            target.command(self.port, folder),
            env={**os.environ, **target.environment(self.port, folder)},
            cwd=_ROOT if target.name == OURS else folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._child.pid

    def queue(self, name: str) -> str:
        """URL of a new queue, once the server is up."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                wire = Wire(self.port)
                try:
                    return str(wire.call("CreateQueue", QueueName=name)["QueueUrl"])
                finally:
                    wire.close()
            except OSError:
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()

    def _pids(self) -> list[int]:
        pids = [self.pid]
        for pid in pids:
            pids += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return pids

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self._pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        lines = [line for pid in self._pids() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def running(target: Target) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="sqs-benchmark-") as folder:
        server = Running(target, Path(folder))
        try:
            yield server
        finally:
            server.stop()
