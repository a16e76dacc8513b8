"""Messages that this worker cannot begin: it does not know their task, or nobody can read them.

Unknown tasks are left to newer workers for a while. What then remains, and what is unreadable, is FAILURE where it
names a request, and becomes a dead letter.
"""

from functools import partial
from typing import Any

from celery.app.task import Context
from celery.exceptions import NotRegistered
from celery.signals import task_rejected, task_unknown
from celery.states import FAILURE, READY_STATES
from celery.utils.log import get_logger

from celery_inference.results.access import store_of
from celery_inference.sqs.consumer.deliveries import explain
from celery_inference.sqs.dead_letters.writer import first_line
from celery_inference.sqs.errors import SqsError, UndecodableError
from celery_inference.sqs.messages.reason import Reason
from tasks.execution.failures import store_failure

logger = get_logger(__name__)

REASON_CHARACTERS = 300


class UnknownTasks:
    """A part of the worker's consumer, in place of Celery's way: FAILURE at once, stored by the consuming thread, and
    the whole body in the log.
    """

    app: Any
    hostname: str
    event_dispatcher: Any

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """As Celery's; it does not look into a message that is known to be unreadable."""
        handle = super().create_task_handler(*args, **kwargs)  # type: ignore[misc]

        def on_task_received(message: Any) -> None:
            if message.unreadable is not None:
                self.on_decode_error(message, message.unreadable)
                return
            try:
                handle(message)
            except (RuntimeError, OSError, SqsError, MemoryError):
                raise  # the worker's trouble, not the message's: see ChannelConsumer.hand_over
            except Exception as exc:
                self.on_decode_error(message, exc)

        return on_task_received

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """See `on_decode_error`."""
        self.on_decode_error(message, exc)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        """A message that is no task becomes a dead letter."""
        self._log(message, "it is no task")
        message.reject()
        task_rejected.send(sender=self, message=message, exc=None)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Make an unreadable message a dead letter; before, store the FAILURE of the request that it names."""
        if message.acknowledged:
            logger.error("message %s was settled, and then: %r", message.delivery.message_id, exc)
            return
        if message.unreadable is None:
            message.refuse(exc)
        self._log(message, _sentence(exc))
        task_rejected.send(sender=self, message=message, exc=exc)
        headers = message.headers
        if isinstance(headers.get("id"), str) and isinstance(headers.get("task"), str):
            settle = partial(self._fail_unreadable, message, _sentence(exc), _request_of(headers, message))
            self.app.worker_context.background.run(settle, otherwise=partial(message.reject, requeue=True))
        else:
            message.reject()

    def _log(self, message: Any, sentence: str) -> None:
        delivery = message.delivery
        logger.error(
            "message %s on %s cannot be read, and becomes a dead letter: %s",
            delivery.message_id,
            delivery.queue,
            sentence,
        )

    def _fail_unreadable(self, message: Any, sentence: str, request: Context) -> None:
        """Acknowledge a duplicate of what has ended, whatever became of its payload; else store the FAILURE."""
        if self._has_ended_well(request):
            logger.info("request %s has ended already; this delivery is a duplicate", request.id)
            message.ack_ended()
            return
        store_failure(self.app.backend, UndecodableError(f"its message cannot be read: {sentence}"), request)
        message.reject()
        if self.event_dispatcher:
            self.event_dispatcher.send("task-failed", uuid=request.id, exception="UndecodableError()")

    def _has_ended_well(self, request: Context) -> bool:
        """Whether there is nothing to say of it any more: it has an outcome that is no failure, or was redriven."""
        store = store_of(self.app)
        if store is None:
            return False
        generation = request.inference_generation
        if store.generations([request.id]).get(request.id, generation) > generation:
            return True
        return self.app.backend._get_task_meta_for(request.id)["status"] in READY_STATES - {FAILURE}

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Release the message while its version window is open; then store FAILURE and make it a dead letter."""
        request = _request_of(message.headers if "task" in message.headers else body or message.payload, message)
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


def _request_of(headers: Any, message: Any) -> Context:
    """What a backend needs to know; protocol 1 has it in the body.

    Celery leaves chord, chain and errbacks alone for what it cannot begin, so that their waiters wait for ever.
    """
    following = message.following if "task" in message.headers else {}
    following.pop("callbacks", None)
    return Context(
        task=headers["task"],
        id=headers["id"],
        root_id=headers.get("root_id"),
        group=headers.get("group"),
        correlation_id=message.properties.get("correlation_id"),
        reply_to=message.properties.get("reply_to"),
        inference_generation=int((message.delivery_info or {}).get("generation", 0)),
        **following,
    )


def _sentence(exc: Exception) -> str:
    """Why a message cannot be read, on one line."""
    return first_line(str(exc))[:REASON_CHARACTERS] or type(exc).__name__
