"""Takes a lane out of service while this worker can serve none of its models, and back into it.

A model is out when its process has died and it cannot be loaded again. Its requests would be received only to be
released, each time nearer to the lane's last delivery; other workers of the lane may be well.
"""

import threading
from collections.abc import Sequence
from typing import Any

from celery.utils.log import get_logger

from celery_inference.client.lanes import lane_of_model
from celery_inference.log_events import event
from celery_inference.specs.model_spec import ModelSpec
from tasks.resilience.lane_pauses import LanePauses

logger = get_logger(__name__)

REASON = "models"


class ModelAvailability:
    """Which models are out, and so which lanes. `note` may be called from any thread, before `use` as well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses: LanePauses | None = None
        self._models: dict[str, set[str]] = {}
        self._out: set[str] = set()
        self._closed: set[str] = set()

    @property
    def closed(self) -> set[str]:
        """Lanes of which this worker can serve no model now."""
        return set(self._closed)

    def use(self, pauses: LanePauses, conf: Any, specs: Sequence[ModelSpec]) -> None:
        """From now on pause and resume the lanes of this worker, which serves these models."""
        with self._lock:
            self._pauses, self._closed, self._models = pauses, set(), {}
            for spec in specs:
                self._models.setdefault(lane_of_model(conf, spec).name, set()).add(spec.name)
            self._adjust()

    def record_outage(self, model: str, reason: str) -> None:
        """The model is out for this reason; without one it is served again."""
        with self._lock:
            if reason:
                self._out.add(model)
                logger.critical(
                    "%s; its requests are left to other workers",
                    reason,
                    extra=event("model_out", model=model, cause=reason),
                )
            else:
                self._out.discard(model)
            self._adjust()

    def _adjust(self) -> None:
        if self._pauses is None:
            return
        for lane, models in self._models.items():
            out = models <= self._out
            if out and lane not in self._closed:
                logger.critical(
                    "lane %s is not consumed from: none of its models can be served here",
                    lane,
                    extra=event("lane_paused", lane=lane, cause="none of its models can be served here"),
                )
                self._closed.add(lane)
                self._pauses.pause(lane, REASON)
            elif not out and lane in self._closed:
                logger.warning("lane %s is consumed from again", lane, extra=event("lane_resumed", lane=lane))
                self._closed.discard(lane)
                self._pauses.resume(lane, REASON)
