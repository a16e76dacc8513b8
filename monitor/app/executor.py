"""Flower's calls that ask SQS or the result store: what is away is 503 and a sentence, what is asked wrongly 400."""

from functools import partial
from typing import Any

from flower.utils.blocking import BlockingOperationRunner
from tornado.web import HTTPError

from celery_inference.errors import InvalidInput

# Our result store's own errors are of the system's.
_AWAY = (OSError,)
# Flower's names of what sends a request. Celery raises TypeError for arguments that a task does not have.
_SENDING = ("task.publish",)


class HonestRunner(BlockingOperationRunner):
    """Flower's, which knows the errors of Celery and kombu alone."""

    async def run(
        self, operation: str, target: Any, func: Any, *args: Any, connection_errors: Any = (), **kwargs: Any
    ) -> Any:
        """Run it in a thread.

        Raises tornado's HTTPError: 503 when what it asks is away, 400 with the reason when a request is refused before
        it is sent.
        """
        errors = (*connection_errors, *_AWAY)
        wrong = (InvalidInput, TypeError) if operation in _SENDING else (InvalidInput,)
        call = partial(_answer_or_refusal, wrong, func, *args, **kwargs)
        answer = await super().run(operation, target, call, connection_errors=errors)
        if isinstance(answer, _Refusal):
            raise HTTPError(400, "%s", answer.reason) from answer.error
        return answer


class _Refusal:
    def __init__(self, error: Exception) -> None:
        self.error, self.reason = error, str(error)


def _answer_or_refusal(wrong: tuple[type[Exception], ...], func: Any, *args: Any, **kwargs: Any) -> Any:
    # Flower would log any error as its own, with a traceback, and answer 500.
    try:
        return func(*args, **kwargs)
    except wrong as error:
        return _Refusal(error)
