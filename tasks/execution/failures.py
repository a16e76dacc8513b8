"""A request that fails without having run here: it is unknown, unreadable, or has no attempts left."""

from typing import Any

from celery.app.task import Context
from celery.utils.log import get_logger

from celery_inference.results.followers import is_lasting

logger = get_logger(__name__)


def store_failure(
    backend: Any, error: Any, request: Context, *, traceback: Any = None, call_errbacks: bool = True
) -> None:
    """Store the FAILURE, then send what follows from it: error callbacks, the end of a chord. Blocks; may be repeated.

    What the store can never take is logged.

    Raises:
        StoreUnavailable, SqsError: the store or SQS is away.
    """
    # Celery looks into it for each error callback that it sends.
    request.delivery_info = request.delivery_info or {}
    try:
        backend.mark_as_failure(request.id, error, traceback, request=request, call_errbacks=call_errbacks)
    except Exception as raised:
        if not is_lasting(raised):
            raise
        logger.error("request %s has failed, and its outcome cannot be stored: %r", request.id, raised)
