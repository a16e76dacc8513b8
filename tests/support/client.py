"""The project's own application, pointed at a stack that a test has started."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import pools

from celery_inference import settings
from celery_inference.celery_settings import celery_settings
from celery_inference.client.app import app
from celery_inference.sqs.broadcast.node import leave_all
from demo.stack import Stack


@contextmanager
def client_of(stack: Stack) -> Iterator[Celery]:
    """`celery_inference.app` as a process would have it that started with the stack's environment."""
    named = celery_settings(settings.read(stack.environment))
    before = {name: app.conf[name] for name in named}
    _set(named)
    try:
        yield app
    finally:
        leave_all()  # or this process's part in the broadcast would go on asking a server that is gone
        _set(before)


@contextmanager
def results_in(app: Celery, backend: Any) -> Iterator[None]:
    """An application with this result backend in every thread, whatever was used before in this process."""
    before = app._backend_cache
    app._backend_cache = backend
    try:
        yield
    finally:
        app._backend_cache = before


def _set(named: dict[str, Any]) -> None:
    pools.reset()  # a pool that is closed stays closed for whoever has the same broker again
    app._after_fork()
    app.conf.update(named)
    app.__dict__.pop("amqp", None)  # it remembers the queues
    app._backend_cache = None
    app._local.__dict__.pop("backend", None)
