"""Celery's worker-side request: what it tells of inputs, how it is withdrawn, and the reason of its dead letter."""

import time
from functools import partial
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery import states
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import task_revoked
from celery.worker import state
from celery.worker.request import Request

from celery_inference.client.lanes import lane_or_default
from celery_inference.errors import RequestCancelled, RequestExpired
from celery_inference.redaction import told, traceback_of, withheld
from celery_inference.specs.errors import InferenceError
from celery_inference.sqs.consumer.deliveries import explain
from celery_inference.sqs.dead_letters.entry import carried_generation
from celery_inference.sqs.messages.reason import Cause, Reason
from tasks.execution.error_policy import AttemptFacts, ErrorDecision, RequestState, Settlement, decide
from tasks.execution.execution import AlreadyEnded, Returned, Withdrawn


class DeliveryRequest(Request):
    """A delivery on its way through the worker. Made in the consuming thread; settled in the pool's threads."""

    _error: BaseException | None = None  # that the delivery ended with

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        delivery = message.delivery_info or {}
        # A mark of SQS's, or the header that a retry() of a later generation carries on.
        known = carried_generation(self._request_dict.get("inference_generation"))
        self._request_dict["inference_generation"] = max(int(delivery.get("generation", 0)), known)
        lane = lane_or_default(self._app.conf, delivery.get("routing_key"))
        self._app.worker_context.request_ages.record_receipt(lane, float(delivery.get("sent_at", 0.0)))
        # What others wrote here may be the inputs themselves, and goes into logs and events.
        keep = self._app.conf.inference_keep_inputs
        for kind in ("argsrepr", "kwargsrepr"):
            shown = withheld(self._request_dict.get(kind), keep)
            self._request_dict[kind] = shown
            setattr(self, f"_{kind}", shown)

    @property
    def tzlocal(self) -> Any:
        """The application's time zone; Celery looks it up in its settings for each request."""
        return self._app.timezone

    def maybe_expire(self) -> bool:
        """Whether the deadline has passed. Celery would remember the id, and discard a later generation of it."""
        return bool(self.expires and self.expires.timestamp() < time.time())

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Called in the consuming thread, which must not wait for the store."""
        self._already_revoked = True
        error = (
            RequestExpired("the deadline passed before a worker could begin the request")
            if expired
            else RequestCancelled(f"the request was {reason}")
        )
        withdraw = partial(self._withdraw, decide(error, AttemptFacts()), terminated, signum)
        self._app.worker_context.background.run(withdraw, otherwise=partial(self.reject, requeue=True))

    def _withdraw(self, decision: ErrorDecision, terminated: bool = False, signum: Any = None) -> None:
        """Store that the request has expired or was cancelled, then acknowledge; raises what the store does."""
        error, expired, backend = decision.error, decision.state is RequestState.EXPIRED, self.task.backend
        state.task_ready(self)
        if self.store_errors:
            backend.store_result(self.id, error, states.REVOKED, request=self._context)
        if self.chord:
            backend.on_chord_part_return(self._context, states.REVOKED, error)
        self.acknowledge()
        self.send_event("task-revoked", terminated=terminated, signum=signum, expired=expired)
        task_revoked.send(self.task, request=self._context, terminated=terminated, signum=signum, expired=expired)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Settle a delivery that ended in an error; see `tasks.execution.error_policy`.

        Celery rejects what failed for good, which makes it a dead letter; its reason is attached before.
        """
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, Withdrawn):
            return self._withdraw(error.decision)
        if isinstance(error, Returned):
            state.task_ready(self)
            return self.reject(requeue=True)
        if isinstance(error, AlreadyEnded) and error.error is not None:
            state.task_ready(self)
            return self._bury(error.error)
        if isinstance(error, Reject) and not error.requeue:
            self._explain(error, Cause.REJECTED)
        elif not isinstance(error, Reject | Retry | Ignore):
            self._bury(error)
        self._error = error.exc if isinstance(error, Retry) and error.exc is not None else error
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def send_event(self, type: str, **fields: Any) -> None:
        """Publish an event about the request; of its error as much as `inference_keep_inputs` allows."""
        keep = self._app.conf.inference_keep_inputs
        if keep <= 0 and "exception" in fields:
            error = self._error
            fields["exception"] = type if error is None else repr(told(error, keep))
            fields["traceback"] = None if error is None else traceback_of(error, keep)
        super().send_event(type, **fields)

    def _bury(self, error: BaseException) -> None:
        """Settle the message of a request whose FAILURE is stored."""
        lane = lane_or_default(self._app.conf, (self.delivery_info or {}).get("routing_key"))
        keeps = lane.invalid_input != "fail"
        facts = AttemptFacts(failed=True, throws=tuple(self.task.throws or ()), keeps_invalid_input=keeps)
        decision = decide(error, facts)
        if decision.settlement is Settlement.DELETE:
            self.acknowledge()
            return
        self._explain(error, decision.cause)
        self.reject(requeue=False)

    def _explain(self, error: BaseException, cause: Cause | None) -> None:
        attempt = self._app.worker_context.attempts.here()
        own = attempt if attempt is not None and attempt.start.task_id == self.id else None
        delivery = self.message.delivery_info or {}
        arguments = isinstance(self.args, list | tuple) and isinstance(self.kwargs, dict)
        model, revision = self.task.asked(self.args, self.kwargs) if arguments else (None, None)
        explain(
            self.message,
            Reason(
                error_type=type(error).__name__,
                message=str(told(error, self._app.conf.inference_keep_inputs)),
                traceback=error.model_traceback if isinstance(error, InferenceError) else None,
                attempts=own.count if own is not None else int(delivery.get("delivery_count", 1)),
                worker=self.hostname,
                model=model,
                revision=revision,
                task_id=self.id,
                cause=cause,
            ),
        )
