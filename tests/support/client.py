"""The project's own application, pointed at a stack that a test has started."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from celery_inference.sqs.broadcast.node import leave_all
from demo.stack import Stack
from tasks.celery import app


@contextmanager
def client_of(stack: Stack) -> Iterator[Celery]:
    """`tasks.app` as a process would have it that started with the stack's environment."""
    named = {
        "broker_url": stack.environment["CELERY_BROKER_URL"],
        "broker_transport_options": app.conf.broker_transport_options
        | {"claim_check": stack.environment["CELERY_CLAIM_CHECK"]},
        "result_backend": stack.environment["CELERY_RESULT_BACKEND"],
        "inference_catalogue": stack.environment.get("CELERY_CATALOGUE", app.conf.inference_catalogue),
    }
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


def _set(settings: dict[str, Any]) -> None:
    app.pool.force_close_all()
    app._after_fork()
    app.conf.update(settings)
    for broker in ("broker_read_url", "broker_write_url"):
        app.conf[broker] = settings["broker_url"]
    app._backend_cache = None
    app._local.__dict__.pop("backend", None)
