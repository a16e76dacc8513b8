"""Remote control with revokes that last: each leaves a tombstone in the result store, which every worker reads."""

from typing import Any

from celery import Celery
from celery.app.control import Control as CeleryControl
from celery.utils.functional import maybe_list

from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.errors import BroadcastOffError
from celery_inference.sqs.lanes import LANES

REVOKING = ("revoke", "terminate")
# No message of a lane lives longer.
KEEP_SECONDS = float(max(lane.queue.retention_seconds for lane in LANES))


class Control(CeleryControl):
    """Celery's, for which workers that start later do not exist."""

    def broadcast(
        self, command: str, arguments: dict[str, Any] | None = None, *args: Any, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Send a command to the workers; a revoke is written to the result store before.

        Raises:
            StoreUnavailable: the workers of now were told, those that start later will not know.
        """
        unwritten = None
        if command in REVOKING:
            try:
                bury(self.app, {**(arguments or {}), **options}.get("task_id"))
            except StoreUnavailable as error:
                unwritten = error
        try:
            replies: list[dict[str, Any]] | None = super().broadcast(command, arguments, *args, **options)
        except BroadcastOffError:
            if command not in REVOKING or store_of(self.app) is None:
                raise
            replies = None  # the tombstone does it alone
        if unwritten is not None:
            raise unwritten
        return replies


def bury(app: Celery, task_ids: Any) -> None:
    """Leave a tombstone for each task, where the result store has them; raises StoreUnavailable."""
    store = store_of(app)
    ids = [str(task_id) for task_id in maybe_list(task_ids) or [] if task_id]
    if store is not None and ids:
        store.cancel(ids, KEEP_SECONDS)
