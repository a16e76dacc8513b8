"""What follows a stored outcome: links, the rest of a chain, a chord's body.

The outcome is stored by then, so what can never be sent must not bring its message back: it is logged, gets a FAILURE
of its own, and the message is settled. What may be sent later raises, and the next delivery repeats it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.app.task import Context
from celery.canvas import maybe_signature
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.errors import QueueMissingError, RefusedError

logger = get_logger(__name__)


def is_lasting(error: BaseException) -> bool:
    """Whether sending it again would end in the same error: only a store, SQS or its access rights may change."""
    if isinstance(error, Ignore | Reject | Retry):
        return False
    return isinstance(error, QueueMissingError | RefusedError) or not isinstance(
        error, StoreUnavailable | OperationalError | OSError | MemoryError
    )


@contextmanager
def settling(task_id: str, what: str) -> Iterator[None]:
    """Around the sending of what follows a request; what can never be sent is logged."""
    try:
        yield
    except Exception as error:
        if not is_lasting(error):
            raise
        logger.error("request %s has ended, and %s cannot be sent: %r", task_id, what, error)


class Followers:
    """Mixed into a backend."""

    app: Any

    def fail_unsent(self, signature: Any, error: BaseException) -> None:
        """Store the FAILURE of what can never be sent, and see to what would follow from it. May be repeated."""
        backend: Any = self
        with settling("that was not sent", "what follows from it"):
            backend.chord_error_from_stack(maybe_signature(signature, app=self.app), error)

    def _call_task_errbacks(self, request: Any, exc: Any, traceback: Any) -> None:
        """Each by itself, so that one that cannot be sent keeps no other back."""
        errbacks = request.errbacks if isinstance(request.errbacks, list | tuple) else [request.errbacks]
        for errback in errbacks:
            with settling(request.id, "an error callback"):
                alone = Context(vars(request), errbacks=[errback])
                super()._call_task_errbacks(alone, exc, traceback)  # type: ignore[misc]

    def _fail_chain(self, chain: Any, *args: Any, **kwargs: Any) -> None:
        with settling("of a chain", "the end of the chain"):
            super()._fail_chain(chain, *args, **kwargs)  # type: ignore[misc]
