"""A small Celery program of the transport's own tests: `celery -A tests.support.transport_app worker`.

Set up by environment, because workers are processes of their own: TRANSPORT_BROKER (URL), TRANSPORT_OPTIONS
(JSON), TRANSPORT_DIR (where tasks leave marks), TRANSPORT_BACKEND (URL), TRANSPORT_STOCK=1 for kombu's own SQS
transport.
"""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from celery import Celery, Task, bootsteps
from celery.concurrency.thread import TaskPool
from celery.exceptions import Reject
from celery.signals import worker_shutting_down
from celery.worker import state
from celery.worker.request import Request

from celery_inference.sqs.consumer.deliveries import explain, release_after
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.messages.reason import Reason
from celery_inference.sqs.transport import connection
from tasks.context import WorkerContext
from tasks.patches import celery_cold_shutdown
from tasks.worker.startup.queues import check_queues

STOCK = os.environ.get("TRANSPORT_STOCK") == "1"
QUEUE = os.environ.get("TRANSPORT_QUEUE", "work")


def lane(name: str, own_slots: int = 0) -> Lane:
    stem, dot, suffix = name.partition(".")
    dead = DeclaredQueue(f"{stem}-dlq{dot}{suffix}", max_message_bytes=1_048_576, retention_seconds=1_209_600)
    return Lane(DeclaredQueue(name), dead, own_slots=own_slots)


LANE = lane(QUEUE)
LANES = (LANE, lane("bulk"), lane("ordered.fifo"), lane("apart", own_slots=2))


def options() -> dict[str, Any]:
    given: dict[str, Any] = json.loads(os.environ.get("TRANSPORT_OPTIONS", "{}"))
    if STOCK:
        return {"region": "us-east-1", "queue_name_prefix": "", "wait_time_seconds": 1} | given
    base = {"region": "us-east-1", "lanes": LANES, "create_missing_lanes": True, "lease_seconds": 30}
    return base | given


class AnnouncedAside(Request):  # type: ignore[misc]
    """A request that is found expired or revoked before it runs: its outcome is stored as the application stores it."""

    def _announce_revoked(self, *args: Any) -> None:
        self._already_revoked = True
        self._app.worker_context.background.run(
            partial(super()._announce_revoked, *args), otherwise=partial(self.reject, requeue=True)
        )


class RigTask(Task):  # type: ignore[misc]
    """Settled as the application's own tasks are."""

    Request = Request if STOCK else AnnouncedAside


class QueueCheck(bootsteps.Step):  # type: ignore[misc]
    """As in the application's own worker, and nothing else of it."""

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        check_queues(worker.app)


app = Celery("transport_app", task_cls=RigTask)
app.loader.override_backends = {
    "hanging": "tests.support.hanging_store:HangingStore",
    "sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend",
}
app.conf.update(
    broker_url=os.environ.get("TRANSPORT_BROKER", "sqs://key:secret@127.0.0.1:9324//"),
    broker_transport_options=options(),
    broker_connection_retry_on_startup=True,
    result_backend=os.environ.get("TRANSPORT_BACKEND") or f"file://{os.environ.get('TRANSPORT_DIR', '/nonexistent')}",
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_acks_on_failure_or_timeout=False,
    task_ignore_result=True,
    worker_pool=f"{__name__}:Pool",
    worker_prefetch_multiplier=1,
    worker_enable_remote_control="broadcast_prefix" in options(),
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    task_publish_retry_policy={"max_retries": 2, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
)
if not STOCK:
    app.conf.broker_transport = "celery_inference.sqs.transport.connection:Transport"
    if os.environ.get("TRANSPORT_WATCHED") == "1":
        app.conf.broker_transport = f"{__name__}:WatchedTransport"
    app.conf.worker_consumer = "tasks.worker.consumer:Consumer"
    app.worker_context = WorkerContext(app)
    app.steps["worker"].add(QueueCheck)


@worker_shutting_down.connect
def _stop(how: str, **_: Any) -> None:
    connection.stop_receiving() if how == "Warm" else connection.release_everything(5)


if not STOCK:
    celery_cold_shutdown.install()


class WatchedTransport(connection.Transport):
    """Leaves a mark whenever the consuming thread was kept from its idle wait for longer than ever before, seconds."""

    _since: float | None = None
    _longest = 0.0

    def _next(self, deadline: float | None) -> tuple[Any, Any] | None:
        if self._since is not None and (busy := time.monotonic() - self._since) > self._longest:
            self._longest = busy
            mark("busy", f"{busy:.4f}")
        try:
            return super()._next(deadline)
        finally:
            self._since = time.monotonic()


class Pool(TaskPool):  # type: ignore[misc]
    """Celery's threads pool with threads for slots of their own, and without what makes a cold shutdown wait."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executor = ThreadPoolExecutor(self.limit + sum(lane.own_slots for lane in LANES))

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Threads cannot be ended; their messages are released instead."""

    def on_stop(self) -> None:
        self.executor.shutdown(wait=not state.should_terminate, cancel_futures=True)


def mark(name: str, text: str = "") -> None:
    """Leave a line in a file that the test reads."""
    with (Path(os.environ["TRANSPORT_DIR"]) / name).open("a") as file:
        file.write(f"{text}\n")


@app.task(ignore_result=False)
def add(left: int, right: int) -> int:
    return left + right


@app.task
def noop() -> None:
    pass


@app.task(bind=True)
def note(self: "Task[Any, Any]", text: str, seconds: float = 0.0) -> None:
    mark("started", text)
    time.sleep(seconds)
    mark("notes", f"{text} {self.request.properties['delivery_info'].get('delivery_count')} {time.time()}")


@app.task(bind=True)
def wait_for(self: "Task[Any, Any]", text: str, name: str) -> None:
    """Hold a slot until a file of this name is there."""
    mark("started", text)
    while not (Path(os.environ["TRANSPORT_DIR"]) / name).exists():
        time.sleep(0.02)
    mark("notes", text)


@app.task(bind=True)
def fail(self: "Task[Any, Any]", text: str) -> None:
    mark("notes", text)
    tag = self.request.properties["delivery_tag"]
    explain(tag, Reason("ValueError", text, attempts=1))
    raise Reject(text, requeue=False)


@app.task(bind=True)
def release_until(self: "Task[Any, Any]", text: str, deliveries: int) -> None:
    count = self.request.properties["delivery_info"]["delivery_count"]
    mark("notes", f"{text} {count}")
    if count < deliveries:
        release_after(self.request.properties["delivery_tag"], 0)
        raise Reject("again", requeue=True)
