"""How the rest of the program reaches the store, and its index of dead letters."""

from typing import Any, cast

from celery_inference.results.protocol import Store
from celery_inference.sqs.dead_letters.index import LetterIndex


def store_of(app: Any) -> Store | None:
    """The store of an application's result backend; None for a backend that has none."""
    return cast("Store | None", getattr(app.backend, "store", None))


def index_of(app: Any) -> LetterIndex | None:
    """The index in an application's result store; None for a store that has none."""
    return cast("LetterIndex | None", getattr(app.backend, "letters", None))
