"""The worker's pool: Celery's threads, which wait for the engine, and the device processes behind it."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from celery.app.base import Celery
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.request import Request

from celery_inference.client.lanes import lanes_of_conf
from celery_inference.results.backend import ENDING, PATIENCE
from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.consumer.leases import LOST
from models.engine import Engine
from tasks.execution import engine_client
from tasks.execution.engine_factory import build
from tasks.patches.malloc import give_large_blocks_back
from tasks.resilience import model_availability
from tasks.tracing.export import follower
from tasks.worker.forced_exit import end_after

logger = get_logger(__name__)

LOAD_SECONDS = 1_800.0  # a cold host fetches weights first
SETTLE_SECONDS = 5.0  # for storing results and acknowledging, after the engine has ended
EXIT_SECONDS = 10.0  # for the rest of Celery's shutdown, when a thread of the pool hangs


def stop_the_worker(reason: str) -> None:
    """End this worker, its deliveries released for others: it has no device left. Called in a thread of the engine."""
    logger.critical("%s: the worker stops", reason)
    state.should_stop = 1


class EnginePool(TaskPool):
    """Threads in this process and one spawned process for each device.

    The engine lives as long as the pool does: models are loaded before the worker takes its first delivery, and
    device processes end last of all, when no thread waits for them any more. Besides one thread for each delivery that
    the engine's lanes may hold there is one for each slot of the other lanes, so that neither waits for the other.
    """

    engine: Engine | None = None

    def __init__(self, *args: Any, app: Celery, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = app
        threads = self.limit + sum(lane.own_slots for lane in lanes_of_conf(app.conf))
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="task")
        self._running: dict[Future[Any], Request | None] = {}

    def on_start(self) -> None:
        """Load what is to be served; blocks until that is done, or until the worker is told to stop."""
        give_large_blocks_back()
        failures: list[InferenceError] = []
        try:
            # Celery's own setting, in KiB: `--max-memory-per-child`.
            most = self.options.get("max_memory_per_child")
            self.engine = engine = build(
                self.app,
                on_lost=stop_the_worker,
                on_out=model_availability.note,
                recycle_bytes=most * 1024 if most else None,
                on_batch=follower(),
            )
        except InferenceError as error:
            failures.append(error)
        else:
            loading = threading.Thread(target=_start, args=(engine, failures), name="engine-start")
            loading.start()
            try:
                while loading.is_alive():
                    loading.join(0.1)
                    state.maybe_shutdown()
            except SystemExit:
                # Celery does not stop what has not wholly started.
                engine.stop(timeout_seconds=0.0)
                raise
        if failures:
            logger.critical("%s", failures[0])
            raise SystemExit(1) from failures[0]
        engine_client.set_engine(engine)
        ENDING.clear()
        PATIENCE.set()

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
        if error is not None:
            logger.error("request %s could not be settled, and is released: %r", request.id, error)
        state.task_ready(request)
        request.reject(requeue=True)

    def on_stop(self) -> None:
        """Release what has not begun, and let the devices finish what has, within `inference_stop_seconds`."""
        self._end(float(self.app.conf.inference_stop_seconds), SETTLE_SECONDS)

    def on_terminate(self) -> None:
        """Let the devices finish within Celery's `worker_soft_shutdown_timeout`, 0 by default. The rest is released."""
        self._end(float(self.app.conf.worker_soft_shutdown_timeout), 0.5)

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Nothing to do: a thread cannot be ended, and its request is released when the engine stops."""

    def _end(self, engine_seconds: float, settle_seconds: float) -> None:
        engine_client.set_engine(None)
        until = time.monotonic() + engine_seconds
        if self.engine is not None:
            self.engine.stop(timeout_seconds=engine_seconds)
        # Every request is resolved now: these threads only settle their deliveries, and those whose store is away
        # wait for it no longer. Tasks of other kinds have the rest of the time.
        ENDING.set()
        PATIENCE.clear()
        self.executor.shutdown(wait=False, cancel_futures=True)
        if wait(list(self._running), timeout=max(settle_seconds, until - time.monotonic())).not_done:
            # Python joins the pool's threads before it exits, without a bound.
            logger.error("%d threads of the pool hang; the worker ends without them", len(self._running))
            end_after(EXIT_SECONDS)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = dict(super()._get_info())
        if self.engine is not None:
            info["engine"] = self.engine.stats()
        info["dropped"] = engine_client.dropped()
        info["lost_leases"] = LOST.counts()
        return info


def _start(engine: Engine, failures: list[InferenceError]) -> None:
    try:
        engine.start(timeout_seconds=LOAD_SECONDS)
    except InferenceError as error:
        failures.append(error)
