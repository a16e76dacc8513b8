"""Results of which nothing is shown are not looked at: a patch of Celery 5.7's tracer.

The tracer writes every result out for its log line, and with `resultrepr_maxsize = 0` it still walks through all of it,
only to say `, ...`: 0.1 ms for an embedding, 3 ms for a list of 32, which is as much as all the rest of a request.
Flower says that the result is withheld.
"""

from typing import Any

from celery.app import trace
from celery.utils.saferepr import saferepr

from celery_inference.redaction import WITHHELD


def leave_unshown() -> None:
    """From now on, in this process; may be called again."""
    trace.saferepr = _shown


def _shown(result: Any, size: int | None = None, *more: Any, **options: Any) -> str:
    return WITHHELD if size == 0 else str(saferepr(result, size, *more, **options))
