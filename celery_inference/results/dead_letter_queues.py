"""The dead letters of an application: each lane's queue of them, over the index in its result store."""

from typing import Any

from celery_inference.results.access import index_of
from celery_inference.sqs.dead_letters.index import DeadLetterIndex
from celery_inference.sqs.dead_letters.queue import DeadLetterQueue
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import Lane


class NoIndexError(SqsError):
    """The result store keeps no index of dead letters."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            f"the result backend {app.backend.as_uri(include_password=False)} keeps no index of dead letters; "
            "those of sqlite:///FILE, dynamodb://REGION/TABLE and redis://HOST do, see CELERY_INFERENCE_RESULT_BACKEND"
        )


def index(app: Any) -> DeadLetterIndex:
    """The index; raises NoIndexError."""
    found = index_of(app)
    if found is None:
        raise NoIndexError(app)
    return found


def lanes_of(app: Any) -> tuple[Lane, ...]:
    """The lanes that the application's transport serves; makes no call."""
    lanes: tuple[Lane, ...] = app.connection_for_read().transport.options.lanes
    return lanes


def dead_letter_queue(app: Any, lane: Lane) -> DeadLetterQueue:
    """One lane's dead letters; makes no call yet. Raises NoIndexError."""
    clients = app.connection_for_read().transport.clients
    return DeadLetterQueue(clients, lane, index(app), lanes=lanes_of(app))


def dead_letter_queues(app: Any) -> list[DeadLetterQueue]:
    """Those of all lanes; makes no call yet. Raises NoIndexError."""
    return [dead_letter_queue(app, lane) for lane in lanes_of(app)]
