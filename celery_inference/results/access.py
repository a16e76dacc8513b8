"""How the rest of the program reaches the store, and its index of dead letters."""

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from celery_inference.results.store.store import ResultStore
    from celery_inference.sqs.dead_letters.index import DeadLetterIndex


def store_of(app: Any) -> "ResultStore | None":
    """The store of an application's result backend; None for a backend that has none."""
    return cast("ResultStore | None", getattr(app.backend, "store", None))


def index_of(app: Any) -> "DeadLetterIndex | None":
    """The index in an application's result store; None for a store that has none."""
    return cast("DeadLetterIndex | None", getattr(app.backend, "dead_letters", None))
