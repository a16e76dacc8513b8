"""A Celery program with our task class and store and no models: `celery -A tests.support.outcome_app worker`.

Set up by environment: OUTCOME_BROKER (URL), OUTCOME_DIR (where tasks leave notes), OUTCOME_STORE (URL of the result
store; SQLite in that folder by default), OUTCOME_KILL, a step after which the worker dies with -9, once,
OUTCOME_CONSUMER, the worker's consumer (Celery's own by default), OUTCOME_INVALID_INPUT, the lane's
`invalid_input`, and OUTCOME_SICK, for a worker on which whatever can fail does.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.signals import worker_init

from celery_inference.results.backend import StoreBackend
from celery_inference.results.store.store import ResultStore
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from tasks.binding import bind
from tasks.execution import execution
from tasks.execution.request import DeliveryRequest

FOLDER = Path(os.environ.get("OUTCOME_DIR", "/nonexistent"))
STORE = os.environ.get("OUTCOME_STORE") or f"sqlite:///{FOLDER / 'results.sqlite'}"
LANE = Lane(
    DeclaredQueue("work"),
    DeclaredQueue("work-dlq", max_message_bytes=1_048_576, retention_seconds=1_209_600),
    invalid_input="fail" if os.environ.get("OUTCOME_INVALID_INPUT") == "fail" else "dead-letter",
)

app = Celery("outcome_app", task_cls="celery_inference.client.task:LaneTask")
bind(app)
app.loader.override_backends = {
    "sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend",
    "dynamodb": "celery_inference.results.dynamodb.backend:DynamoDBBackend",
    "redis": "celery_inference.results.redis.backend:RedisBackend",
}
app.conf.update(
    broker_url=os.environ.get("OUTCOME_BROKER", "sqs://key:secret@127.0.0.1:9324//"),
    broker_transport="celery_inference.sqs.transport.connection:Transport",
    broker_transport_options={
        "region": "us-east-1",
        "lanes": (LANE,),
        "create_missing_lanes": True,
        "lease_seconds": 2,
        "unknown_task_grace_seconds": 0,
    },
    broker_connection_retry_on_startup=True,
    result_backend=STORE,
    result_backend_thread_safe=True,
    result_serializer="json",
    accept_content=["json"],
    task_default_queue=LANE.name,
    task_acks_late=True,
    task_acks_on_failure=False,
    task_acks_on_timeout=False,
    worker_pool=f"{__name__}:Pool",
    worker_consumer=os.environ.get("OUTCOME_CONSUMER", "celery.worker.consumer:Consumer"),
    worker_prefetch_multiplier=4,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    inference_attempts=os.environ.get("OUTCOME_ATTEMPTS", "every"),
    inference_keep_inputs=0,
    inference_retry_base_seconds=0.1,
    inference_retry_cap_seconds=0.5,
)


class Pool(TaskPool):  # type: ignore[misc]
    """Celery's threads pool, which does not wait at its end for threads that hold what they cannot store."""

    def on_stop(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)


@worker_init.connect
def _be_patient(**_: Any) -> None:
    app.backend.patience = app.worker_context.patience


def note(text: str) -> None:
    with (FOLDER / "runs").open("a") as file:
        file.write(f"{text}\n")


@app.task(bind=True)
def add(self: Any, left: int, right: int) -> int:
    note(f"add {self.request.id}")
    return left + right


@app.task(bind=True)
def double(self: Any, number: int) -> int:
    note(f"double {self.request.id}")
    return 2 * number


@app.task(bind=True)
def total(self: Any, numbers: list[int]) -> int:
    note(f"total {self.request.id}")
    return sum(numbers)


@app.task(bind=True)
def slow(self: Any, seconds: float) -> str:
    note(f"slow {self.request.id}")
    time.sleep(seconds)
    return "slept"


@app.task(bind=True)
def fickle(self: Any) -> str:
    """Fails where the worker is sick; the others take their time."""
    host = str(self.request.hostname)
    note(f"fickle {self.request.id} {host}")
    if os.environ.get("OUTCOME_SICK"):
        raise ConnectionError("the network is down")
    time.sleep(0.05)
    return host


@app.task(bind=True)
def deadly(self: Any) -> None:
    """Takes its worker along."""
    note(f"deadly {self.request.id}")
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once() -> None:
    try:
        (FOLDER / "died").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _dying(function: Callable[..., Any], *, before: bool = False, when: Callable[..., bool] | None = None) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        now = when is None or when(*args, **kwargs)
        if before and now:
            _die_once()
        result = function(*args, **kwargs)
        if not before and now:
            _die_once()
        return result

    return wrapped


def _final(backend: Any, task_id: str, result: Any, state: str, *_: Any, **__: Any) -> bool:
    return state == "SUCCESS"


STORES = (ResultStore,)

match os.environ.get("OUTCOME_KILL", ""):
    case "before links":
        execution.send_children = _dying(execution.send_children, before=True)
    case "after links":
        execution.send_children = _dying(execution.send_children)
    case "after store":
        StoreBackend.store_result = _dying(StoreBackend.store_result, when=_final)
    case "after part":
        for kind in STORES:
            kind.end_part = _dying(kind.end_part)  # type: ignore[method-assign]
    case "before close":
        for kind in STORES:
            kind.close_chord = _dying(kind.close_chord, before=True)  # type: ignore[method-assign]
    case "before delete":
        DeliveryRequest.acknowledge = _dying(DeliveryRequest.acknowledge, before=True)
