"""Tasks that this worker does not know: left to newer workers for a while, then failed and dead-lettered."""

from functools import partial
from typing import Any

from celery.app.task import Context
from celery.exceptions import NotRegistered
from celery.signals import task_unknown
from celery.utils.log import get_logger

from celery_inference.sqs.consumer.deliveries import explain
from celery_inference.sqs.messages.reason import Reason
from tasks.execution.failures import store_failure

logger = get_logger(__name__)


class UnknownTasks:
    """A part of the worker's consumer, in place of Celery's way: FAILURE at once, stored by the consuming thread."""

    app: Any
    hostname: str
    event_dispatcher: Any

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Release the message while its version window is open; then store FAILURE and make it a dead letter."""
        request = _request_of(body, message)
        if message.leave_to_newer():
            logger.warning("task %s of request %s is not known here: left to newer workers", request.task, request.id)
            return
        settle = partial(self._fail, message, request)
        self.app.worker_context.background.run(settle, otherwise=partial(message.reject, requeue=True))
        task_unknown.send(sender=self, message=message, exc=exc, name=request.task, id=request.id)

    def _fail(self, message: Any, request: Context) -> None:
        logger.error("task %s of request %s is known to no worker", request.task, request.id)
        sentence = f"no worker knows the task {request.task!r}"
        # Celery's own class, so that callers catch what they would anywhere else.
        store_failure(self.app.backend, NotRegistered(request.task), request)
        explain(message, Reason("UnknownTask", sentence, attempts=0, worker=self.hostname, task_id=request.id))
        message.reject()
        if self.event_dispatcher:
            self.event_dispatcher.send("task-failed", uuid=request.id, exception=f"NotRegistered({request.task!r})")


def _request_of(body: Any, message: Any) -> Context:
    """What a backend needs to know; protocol 1 has it in the body."""
    headers = message.headers if "task" in message.headers else body or message.payload
    properties = message.properties
    return Context(
        task=headers["task"],
        id=headers["id"],
        root_id=headers.get("root_id"),
        group=headers.get("group"),
        correlation_id=properties.get("correlation_id"),
        reply_to=properties.get("reply_to"),
        **_embedded(message),
    )


def _embedded(message: Any) -> dict[str, Any]:
    """Chord, chain and errbacks, which Celery leaves alone for unknown tasks, so that their waiters wait for ever."""
    if "task" not in message.headers:
        return {}
    embed = message.payload[2]
    return {name: embed.get(name) for name in ("chord", "chain", "errbacks")}
