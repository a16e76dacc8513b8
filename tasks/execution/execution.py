"""One delivery of a request, from the pool's thread taking it up to the error, if any, that decides what becomes of
it."""

import time
from typing import Any

from celery.exceptions import Ignore, Reject, Retry
from celery.states import FAILURE, READY_STATES, RETRY, SUCCESS
from celery.utils.log import get_task_logger

from celery_inference.client.arguments import check_arguments
from celery_inference.client.expiry import instant
from celery_inference.client.lanes import lane_or_default, lanes_of_conf
from celery_inference.errors import AttemptsUsedUp, RequestCancelled, RequestExpired
from celery_inference.results.access import store_of
from celery_inference.specs.errors import EngineStopped
from celery_inference.sqs.api.backoff import full_jitter
from celery_inference.sqs.consumer.deliveries import find, release_after
from celery_inference.sqs.consumer.redelivery import seconds_until_known
from tasks.execution.attempts import Attempt, RunningAttempts
from tasks.execution.callbacks import name_children, send_children
from tasks.execution.error_policy import (
    AttemptCount,
    AttemptFacts,
    Delay,
    ErrorDecision,
    RequestState,
    Settlement,
    decide,
)
from tasks.execution.revocations import Revocations
from tasks.resilience.host_outliers import HostOutliers

logger = get_task_logger(__name__)

HOST_SECONDS = 120.0  # a host that has begun no attempt for so long is taken for gone
ELSEWHERE_SECONDS = 10
ELSEWHERE_TRIES = 2  # how often a last attempt is left to another host before this one takes it after all
TWIN_SECONDS = 60  # at most, until a delivery comes again that met another of its request at work


class Withdrawn(Ignore):
    """The request has expired or was cancelled; the decision says which."""

    def __init__(self, decision: ErrorDecision) -> None:
        super().__init__(str(decision.error))
        self.decision = decision


class Returned(Ignore):
    """The delivery goes back to its queue, as it should: Celery would log a Reject with its traceback."""


