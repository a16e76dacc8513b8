"""Remote control with revokes that last: each is recorded in the result store, which every worker reads."""

from typing import Any

from celery import Celery
from celery.app.control import Control as CeleryControl
from celery.utils.functional import maybe_list

from celery_inference.client.lanes import lanes_of_conf
from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.errors import BroadcastOffError, DeniedError

REVOKING = ("revoke", "terminate")


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
                write_revocations(self.app, {**(arguments or {}), **options}.get("task_id"))
            except StoreUnavailable as error:
                unwritten = error
        try:
            replies: list[dict[str, Any]] | None = super().broadcast(command, arguments, *args, **options)
        except (BroadcastOffError, DeniedError):  # senders need no permission for the queues of workers
            if command not in REVOKING or store_of(self.app) is None:
                raise
            replies = None  # the record in the store does it alone
        if unwritten is not None:
            raise unwritten
        return replies


def write_revocations(app: Celery, task_ids: Any) -> None:
    """Record that each task is revoked, where the result store can; raises StoreUnavailable."""
    store = store_of(app)
    ids = [str(task_id) for task_id in maybe_list(task_ids) or [] if task_id]
    if store is not None and ids:
        # No message of a lane lives longer.
        longest = max(lane.queue.retention_seconds for lane in lanes_of_conf(app.conf))
        store.cancel(ids, float(longest))
