"""One copy of a function's code for all tracebacks: a patch of billiard 4.3, of which Celery's ExceptionInfo is made.

For each failed task billiard copies the traceback, and with each frame every source position of its function. Celery's
tracer is one large function: a failure costs 330 KB, in cycles that wait for the garbage collector, and a worker whose
tasks fail grows from 80 to 150 MB. The copies of one function are all alike, so here it is copied once.
"""

from functools import lru_cache

from billiard import einfo

FUNCTIONS = 512  # whose copies are kept, about 50 KB each at most


def share_code() -> None:
    """From now on, in this process; may be called again."""
    if isinstance(einfo._Frame.Code, type):
        einfo._Frame.Code = staticmethod(lru_cache(FUNCTIONS)(einfo._Code))
