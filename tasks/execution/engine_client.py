"""How tasks, in the threads of the worker's pool, ask the engine of this process."""

import threading
from collections import Counter
from collections.abc import Collection
from concurrent.futures import CancelledError, Future
from typing import Any

from celery.exceptions import Reject
from celery.utils.log import get_logger

from celery_inference.errors import RequestCancelled
from celery_inference.inputs.rows import Rows, place
from celery_inference.log_events import event
from celery_inference.specs.errors import (
    Cancelled,
    EngineStopped,
    InvalidInput,
    ModelFailed,
    ModelOut,
    NotServedHere,
    UnknownModel,
)
from celery_inference.sqs.consumer.deliveries import call_when_lost, find
from celery_inference.sqs.messages.delivery import Delivery
from models.engine import Engine

logger = get_logger(__name__)

# The engine answers every request that it accepts. This bound is for the case that it does not: the request is
# then released, while its thread would otherwise be lost for good.
MAX_WAIT_SECONDS = 3_600.0


class EngineClient:
    """Hands requests to the engine of this process, and counts them. Thread-safe.

    `engine` is None while there is none.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine
        self._lock = threading.Lock()
        self._rows: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._waits: dict[str, tuple[int, float]] = {}
        self._failed: dict[str, Counter[str]] = {}

    def describe(self, model: str) -> dict[str, Any]:
        """What results of the model are made with here; nothing when no engine of this process serves it."""
        engine = self.engine
        return engine.describe(model) if engine is not None and engine.serves(model) else {}

    def held_rows(self) -> dict[str, int]:
        """Inputs that wait or run here, by model."""
        with self._lock:
            return dict(self._rows)

    def held_requests(self) -> int:
        """Requests that wait or run here."""
        with self._lock:
            return self._requests.total()

    def dropped(self) -> dict[str, int]:
        """How many requests were given up here before they began, by the reason."""
        return dict(self._dropped)

    def note_wait(self, model: str, seconds: float) -> None:
        """A request for this model is taken up by a thread, so long after it was sent."""
        with self._lock:
            count, sum_seconds = self._waits.get(model, (0, 0.0))
            self._waits[model] = count + 1, sum_seconds + max(0.0, seconds)

    def totals(self) -> dict[str, dict[str, float]]:
        """By model: `waits` and `wait_seconds` of its requests until then, and inputs that failed alone.

        Those are `invalid_inputs` where it is the caller's fault, and `failed_inputs` where it is the model's.
        """
        with self._lock:
            totals: dict[str, dict[str, float]] = {model: dict(failed) for model, failed in self._failed.items()}
            for model, (count, seconds) in self._waits.items():
                totals.setdefault(model, {}).update(waits=count, wait_seconds=round(seconds, 3))
            return totals

    def run(
        self,
        model: str,
        rows: Rows,
        options: dict[str, Any],
        *,
        request_id: str | None,
        deadline: float | None,
        delivery_tag: str = "",
    ) -> list[Any]:
        """Answer the inputs with the engine; blocks the calling thread. `deadline` in seconds since the epoch.

        Errors of inputs that have failed alone stand in their places, where `rows` keeps such.

        A request whose lease is lost is another worker's: what has begun goes on, and the first stored outcome counts.

        Raises:
            EngineStopped: there is no engine here, it is ending, or no time was left for it to begin.
            NotServedHere: the model is none of those that this worker has loaded.
            celery_inference.specs.errors.InferenceError: as the engine resolves the request.
            RequestCancelled: it was revoked while it was held.
            celery.exceptions.Reject: the delivery's lease was lost before the request began.
            TimeoutError: it did not within MAX_WAIT_SECONDS.
        """
        engine = self.required()
        self._count(model, 1, len(rows.values))
        future: Future[list[Any]] | None = None
        try:
            future = engine.submit(
                model, rows.values, options, deadline=deadline, request_id=request_id or "", errors=rows.errors
            )
            _drop_when_lost(delivery_tag, future)
            results = future.result(timeout=MAX_WAIT_SECONDS)
            self._report_failed(model, request_id, results)
            return results
        except CancelledError:
            if (delivery := find(delivery_tag)) is not None and delivery.wanted_back:
                raise EngineStopped("no time is left here for it to begin") from None
            raise self.lease_lost(request_id) from None
        except UnknownModel as error:
            raise NotServedHere(f'this worker does not serve "{model}": see CELERY_INFERENCE_MODELS') from error
        except ModelOut as error:
            raise NotServedHere(str(error)) from error
        except Cancelled:
            raise RequestCancelled("the request was revoked") from None
        except (InvalidInput, ModelFailed) as error:
            if rows.many and len(rows.values) == 1:  # of several, the engine has said which
                place(error, 0)
            raise
        finally:
            if future is not None:
                future.cancel()
            self._count(model, -1, -len(rows.values))

    def required(self) -> Engine:
        """The engine; raises EngineStopped when there is none."""
        if self.engine is None:
            raise EngineStopped("no engine runs in this process: send the request with .delay() to a worker")
        return self.engine

    def lease_lost(self, request_id: str | None) -> Reject:
        """What gives a request up that is another worker's by now; counted, and said in the log."""
        self._dropped["lease lost"] += 1
        logger.warning("request %s is dropped: its lease was lost before it began", request_id)
        return Reject("its lease was lost before it began", requeue=True)

    def cancel(self, request_ids: Collection[str]) -> set[str]:
        """End those of which an input still waits here; returns their ids. What runs is not interrupted."""
        engine = self.engine
        return set() if engine is None else {request_id for request_id in request_ids if engine.cancel(request_id)}

    def _report_failed(self, model: str, request_id: str | None, results: list[Any]) -> None:
        """Count the inputs that failed alone, and log those of the model's fault: no dead letter tells of them."""
        refused = [result for result in results if isinstance(result, InvalidInput)]
        failed = [result for result in results if isinstance(result, ModelFailed)]
        if not refused and not failed:
            return
        with self._lock:
            counts = self._failed.setdefault(model, Counter())
            counts.update(invalid_inputs=len(refused), failed_inputs=len(failed))
        if failed:
            logger.warning(
                "request %s: model %s failed on %d of its %d inputs; their errors are in its result, the first is here",
                request_id,
                model,
                len(failed),
                len(results),
                exc_info=failed[0],
                extra=event("inputs_failed", model=model, inputs=len(failed)),
            )

    def _count(self, model: str, requests: int, rows: int) -> None:
        with self._lock:
            self._requests[model] += requests
            self._rows[model] += rows


def _drop_when_lost(delivery_tag: str, future: Future[list[Any]]) -> None:
    """Let the engine drop the request when its next batch is formed, if it has not begun by then.

    So it does for a delivery that is wanted back.
    """

    def lost(_: Delivery) -> None:
        future.cancel()

    call_when_lost(delivery_tag, lost)
