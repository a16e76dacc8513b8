"""Submissions under a deduplication key: two of the same work are one request.

The task id is derived from the key, so that whatever goes wrong there is one outcome. Before it sends, a submitter
claims the id for a few seconds; one that dies in between delays the next by no more than that.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from celery_inference.client.signatures import signatures_in
from celery_inference.results.access import store_of
from celery_inference.results.protocol import KEEP_SECONDS, Submission

CLAIM_SECONDS = 5.0
LOOK_SECONDS = 0.05

_NAMESPACE = uuid.UUID("b1b7b1d2-0a64-5d0f-8f43-5a1a7f8d2c39")


_WITHIN = (
    "dedup_key makes the request's id: it goes neither with task_id nor within a group, chain or chord, which wait for"
    " ids of their own"
)


class Send(Protocol):
    """Sends the request with these options beside its own."""

    def __call__(self, **options: Any) -> Any:
        """Returns its AsyncResult."""


def task_id_of(task_name: str, dedup_key: str) -> str:
    """The id of the request that this key stands for."""
    return str(uuid.uuid5(_NAMESPACE, f"{task_name}\n{dedup_key}"))


def has_key_alone(signature: Mapping[str, Any]) -> bool:
    """Whether a signature's id will be that of its deduplication key."""
    options = signature.get("options") or {}
    return options.get("dedup_key") is not None and not options.get("task_id")


def refuse_keys_within(options: Mapping[str, Any]) -> None:
    """Raise TypeError when something that is to follow, however deep within, has a key beside an id that is waited for.

    A plain link may have a key: nobody waits for it.
    """
    for name in ("chain", "chord"):
        for signature in signatures_in(options.get(name)):
            _refuse(signature)
    for name in ("link", "link_error"):
        for signature in signatures_in(options.get(name)):
            if has_key_alone(signature):
                refuse_keys_within(signature["options"])
            else:
                _refuse(signature)


def _refuse(signature: Mapping[str, Any]) -> None:
    options = signature.get("options") or {}
    if options.get("dedup_key") is not None:
        raise TypeError(_WITHIN)
    refuse_keys_within(options)
    if signature.get("subtask_type") in ("group", "chain", "chord"):
        parts = signature.get("kwargs") or {}
        for name in ("tasks", "header", "body"):
            for part in signatures_in(parts.get(name)):
                _refuse(part)


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
        raise TypeError(_WITHIN)
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
