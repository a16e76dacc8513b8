"""Celery's worker-side request, with the reason of a failure handed on to its dead letter."""

from typing import Any

from celery.exceptions import Ignore, Reject, Retry

from models.errors import EngineStopped
from sqs.backoff import release_after
from sqs.dead_letters import Reason, explain
from tasks.aside import AnnouncedAside
from tasks.fates import Fate, fate_of


class DeliveryRequest(AnnouncedAside):
    """A delivery on its way through the worker. Its methods run in the pool's threads."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Settle a request whose attempt ended in an error.

        Celery rejects what failed for good, which makes it a dead letter; its reason is attached before.
        """
        error = exc_info.exception
        if isinstance(error, Reject) and isinstance(error.reason, EngineStopped):
            # It has not failed: this worker ends, and another may have it at once.
            release_after(self.message, 0)
        if not isinstance(error, (Reject, Retry, Ignore)):
            if fate_of(error) is Fate.EXPIRED:
                self.acknowledge()
            delivery = self.message.delivery_info or {}
            explain(
                self.message,
                Reason(
                    error_type=type(error).__name__,
                    message=str(error),
                    attempts=int(delivery.get("delivery_count", 1)),
                    worker=self.hostname,
                    model=self.kwargs.get("model") if isinstance(self.kwargs, dict) else None,
                    task_id=self.id,
                ),
            )
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