class AlreadyEnded(Ignore):
    """The outcome of this generation is stored; `error` is what a FAILURE ended with."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__("its outcome is stored already")
        self.error = error


class Execution:
    """The delivery that the calling thread works on for a task."""

    def __init__(
        self, task: Any, attempts: RunningAttempts, revocations: Revocations, host_outliers: HostOutliers
    ) -> None:
        self.task = task
        self._attempts, self._revocations, self._host_outliers = attempts, revocations, host_outliers
        self.request = task.request
        lane = lane_or_default(task.app.conf, (self.request.delivery_info or {}).get("routing_key"))
        recording = task.app.conf.get("inference_attempts", "every")
        self.attempt = Attempt(self.request, store_of(task.app), lane=lane, recording=recording, running=attempts)

    def work(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the task's code once, send what follows, and return the result.

        Raises:
            Reject, Returned: the delivery is released. Withdrawn, AlreadyEnded: it is acknowledged.
            Exception: any other error is final, and makes the request FAILURE.
        """
        with self._attempts.running(self.attempt) as first:
            if not first:
                self._release(min(TWIN_SECONDS, 2 ** (self.attempt.tries - 1)))
                raise Returned("another delivery of it is at work here")
            name_children(self.request)
            return self._work(args, kwargs)

    def _work(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            self._refuse_what_is_over()
            check_arguments(self.task, args, kwargs)
            if not self.task.begins_by_itself:
                self.attempt.begin()
            try:
                result = self.task.run(*args, **kwargs)
            finally:
                self.attempt.settle()  # so that no attempt is written after its outcome
            send_children(self.task, result)
        except (Ignore, Reject, Retry):
            raise
        except Exception as error:
            final = self._act_on(error)
            if final is error:
                raise
            raise final from error
        return result

    def _refuse_what_is_over(self) -> None:
        """Raise if the request has ended, or should not begin; reads the store only for what may have been here."""
        request, attempt = self.request, self.attempt
        if (held := find(self._tag)) is not None and held.wanted_back:
            raise EngineStopped("no time is left here for it to begin")
        expires = instant(request.expires)
        if expires is not None and expires < time.time():
            raise RequestExpired("the deadline passed before a worker could begin the request")
        if not attempt.has_history:
            if (
                self._revocations.take_unread(request.id)
                and attempt.store is not None
                and attempt.store.cancelled([request.id])
            ):
                raise RequestCancelled("the request was cancelled")
            return
        if attempt.store is not None:
            reached = attempt.store.generations([request.id]).get(request.id, 0)
            if reached > attempt.generation:
                raise AlreadyEnded  # a later generation has taken its place
            if attempt.store.cancelled([request.id]):
                raise RequestCancelled("the request was cancelled")
        else:
            reached = attempt.generation
        meta = self.task.backend._get_task_meta_for(request.id)
        if meta["status"] in READY_STATES and reached == attempt.generation:
            self._end_again(meta)
        attempt.look()
        if attempt.known >= self.limit:
            last = meta["result"] if meta["status"] == RETRY else None
            raise (
                last
                if isinstance(last, Exception)
                else AttemptsUsedUp(
                    f"each of {attempt.known} attempts ended without a word: the worker that had it died"
                )
            )
        self._leave_last_attempt_to_another_host()

    def _end_again(self, meta: dict[str, Any]) -> None:
        """Repeat what follows a stored outcome, all of which may be repeated, then raise AlreadyEnded."""
        backend, request = self.task.backend, self.request
        error = meta["result"] if meta["status"] == FAILURE else None
        if meta["status"] == FAILURE:
            backend.mark_as_failure(request.id, error, meta.get("traceback"), request=request)
        elif request.chord:
            backend.on_chord_part_return(request, meta["status"], meta["result"])
        if meta["status"] == SUCCESS:
            logger.info("request %s has succeeded already; this delivery is a duplicate", request.id)
        raise AlreadyEnded(error)

    @property
    def limit(self) -> int:
        """Attempts of this request over all its messages: Celery's retries, if there are more, raise it."""
        retries = self.task.max_retries
        if retries is None:
            return self.attempt.limit + int(self.request.retries or 0)
        return max(self.attempt.limit, int(retries) + 1) if self.request.retries else self.attempt.limit

    def _leave_last_attempt_to_another_host(self) -> None:
        """A host that failed every earlier attempt may be the reason: release for another, if there is one."""
        attempt = self.attempt
        tried_elsewhere = attempt.returns or attempt.deliveries - attempt.known - 1
        if (
            attempt.known != self.limit - 1
            or attempt.store is None
            or set(attempt.hosts) != {attempt.host}
            or tried_elsewhere >= ELSEWHERE_TRIES
        ):
            return
        if attempt.store.hosts(time.time() - HOST_SECONDS) - {attempt.host}:
            logger.warning("request %s: its last attempt is left to another host", self.request.id)
            self._release(ELSEWHERE_SECONDS)
            raise Reject("its last attempt is another host's", requeue=True)

    def _act_on(self, error: Exception) -> BaseException:
        """Raise what settles the delivery, or return the error that is final. See `tasks.execution.error_policy`."""
        attempt, facts = self.attempt, self._facts()
        decision = decide(error, facts)
        if decision.counts is AttemptCount.YES:
            attempt.record()
            decision = decide(error, self._facts())  # by the number that the store gave it
            if attempt.store is not None:
                self._host_outliers.failed(attempt.store, attempt.host)
        elif decision.counts is AttemptCount.TAKEN_BACK:
            attempt.take_back()
        if decision.state in {RequestState.EXPIRED, RequestState.CANCELLED}:
            raise Withdrawn(decision) from None
        if decision.settlement is Settlement.RELEASE:
            self._try_again(decision, facts)
        return decision.error

    def _facts(self) -> AttemptFacts:
        attempt, request, conf = self.attempt, self.request, self.task.app.conf
        grace_seconds = (conf.broker_transport_options or {}).get("unknown_task_grace_seconds", 0.0)
        return AttemptFacts(
            started=attempt.number is not None,
            known=attempt.known,
            count=attempt.number or attempt.known + 1,
            limit=self.limit,
            deliveries=attempt.tries,
            final=getattr(request, "inference_final", False),
            grace_seconds=seconds_until_known(self._tag, grace_seconds, lanes_of_conf(conf)),
            throws=tuple(self.task.throws or ()),
        )

    def _try_again(self, decision: ErrorDecision, facts: AttemptFacts) -> None:
        """Show RETRY where that is decided, release the delivery, and raise Reject."""
        error, conf, seconds = decision.error, self.task.app.conf, 0.0
        if decision.delay is Delay.GRACE:
            seconds = facts.grace_seconds or 0.0
            logger.warning("request %s is left to other workers: %s", self.request.id, error)
        elif decision.delay is Delay.BACKOFF:
            place = f"attempt {decision.tries} of {self.limit}" if facts.started else "before its attempt"
            logger.warning("request %s: %s failed: %r", self.request.id, place, error, exc_info=not decision.expected)
            base, cap = conf.inference_retry_base_seconds, conf.inference_retry_cap_seconds
            seconds = full_jitter(decision.tries, base_seconds=base, cap_seconds=cap)
        if decision.state is RequestState.RETRY:
            self.task.backend.store_result(self.request.id, error, RETRY, request=self.request)
        self._release(seconds)
        raise Reject(error, requeue=True) from error

    @property
    def _tag(self) -> str:
        return str((self.request.properties or {}).get("delivery_tag") or "")

    def _release(self, seconds: float) -> None:
        release_after(self._tag, seconds)
