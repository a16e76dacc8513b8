"""The worker's pool: Celery's threads, which wait for the engine, and the device processes behind it."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from celery.app.base import Celery
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.request import Request

from celery_inference.client.lanes import lanes_of_conf
from celery_inference.results.followers import is_lasting
from celery_inference.sqs.consumer.deliveries import explain
from celery_inference.sqs.consumer.leases import LOST
from celery_inference.sqs.messages.reason import Reason
from models.engine import Engine
from tasks.execution.failures import store_failure
from tasks.worker.lifecycle import SETTLE_SECONDS, finish_work, load_models

logger = get_logger(__name__)

UNSETTLED_TRIES = 2  # deliveries of a request whose settlement itself raises, in a way that no waiting mends


class EnginePool(TaskPool):
    """Threads in this process and one spawned process for each device.

    The engine lives as long as the pool does: models are loaded before the worker takes its first delivery, and
    device processes end last of all, when no thread waits for them any more. Besides one thread for each delivery that
    the engine's lanes may hold there is one for each slot of the other lanes, so that neither waits for the other.
    """

    loads_models = True
    engine: Engine | None = None

    def __init__(self, *args: Any, app: Celery, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = app
        threads = self.limit + sum(lane.own_slots for lane in lanes_of_conf(app.conf))
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="task")
        self._running: dict[Future[Any], Request | None] = {}

    def on_start(self) -> None:
        """Load what is to be served; blocks until that is done, or until the worker is told to stop."""
        self.engine = load_models(self.app.worker_context, self.options.get("max_memory_per_child"))

    @property
    def busy(self) -> int:
        """Tasks that run, or wait for a thread."""
        return len(self._running)

    def on_apply(self, *args: Any, **kwargs: Any) -> ApplyResult:
        """Run one task's tracer in a thread, and see that its delivery is settled whatever becomes of it."""
        result = super().on_apply(*args, **kwargs)
        request = getattr(kwargs.get("callback"), "__self__", None)
        self._running[result.f] = request
        result.f.add_done_callback(partial(self._settle, request))
        return result

    def _settle(self, request: Request | None, future: Future[Any]) -> None:
        """Celery settles a delivery when its tracer returns. It does not when it raises, as when a store is away."""
        self._running.pop(future, None)
        error = None if future.cancelled() else future.exception()
        if request is None or (error is None and not future.cancelled()):
            return
        state.task_ready(request)
        if error is not None:
            logger.error("request %s could not be settled: %r", request.id, error)
            if is_lasting(error) and request.message.delivery.tries >= UNSETTLED_TRIES:
                fail = partial(self._fail, request, error)
                self.app.worker_context.background.run(fail, otherwise=partial(request.reject, requeue=True))
                return
        request.reject(requeue=True)

    def _fail(self, request: Request, error: BaseException) -> None:
        """End a request that nobody can settle, which would come again for ever."""
        store_failure(self.app.backend, error, request._context)
        attempts = request.message.delivery.tries
        explain(request.message, Reason(type(error).__name__, str(error), attempts=attempts, task_id=request.id))
        request.reject(requeue=False)

    def on_stop(self) -> None:
        """Release what has not begun, and let the devices finish what has, within `inference_stop_seconds`."""
        self._end(float(self.app.conf.inference_stop_seconds), SETTLE_SECONDS)

    def on_terminate(self) -> None:
        """Let the devices finish within Celery's `worker_soft_shutdown_timeout`, 0 by default. The rest is released."""
        self._end(float(self.app.conf.worker_soft_shutdown_timeout), 0.5)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Nothing to do: a thread cannot be ended, and its request is released when the engine stops."""

    def _end(self, engine_seconds: float, settle_seconds: float) -> None:
        finish_work(self.app.worker_context, self.engine, self._drain, engine_seconds, settle_seconds)

    def _drain(self, timeout_seconds: float) -> int:
        """Let the threads finish, and no other begin; returns how many have not finished in time."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        return len(wait(list(self._running), timeout=timeout_seconds).not_done)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = dict(super()._get_info())
        if self.engine is not None:
            info["engine"] = self.engine.stats()
        info["dropped"] = self.app.worker_context.engine.dropped()
        info["lost_leases"] = LOST.counts()
        return info
