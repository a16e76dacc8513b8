"""Logging faults once, again rarely, and their end."""

import logging
import math
import threading
import time

from celery_inference.log_events import event

logger = logging.getLogger("sqs")

REPEAT_SECONDS = 60.0


class FaultLog:
    """One line when a subject starts to fail, one a minute while it lasts, one when it is over. Thread-safe."""

    def __init__(self, repeat_seconds: float = REPEAT_SECONDS) -> None:
        self._repeat_seconds = repeat_seconds
        self._lock = threading.Lock()
        self._faults: dict[str, tuple[float, float, int]] = {}  # since, last logged, faults so far

    def failed(self, subject: str, cause: object, consequence: str = "trying again") -> None:
        """Note a fault of a subject, e.g. "ReceiveMessage inference"."""
        now = time.monotonic()
        with self._lock:
            since, logged, count = self._faults.get(subject, (now, -math.inf, 0))
            due = now - logged >= self._repeat_seconds
            self._faults[subject] = (since, now if due else logged, count + 1)
        if not due:
            return
        told = event("calls_fail", call=subject, cause=str(cause))
        if count == 0:
            logger.warning("%s failed: %s; %s", subject, cause, consequence, extra=told)
        else:
            logger.warning(
                "%s has failed %d times in %.0f s, last: %s; %s",
                subject,
                count + 1,
                now - since,
                cause,
                consequence,
                extra=told,
            )

    def succeeded(self, subject: str) -> None:
        """Note that a subject works."""
        if subject not in self._faults:
            return
        with self._lock:
            fault = self._faults.pop(subject, None)
        if fault is not None:
            since, _, count = fault
            seconds = time.monotonic() - since
            told = event("calls_work", call=subject, faults=count, seconds=round(seconds, 1))
            logger.info("%s works again after %d faults in %.0f s", subject, count, seconds, extra=told)
