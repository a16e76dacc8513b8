"""Signatures of our tasks go into messages of our application, and of no other.

Celery lets a task of one application be linked to, or put into a chain, group or chord with, a task of another, and
then sends everything through the broker of the first. Its workers know nothing of ours: the request would be lost
where nobody looks. Such a canvas is refused when it is sent, on either side. A signature that is made of a name alone
says nothing of its application.

A signature with a deduplication key is refused where something waits for an id that was made before.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from celery import Celery
from celery.canvas import Signature
from kombu import Connection

from celery_inference.specs.errors import InvalidInput, shown, suggestion

KEY_WITHIN = (
    "dedup_key makes the request's id: it goes neither with task_id nor within a group, chain or chord, which wait for"
    " ids of their own"
)
_FOLLOWING = ("link", "link_error", "chain", "chord")
_sending: ContextVar[bool] = ContextVar("celery_inference.sending", default=False)


@contextmanager
def ours_is_sent() -> Iterator[None]:
    """While our application sends: its messages may carry signatures of its tasks."""
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def is_sending() -> bool:
    """Whether our application sends a message now."""
    return _sending.get()


class _NoKind:
    """What a signature of one of our tasks has as its `subtask_type`, which is None for every plain signature.

    It counts as None, and is None in messages of ours. Everywhere else it refuses to be written. No other entry of a
    signature is copied with it by everything that Celery does, and reaches neither a task nor a message's options.
    """

    def __init__(self, task: str) -> None:
        self._task = task

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _NoKind)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> str:
        return "None"

    def __copy__(self) -> "_NoKind":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "_NoKind":
        return self

    def __json__(self) -> None:
        """For kombu's encoder."""
        if not is_sending():
            _refuse(self._task)

    def __reduce__(self) -> Any:
        """For pickle."""
        if not is_sending():
            _refuse(self._task)
        return type(None), ()


def bound(signature: Signature, task: str) -> Signature:
    """The signature, kept from messages of other applications."""
    signature["subtask_type"] = _NoKind(task)
    return signature


def refuse_another_s(app: Celery, task: str, options: Mapping[str, Any]) -> None:
    """Raise AnotherApplication when a request is to be sent through the broker of another application, as a group of
    its tasks does, or when something is to follow that is another's and that our workers cannot know.
    """
    from celery_inference.sqs.transport.connection import Transport

    for name in ("producer", "publisher", "connection"):
        given = options.get(name)
        connection = given if isinstance(given, Connection) else getattr(given, "connection", None)
        if isinstance(connection, Connection) and not issubclass(connection.get_transport_cls(), Transport):
            _refuse(task)
    for name in _FOLLOWING:
        for signature in signatures_in(options.get(name)):
            _refuse_following(app, task, signature)


def signatures_in(given: Any) -> list[Mapping[str, Any]]:
    """The signatures of an option or a part of a canvas, which may be one, several or none."""
    several = [given] if isinstance(given, Mapping) or not isinstance(given, Iterable) else given
    return [one for one in several if isinstance(one, Mapping)]


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
            _refuse_key(signature)
    for name in ("link", "link_error"):
        for signature in signatures_in(options.get(name)):
            if has_key_alone(signature):
                refuse_keys_within(signature["options"])
            else:
                _refuse_key(signature)


def _refuse_key(signature: Mapping[str, Any]) -> None:
    options = signature.get("options") or {}
    if options.get("dedup_key") is not None:
        raise TypeError(KEY_WITHIN)
    refuse_keys_within(options)
    if signature.get("subtask_type") in ("group", "chain", "chord"):
        parts = signature.get("kwargs") or {}
        for name in ("tasks", "header", "body"):
            for part in signatures_in(parts.get(name)):
                _refuse_key(part)


def _refuse_following(app: Celery, task: str, signature: Mapping[str, Any]) -> None:
    # What came in a message, or was made of a name, says nothing of its application.
    theirs = isinstance(signature, Signature) and signature._app not in (None, app)
    kind = signature.get("subtask_type")
    if theirs and not kind and signature["task"] not in app.tasks:
        _refuse(task, str(signature["task"]))
    options, parts = signature.get("options") or {}, (signature.get("kwargs") or {}) if kind else {}
    _refuse_options(app, str(signature.get("task")), options)
    for within in (*map(options.get, _FOLLOWING), *map(parts.get, ("tasks", "header", "body"))):
        for part in signatures_in(within):
            _refuse_following(app, task, part)


def _refuse_options(app: Celery, task: str, options: Mapping[str, Any]) -> None:
    """A worker could only find out when the request before has succeeded."""
    from celery_inference.client.send_options import refuse_unused

    refuse_unused(options, "json")
    name = getattr(options.get("queue"), "name", options.get("queue"))
    if name is not None and name not in app.amqp.queues:
        lanes = sorted(app.amqp.queues)
        problem = f'"{shown(name)}", where {shown(task)} is to follow, is no lane. {suggestion(str(name), lanes)}'
        raise InvalidInput.because("queue", problem, allowed=lanes)


def _refuse(task: str, other: str = "a task") -> NoReturn:
    from celery_inference.errors import AnotherApplication

    raise AnotherApplication(
        f"{task} cannot be linked to, or be in a chain, group or chord with, {other} of another Celery application:"
        f" their brokers and workers are not the same; send it with {task}.delay(…), within that task where it is to"
        " follow"
    )
