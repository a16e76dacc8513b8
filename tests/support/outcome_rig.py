"""An embedded server, and workers of `tests.support.outcome_app` that come and go."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from celery_inference.sqs.queues import provisioning
from celery_inference.sqs.queues.depths import read_depths
from celery_inference.sqs_local.child_process import LocalServer
from demo.processes import Process
from tests.support import outcome_app as program

SECONDS = 60


class Rig:
    """A server, a folder, and workers of `tests.support.outcome_app`."""

    def __init__(self, endpoint_url: str, folder: Path) -> None:
        self.folder = folder
        self.broker = "sqs://key:secret@" + endpoint_url.partition("://")[2] + "//"
        self.ending = ExitStack()
        self.started = 0
        self.store = f"sqlite:///{folder / 'results.sqlite'}"

    def keep_in(self, store: str) -> None:
        """Workers that are started from now on, and this process, have this result store."""
        self.store = store
        program.app.conf.result_backend = store
        program.app._backend_cache = None
        program.app._local.__dict__.pop("backend", None)

    def worker(self, **environment: str) -> Process:
        self.started += 1
        command = ["celery", "-A", "tests.support.outcome_app", "worker", "-l", "info", "-c", "1", "--without-gossip"]
        process = Process(
            f"worker{self.started}",
            [sys.executable, "-m", *command, "--hostname", f"w{self.started}@%h"],
            self.folder / f"worker{self.started}.log",
            {
                "OUTCOME_BROKER": self.broker,
                "OUTCOME_DIR": str(self.folder),
                "OUTCOME_STORE": self.store,
                **environment,
            },
        )
        self.ending.callback(process.stop)
        return process

    def runs(self) -> Counter[str]:
        path = self.folder / "runs"
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()

    def depths(self) -> tuple[int, int]:
        clients = program.app.connection_for_read().transport.clients
        found = read_depths(clients.client, [program.LANE])
        return found[0].total, found[1].total


@contextmanager
def started(folder: Path) -> Iterator[Rig]:
    """A rig whose server runs, and the program of this process pointed at it."""
    with LocalServer() as server:
        rig = Rig(server.endpoint_url, folder)
        app = program.app
        app.pool.force_close_all()
        app._after_fork()
        app.conf.broker_url = rig.broker
        for name in ("broker_read_url", "broker_write_url"):
            app.conf[name] = rig.broker
        rig.keep_in(rig.store)
        provisioning.create(app.connection_for_read().transport.clients.client, program.LANE)
        with rig.ending:
            yield rig


def eventually(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.05)
