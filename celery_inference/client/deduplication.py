"""Submissions under a deduplication key: two of the same work are one request.

The task id is derived from the key, so that whatever goes wrong there is one outcome. Before it sends, a submitter
claims the id for a few seconds; one that dies in between delays the next by no more than that.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from celery_inference.client.canvas.signatures import KEY_WITHIN
from celery_inference.results.access import store_of
from celery_inference.results.protocol import KEEP_SECONDS, Submission

CLAIM_SECONDS = 5.0
LOOK_SECONDS = 0.05

_NAMESPACE = uuid.UUID("b1b7b1d2-0a64-5d0f-8f43-5a1a7f8d2c39")


class Send(Protocol):
    """Sends the request with these options beside its own."""

    def __call__(self, **options: Any) -> Any:
        """Returns its AsyncResult."""


def task_id_of(task_name: str, dedup_key: str) -> str:
    """The id of the request that this key stands for."""
    return str(uuid.uuid5(_NAMESPACE, f"{task_name}\n{dedup_key}"))


def submit_once(task: Any, dedup_key: str, send: Send, options: Mapping[str, Any]) -> Any:
    """Send the request unless it was sent; blocks for at most CLAIM_SECONDS while another submitter is at it.

    `options` are the request's own.

    Raises:
        TypeError: the key is no text, or empty, or the request has an id of its own, or is a chord's. StoreUnavailable.
            What sending raises.
    """
    if not isinstance(dedup_key, str) or not dedup_key:
        raise TypeError(f"dedup_key must be a text that is not empty, not {dedup_key!r}")
    if any(options.get(name) for name in ("task_id", "group_id", "chord")):
        raise TypeError(KEY_WITHIN)
    task_id, store = task_id_of(task.name, dedup_key), store_of(task.app)
    once = {"task_id": task_id, "headers": {**(options.get("headers") or {}), "inference_once": True}}
    if store is None:
        return send(**once)
    submitter = uuid.uuid4().hex
    while (found := store.claim_submission(task_id, submitter, CLAIM_SECONDS)) is Submission.ANOTHERS:
        time.sleep(LOOK_SECONDS)
    if found is Submission.SENT:
        return task.AsyncResult(task_id)
    result = send(**once)
    store.confirm_submission(task_id, task.backend.expires or KEEP_SECONDS)
    return result
