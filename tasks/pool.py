"""The worker's pool: Celery's threads, which wait for the engine, and the device processes behind it."""

from concurrent.futures import wait
from typing import Any

from celery.app.base import Celery
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.utils.log import get_logger
from celery.worker import state

from models.errors import ModelsError
from tasks import serving
from tasks.engines import build

logger = get_logger(__name__)

LOAD_SECONDS = 1_800.0  # a cold host fetches weights first
SETTLE_SECONDS = 5.0  # for storing results and acknowledging, after the engine has ended


def stop_the_worker(reason: str) -> None:
    """End this worker, its deliveries released for others: it has no device left. Called in a thread of the engine."""
    logger.critical("%s: the worker stops", reason)
    state.should_stop = 1


class EnginePool(TaskPool):
    """Threads in this process and one spawned process for each device.

    The engine lives as long as the pool does: models are loaded before the worker takes its first delivery, and
    device processes end last of all, when no thread waits for them any more.
    """

    def __init__(self, *args: Any, app: Celery, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = app
        self._running: set[Any] = set()

    def on_start(self) -> None:
        """Load every model on every device; blocks until that is done. Ends the worker if it cannot be."""
        try:
            engine = build(self.app.conf, on_lost=stop_the_worker)
            engine.start(timeout_seconds=LOAD_SECONDS)
        except ModelsError as error:
            logger.critical("%s", error)
            raise SystemExit(1) from error
        self.engine = engine
        serving.use(engine)

    def on_apply(self, *args: Any, **kwargs: Any) -> ApplyResult:
        """Run one task's tracer in a thread, and remember it until it ends."""
        result = super().on_apply(*args, **kwargs)
        self._running.add(result.f)
        result.f.add_done_callback(self._running.discard)
        return result

    def on_stop(self) -> None:
        """Release what has not begun, and let the devices finish what has, within `inference_stop_seconds`."""
        serving.use(None)
        self.engine.stop(timeout_seconds=float(self.app.conf.inference_stop_seconds))
        # Every request is resolved now, so these threads only settle their deliveries.
        wait(list(self._running), timeout=SETTLE_SECONDS)
        self.executor.shutdown(wait=False, cancel_futures=True)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = dict(super()._get_info())
        info["engine"] = self.engine.stats()
        return info
