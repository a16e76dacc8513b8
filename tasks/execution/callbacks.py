"""What follows a request: its links and the next step of its chain, under ids that depend on the request alone.

A request whose worker died after they were sent sends them again when it is redelivered. Under the same ids, so that
what they end in is stored once, and a second message of one that has ended is acknowledged without work.
"""

import uuid
from typing import Any

from celery import canvas
from celery.utils.log import get_logger

from celery_inference.client.canvas.signatures import has_key_alone
from celery_inference.results.followers import is_lasting

logger = get_logger(__name__)

_NAMESPACE = uuid.UUID("6f1f6a5c-64a7-5a5e-9d3e-0b7a3f0c8e11")


def name_children(request: Any) -> None:
    """Give every callback and errback of the running request, and what they contain, an id.

    One with a deduplication key has that key's, which depends on nothing else.
    """
    for kind in ("callbacks", "errbacks"):
        signatures = getattr(request, kind)
        if signatures:
            generation = getattr(request, "inference_generation", 0) or 0
            setattr(
                request,
                kind,
                [
                    signature
                    if has_key_alone(signature)
                    else _named(signature, f"{request.id}/{generation}/{kind}/{place}")
                    for place, signature in enumerate(signatures)
                ],
            )


def _named(signature: Any, path: str) -> Any:
    named = dict(signature)
    options = dict(named.get("options") or {})
    options.setdefault("task_id", str(uuid.uuid5(_NAMESPACE, path)))
    named["options"] = options
    kwargs = named.get("kwargs")
    if named.get("subtask_type") in ("group", "chain", "chord") and isinstance(kwargs, dict):
        parts = {
            name: [_named(part, f"{path}/{name}/{place}") for place, part in enumerate(value)]
            if isinstance(value, list | tuple)
            else _named(value, f"{path}/{name}")
            for name, value in kwargs.items()
            if name in ("tasks", "header", "body") and value
        }
        named["kwargs"] = {**kwargs, **parts}
    return named


def send_children(task: Any, result: Any) -> None:
    """Send the links and the next step of the chain with the result; Celery's tracer then sends none.

    What can never be sent is FAILURE by itself: the result is there, and no other attempt would change that.

    Raises:
        celery_inference.sqs.errors.SqsError, kombu.exceptions.OperationalError: some were not sent.
    """
    request, app = task.request, task.app
    options: dict[str, Any] = {"parent_id": request.id, "root_id": request.root_id or request.id}
    if app.conf.task_inherit_parent_priority:
        options["priority"] = (request.delivery_info or {}).get("priority")
    for callback in request.callbacks or ():
        _send(task, callback, result, **options)
    request.callbacks = None
    if request.chain:
        _send(task, request.chain[-1], result, chain=request.chain[:-1], **options)
        request.chain = None


def _send(task: Any, signature: Any, result: Any, **options: Any) -> None:
    app = task.app
    try:
        app.amqp._retry_publish(canvas.maybe_signature(signature, app=app).apply_async, (result,), **options)
    except Exception as error:
        if not is_lasting(error):
            raise
        logger.error("request %s has a result, and what follows cannot be sent: %r", task.request.id, error)
        task.backend.fail_unsent(signature, error)
        task.backend._fail_chain(options.get("chain"), error)
