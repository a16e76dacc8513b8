"""Server, worker and Flower of one machine, on free ports, with data of their own."""

import shlex
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from demo.processes import Process, free_port

READY_SECONDS = 120.0  # a worker loads its models first


class Stack:
    """A context manager: what was started is ended, last first, whatever happens inside.

    `environment` is what a client of this stack needs in its own environment.
    """

    def __init__(self, folder: Path, *, catalogue: Path | None = None, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "CELERY_INFERENCE_BROKER_URL": f"sqs://local:local@127.0.0.1:{self.port}//",
            "CELERY_INFERENCE_STATE": str(folder.resolve() / "state"),
            "CELERY_INFERENCE_RESULT_BACKEND": f"sqlite:///{folder / 'results.sqlite'}",
            "CELERY_INFERENCE_CLAIM_CHECK": (folder.resolve() / "claims").as_uri(),
            **({"CELERY_INFERENCE_CATALOGUE": str(catalogue)} if catalogue else {}),
            **settings,
        }
        self.flower_url = ""
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def write_environment(self) -> Path:
        """A file that a shell sources to become a client of this stack."""
        path = self.folder / "environment"
        exports = (f"export {name}={shlex.quote(value)}\n" for name, value in self.environment.items())
        path.write_text("".join(exports), encoding="utf-8")
        return path

    def start(self, name: str, *command: str) -> Process:
        """Start `python -m COMMAND` with the stack's environment; its log is NAME.log."""
        process = Process(name, [sys.executable, "-m", *command], self.folder / f"{name}.log", self.environment)
        self._ending.callback(process.stop)
        return process

    def start_server(self) -> Process:
        """The embedded SQS server, ready."""
        command = ("celery_inference.sqs_local", "--port", str(self.port), "--data", str(self.folder / "sqs"))
        self.server = self.start("server", *command).wait_until(lambda text: "ready" in text, 30.0)
        return self.server

    def start_worker(self, name: str = "worker", *options: str) -> Process:
        """A worker, its models loaded."""
        command = ("celery", "-A", "tasks", "worker", "--hostname", f"{name}@%h", "--loglevel", "info", *options)
        return self.start(name, *command).wait_until(lambda text: " ready." in text, READY_SECONDS)

    def start_flower(self) -> Process:
        """Flower, answering; its address is `flower_url`."""
        port = free_port()
        process = self.start("flower", "celery", "-A", "tasks", "flower", f"--port={port}")
        self.flower_url = f"http://127.0.0.1:{port}"
        return process.wait_until(lambda _: _answers(f"{self.flower_url}/healthcheck"), 60.0)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
