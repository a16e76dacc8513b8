"""The engine of this process: set by the worker's pool, asked by the tasks in its threads."""

import threading
from collections import Counter
from collections.abc import Collection
from concurrent.futures import CancelledError, Future
from typing import Any

from celery.exceptions import Reject
from celery.utils.log import get_logger

from celery_inference.errors import RequestCancelled
from celery_inference.specs.errors import Cancelled, EngineStopped, ModelOut, NotServedHere, UnknownModel
from celery_inference.sqs.consumer.deliveries import call_when_lost, find
from celery_inference.sqs.messages.delivery import Delivery
from models.engine import Engine

logger = get_logger(__name__)

# The engine answers every request that it accepts. This bound is for the case that it does not: the request is
# then released, while its thread would otherwise be lost for good.
MAX_WAIT_SECONDS = 3_600.0


_engine: Engine | None = None
_lock = threading.Lock()
_rows: Counter[str] = Counter()
_requests: Counter[str] = Counter()
_dropped: Counter[str] = Counter()


def set_engine(engine: Engine | None) -> None:
    """Make this the engine that tasks of this process ask; None when there is none any more."""
    global _engine  # noqa: PLW0603 - Celery's tasks are module-level, and so is what they share
    _engine = engine


def engine() -> Engine | None:
    """The engine that tasks of this process ask, if there is one."""
    return _engine


def describe(model: str) -> dict[str, Any]:
    """What results of the model are made with here; nothing when no engine of this process serves it."""
    return _engine.describe(model) if _engine is not None and _engine.serves(model) else {}


def held_rows() -> dict[str, int]:
    """Inputs that wait or run here, by model."""
    with _lock:
        return dict(_rows)


def held_requests() -> int:
    """Requests that wait or run here."""
    with _lock:
        return _requests.total()


def run(
    model: str,
    inputs: list[Any],
    options: dict[str, Any],
    *,
    request_id: str | None,
    deadline: float | None,
    delivery_tag: str = "",
) -> list[Any]:
    """Answer the inputs with this process's engine; blocks the calling thread. `deadline` in seconds since the epoch.

    A request whose lease is lost is another worker's: what has begun goes on, and the first stored outcome counts.

    Raises:
        EngineStopped: there is no engine here, it is ending, or no time was left for it to begin.
        NotServedHere: the model is none of those that this worker has loaded.
        celery_inference.specs.errors.InferenceError: as the engine resolves the request.
        RequestCancelled: it was revoked while it was held.
        celery.exceptions.Reject: the delivery's lease was lost before the request began.
        TimeoutError: it did not within MAX_WAIT_SECONDS.
    """
    if _engine is None:
        raise EngineStopped("no engine runs in this process: send the request with .delay() to a worker")
    _count(model, 1, len(inputs))
    future: Future[list[Any]] | None = None
    try:
        future = _engine.submit(model, inputs, options, deadline=deadline, request_id=request_id or "")
        _drop_when_lost(delivery_tag, future)
        return future.result(timeout=MAX_WAIT_SECONDS)
    except CancelledError:
        if (delivery := find(delivery_tag)) is not None and delivery.wanted_back:
            raise EngineStopped("no time is left here for it to begin") from None
        raise lease_lost(request_id) from None
    except UnknownModel as error:
        raise NotServedHere(f'this worker does not serve "{model}": see CELERY_INFERENCE_MODELS') from error
    except ModelOut as error:
        raise NotServedHere(str(error)) from error
    except Cancelled:
        raise RequestCancelled("the request was revoked") from None
    finally:
        if future is not None:
            future.cancel()
        _count(model, -1, -len(inputs))


def lease_lost(request_id: str | None) -> Reject:
    """What gives a request up that is another worker's by now; counted, and said in the log."""
    _dropped["lease lost"] += 1
    logger.warning("request %s is dropped: its lease was lost before it began", request_id)
    return Reject("its lease was lost before it began", requeue=True)


def _drop_when_lost(delivery_tag: str, future: Future[list[Any]]) -> None:
    """Let the engine drop the request when its next batch is formed, if it has not begun by then.

    So it does for a delivery that is wanted back.
    """

    def lost(_: Delivery) -> None:
        future.cancel()

    call_when_lost(delivery_tag, lost)


def dropped() -> dict[str, int]:
    """How many requests were given up here before they began, by the reason."""
    return dict(_dropped)


def cancel(request_ids: Collection[str]) -> set[str]:
    """End those of which an input still waits here; returns their ids. What runs is not interrupted."""
    engine = _engine
    return set() if engine is None else {request_id for request_id in request_ids if engine.cancel(request_id)}


def _count(model: str, requests: int, rows: int) -> None:
    with _lock:
        _requests[model] += requests
        _rows[model] += rows
