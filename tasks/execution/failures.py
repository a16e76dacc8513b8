"""A request that fails without having run here: it is unknown, or has no attempts left."""

from typing import Any

from celery.app.task import Context
from celery.utils.log import get_logger

logger = get_logger(__name__)

# Raised again at each try: what the request's sender wrote is no callback, no chord, or no argument of theirs.
_LASTING = (AttributeError, LookupError, TypeError, ValueError)


def store_failure(
    backend: Any, error: Any, request: Context, *, traceback: Any = None, call_errbacks: bool = True
) -> None:
    """Store the FAILURE, then send what follows from it: error callbacks, the end of a chord. Blocks; may be repeated.

    What can never follow, because of what the sender wrote, is logged: the failure is stored by then.

    Raises:
        StoreUnavailable, SqsError: the store or SQS is away.
    """
    # Celery looks into it for each error callback that it sends.
    request.delivery_info = request.delivery_info or {}
    try:
        backend.mark_as_failure(request.id, error, traceback, request=request, call_errbacks=call_errbacks)
    except _LASTING:
        logger.exception("request %s has failed, and what is to follow from it cannot be sent", request.id)
