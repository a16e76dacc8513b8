"""The shapes that Celery's worker relies on without looking, so that no message can crash it.

docs.celeryq.dev/en/stable/internals/protocol.html, version 2. Only the shape is checked: whether the task
exists and its arguments fit is the worker's business.
"""

from typing import Any

from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages.delays import instant

FOLLOWING = ("callbacks", "errbacks", "chain", "chord")
_NUMBER = int | float
# Header → types that Celery 5.7's Request, strategy and tracer take.
_HEADERS: dict[str, Any] = {
    "id": str,
    "task": str,
    "root_id": str | None,
    "parent_id": str | None,
    "group": str | None,
    "shadow": str | None,
    "eta": str | None,
    "expires": str | None,
    "retries": int | None,
    "argsrepr": str | None,
    "kwargsrepr": str | None,
    "origin": str | None,
    "ignore_result": bool | None,
    "stamped_headers": list | None,
    "stamps": dict | None,
    "replaced_task_nesting": int | None,
}


def check_headers(headers: dict[str, Any]) -> None:
    """Raise UndecodableError where headers that name a task are not what the protocol says."""
    if "task" not in headers:
        return
    if "id" not in headers:
        raise UndecodableError("the task has no id")
    for name, types in _HEADERS.items():
        if not isinstance(headers.get(name), types):
            raise UndecodableError(f"header {name!r} is {type(headers.get(name)).__name__}")
    for name in ("eta", "expires"):
        if headers.get(name) is not None and instant(headers[name]) is None:
            raise UndecodableError(f"header {name!r} is not a time such as 2030-01-31T12:00:00+00:00")
    timelimit = headers.get("timelimit")
    if timelimit is not None and not (
        isinstance(timelimit, list | tuple)
        and len(timelimit) == 2
        and all(isinstance(limit, _NUMBER | None) for limit in timelimit)
    ):
        raise UndecodableError("header 'timelimit' is not a pair of numbers")


def check_payload(headers: dict[str, Any], payload: Any) -> None:
    """Raise UndecodableError where a task's payload is not [args, kwargs, embed]."""
    if "task" not in headers:
        return
    if not (isinstance(payload, list | tuple) and len(payload) == 3):
        raise UndecodableError("the payload is not [args, kwargs, embed]")
    args, kwargs, embed = payload
    if not isinstance(args, list | tuple):
        raise UndecodableError(f"args are {type(args).__name__}, not a list")
    # A loop, because a generator for each message costs more than all else here.
    if not isinstance(kwargs, dict):
        raise UndecodableError("kwargs are not an object")
    for name in kwargs:
        if not isinstance(name, str):
            raise UndecodableError("kwargs are not an object")
    if not isinstance(embed, dict | None):
        raise UndecodableError(f"embed is {type(embed).__name__}, not an object")
    if embed:
        _check_following(embed)


def _check_following(embed: dict[str, Any]) -> None:
    """Raise UndecodableError where what is to follow a task is no signature: it could never be sent."""
    for name in FOLLOWING:
        if embed.get(name) is not None and not _is_right(name, embed[name]):
            what = "a signature" if name == "chord" else "a list of signatures"
            raise UndecodableError(f"its {name} is not {what}")


def following_in(embed: Any) -> dict[str, Any]:
    """What of a payload's third part is right."""
    given = embed if isinstance(embed, dict) else {}
    return {name: given[name] for name in FOLLOWING if _is_right(name, given.get(name))}


def _is_right(name: str, given: Any) -> bool:
    if name == "chord":
        return _is_signature(given)
    return isinstance(given, list | tuple) and all(map(_is_signature, given))


def _is_signature(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and isinstance(given.get("task"), str)
        and isinstance(given.get("args"), list | tuple | None)
        and isinstance(given.get("kwargs"), dict | None)
        and isinstance(given.get("options"), dict | None)
        and isinstance(given.get("subtask_type"), str | None)
    )
