"""Celery's AsyncResult, for requests with a deadline: it says by itself that a request has expired unseen."""

import time
from typing import Any

from celery.app.task import Context
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult
from celery.states import READY_STATES, REVOKED

# A request that began just before its deadline still ends: its result is waited for so much longer.
GRACE_SECONDS = 600.0


class LaneResult(AsyncResult):
    """The result of a request. `deadline` (seconds since the epoch) is known to who sent it, else None.

    Once it has passed, and the grace with it, the request is stored as expired, unless it has ended otherwise.
    """

    deadline: float | None = None

    def get(self, timeout: float | None = None, *arguments: Any, **options: Any) -> Any:
        """As Celery's.

        Raises:
            RequestExpired: nothing came of the request before its deadline.
            ResultTimeout: nothing came of it in `timeout` seconds.
            celery_inference.errors.InferenceError: as the request ended.
        """
        try:
            return self._get(timeout, *arguments, **options)
        except CeleryTimeoutError as error:
            if self._cache is not None:  # it is how the request ended
                raise
            from celery_inference.errors import ResultTimeout

            store = self.backend.as_uri(include_password=False)
            waited = "in time" if timeout is None else f"within {timeout:g} s"
            raise ResultTimeout(
                f"the result store {store} has no outcome of request {self.id} {waited}; its worker must store it there"
            ) from error

    # Celery's other name for it.
    wait = get

    def _get(self, timeout: float | None, *arguments: Any, **options: Any) -> Any:
        if self.deadline is None:
            return super().get(timeout, *arguments, **options)
        left = max(0.0, self._given_up_at() - time.time())
        if timeout is not None and timeout < left:
            return super().get(timeout, *arguments, **options)
        try:
            return super().get(left, *arguments, **options)
        except CeleryTimeoutError:
            self._expire()
            return super().get(None if timeout is None else timeout - left, *arguments, **options)

    def _get_task_meta(self) -> Any:
        meta = super()._get_task_meta()
        if self.deadline is None or meta["status"] in READY_STATES or time.time() < self._given_up_at():
            return meta
        self._expire()
        return super()._get_task_meta()

    def _given_up_at(self) -> float:
        return (self.deadline or 0.0) + GRACE_SECONDS

    def _expire(self) -> None:
        """Store the outcome, so that a worker that comes later cannot store another. The first one stays."""
        from celery_inference.errors import RequestExpired

        error = RequestExpired("the deadline passed, and no worker had begun the request")
        # Of what was sent then: a dead letter that was sent again has a deadline of its own.
        self.backend.store_result(self.id, error, REVOKED, request=Context({"inference_generation": 0}))
