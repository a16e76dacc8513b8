"""Pauses: while this process has one, under whatever name, its workers receive nothing.

What is held already goes on, its leases are kept, and it is settled as ever.
"""

import logging
import threading

from celery_inference.log_events import event

logger = logging.getLogger(__name__)


class Pauses:
    """Held under names, each with its reason. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}

    @property
    def held(self) -> bool:
        """Whether nothing may be received now."""
        return bool(self._reasons)

    @property
    def reasons(self) -> dict[str, str]:
        """Why, by name."""
        return dict(self._reasons)

    def hold(self, name: str, reason: str) -> None:
        """Receive nothing from now on; says so, once."""
        with self._lock:
            news = name not in self._reasons
            self._reasons[name] = reason
        if news:
            logger.error(
                "nothing more is received: %s", reason, extra=event("worker_paused", reason=name, cause=reason)
            )

    def let_go(self, name: str) -> None:
        """This reason is over."""
        with self._lock:
            reason = self._reasons.pop(name, None)
        if reason is not None:
            logger.warning(
                "it is over that %s%s",
                reason,
                "" if self.held else "; receiving again",
                extra=event("worker_resumed", reason=name),
            )


PAUSES = Pauses()
