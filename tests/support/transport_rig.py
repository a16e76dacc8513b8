"""Server, workers and clients for the transport's integration tests."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import pools

from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues import depths
from celery_inference.sqs_local.child_process import LocalServer
from tests.support import transport_app

ROOT = Path(__file__).resolve().parents[2]
HANG_SECONDS = 60.0  # a bound against hangs, not a figure


class Rig:
    """One server, one folder for marks, and workers of `transport_app` in processes of their own."""

    def __init__(self, folder: Path, server: LocalServer) -> None:
        self.folder = folder
        self.server = server
        self.port = server.port
        self.lane = transport_app.LANE
        self.lanes = transport_app.LANES
        self.client = make_client(endpoint_url=server.endpoint_url, region="us-east-1", access_key="k", secret_key="s")
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def broker_url(self) -> str:
        return f"sqs://key:secret@127.0.0.1:{self.port}//"

    def worker(
        self,
        *,
        concurrency: int = 4,
        pool: str | None = None,
        port: int | None = None,
        stock: bool = False,
        ready: bool = True,
        loglevel: str = "info",
        queues: str = "work",
        backend: str = "",
        watched: bool = False,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a worker; returns when it says that it is ready. A watched one marks how long its consumer was kept."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        environment = os.environ | {
            "TRANSPORT_BROKER": f"sqs://key:secret@127.0.0.1:{port or self.port}//",
            "TRANSPORT_OPTIONS": json.dumps(options),
            "TRANSPORT_DIR": str(self.folder),
            "TRANSPORT_BACKEND": backend,
            "TRANSPORT_STOCK": "1" if stock else "0",
            "TRANSPORT_WATCHED": "1" if watched else "0",
        }
        command = [sys.executable, "-m", "celery", "-A", "tests.support.transport_app", "worker"]
        command += [] if pool is None else ["-P", pool]
        command += ["-c", str(concurrency), "-l", loglevel, "-Q", queues, "-n", f"w{len(self.workers)}@test"]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        self.workers.append(process)
        process.log = log  # type: ignore[attr-defined]
        if ready:
            self.until(lambda: " ready." in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
        return process

    def log(self, index: int = -1) -> str:
        log: Path = self.workers[index].log  # type: ignore[attr-defined]
        return log.read_text()

    @contextlib.contextmanager
    def app(self, port: int | None = None, **options: Any) -> Iterator[Celery]:
        """The program as a sender sees it, in this process."""
        app = transport_app.app
        before = {name: app.conf[name] for name in ("broker_url", "broker_transport_options", "result_backend")}
        pools.reset()
        app._after_fork()
        url = f"sqs://key:secret@127.0.0.1:{port or self.port}//"
        app.conf.update(
            broker_url=url,
            broker_read_url=url,
            broker_write_url=url,
            broker_transport_options=transport_app.options() | options,
            result_backend=f"file://{self.folder}",
        )
        app._backend_cache = None
        app._local.__dict__.pop("backend", None)
        try:
            yield app
        finally:
            pools.reset()
            app._after_fork()
            app.conf.update(before)

    def notes(self, name: str = "notes") -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def depth(self, dead: bool = False, lane: Lane | None = None) -> depths.Depth:
        return depths.read_depths(self.client, [lane or self.lane])[1 if dead else 0]

    def empty(self) -> bool:
        return self.depth().total == 0

    def until(self, condition: Callable[[], Any], seconds: float = HANG_SECONDS) -> Any:
        """The first true answer of the condition; fails after a generous time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = condition()
            if answer:
                return answer
            time.sleep(0.02)
        logs = "\n".join(self.log(index)[-3000:] for index in range(len(self.workers)))
        raise AssertionError(f"still not so after {seconds} s\n{logs}")

    def stop(self, process: subprocess.Popen[bytes], signal_number: int = signal.SIGTERM) -> int:
        process.send_signal(signal_number)
        return process.wait(HANG_SECONDS)

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.kill()
                process.wait(10)


@contextlib.contextmanager
def rig_in(folder: Path) -> Iterator[Rig]:
    with LocalServer() as server:
        rig = Rig(folder, server)
        os.environ["TRANSPORT_DIR"] = str(folder)
        try:
            yield rig
        finally:
            rig.close()
