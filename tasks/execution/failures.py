"""A request that fails without having run here: it is unknown, unreadable, or has no attempts left."""

from typing import Any

from celery.app.task import Context


def store_failure(
    backend: Any, error: Any, request: Context, *, traceback: Any = None, call_errbacks: bool = True
) -> None:
    """Store the FAILURE, then send what follows from it: error callbacks, the end of a chord. Blocks; may be repeated.

    Raises:
        StoreUnavailable, SqsError: the store or SQS is away.
    """
    # Celery looks into it for each error callback that it sends.
    request.delivery_info = request.delivery_info or {}
    backend.mark_as_failure(request.id, error, traceback, request=request, call_errbacks=call_errbacks)
