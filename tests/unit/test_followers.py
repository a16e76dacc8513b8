"""What follows a stored outcome: what can never be sent is settled, and chords end whatever other threads do."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery._state import _set_task_join_will_block
from celery.app.task import Context
from celery.exceptions import Reject
from celery.states import FAILURE, PENDING, SUCCESS
from kombu.exceptions import OperationalError

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.sqs.errors import QueueMissingError, UnavailableError
from tasks.execution.callbacks import send_children

ROUNDS, CHORDS, THREADS = 20, 300, 16
NOWHERE = QueueMissingError("SendMessage", "nowhere")


def _after(value: Any) -> None:
    """Any task."""


class Parts:
    """An application whose sends are noted, or end in an error."""

    def __init__(self, folder: Path) -> None:
        self.app = Celery("parts", set_as_current=False, broker="memory://")
        self.app.conf.result_backend_thread_safe = True
        self.backend = SQLiteBackend(app=self.app, url=f"sqlite:///{folder / 'results.sqlite'}")
        self.app._backend_cache = self.backend
        self.sent: list[tuple[str, Any]] = []
        self.error: Exception | None = None
        self.task = self.app.task(name="after")(_after)
        self.app.send_task = self._send
        self.task.apply_async = self._apply

    def _send(self, name: str, args: Any = (), kwargs: Any = None, **options: Any) -> None:
        self._note(options.get("task_id", name), args)

    def _apply(self, args: Any = (), kwargs: Any = None, **options: Any) -> None:
        self._note(options.get("task_id", "after"), args)

    def _note(self, what: str, args: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((what, args))

    def chord(self, name: str, states: dict[str, Any]) -> list[Context]:
        """The requests of a chord's parts, whose results are stored."""
        body = dict(self.task.s().set(task_id=f"{name}-body"), chord_size=len(states))
        results = [self.app.AsyncResult(part) for part in states]
        self.app.GroupResult(name, results).save(backend=self.backend)
        for part, result in states.items():
            state = FAILURE if isinstance(result, Exception) else SUCCESS
            self.backend.store_result(part, result, state)
        return [Context({"id": part, "group": name, "chord": body}) for part in states]

    def end(self, request: Context) -> None:
        self.backend.on_chord_part_return(request, SUCCESS, None)

    def state(self, task_id: str) -> tuple[str, Any]:
        meta = self.backend._get_task_meta_for(task_id)
        return meta["status"], meta["result"]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def test_chords_that_end_at_the_same_moment_all_end_well(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery._state._task_join_will_block", True)  # as in every worker
    with ThreadPoolExecutor(THREADS) as threads:
        for round_number in range(ROUNDS):
            parts.sent.clear()
            names = [f"{round_number}-{number}" for number in range(CHORDS)]
            chords = list(threads.map(lambda name: parts.chord(name, {f"{name}-part": 1}), names))
            list(threads.map(parts.end, [request for requests in chords for request in requests]))
            assert sorted(what for what, _ in parts.sent) == sorted(f"{name}-body" for name in names)


def test_no_switch_of_the_process_keeps_a_chord_from_reading_its_parts(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery._state._task_join_will_block", True)
    requests = parts.chord("one", {"a": 1, "b": 2})
    read = parts.backend._states.read

    def while_another_thread_ends_its_own(*arguments: Any, **options: Any) -> Any:
        _set_task_join_will_block(True)
        return read(*arguments, **options)

    monkeypatch.setattr(parts.backend._states, "read", while_another_thread_ends_its_own)
    for request in requests:
        parts.end(request)
    assert parts.sent == [("one-body", ([1, 2],))]


def test_a_chord_with_a_failed_part_names_it(parts: Parts) -> None:
    for request in parts.chord("one", {"a": 1, "b": ValueError("too long")}):
        parts.end(request)
    state, error = parts.state("one-body")
    assert state == FAILURE
    assert "Dependency b raised ValueError('too long')" in str(error)


@pytest.mark.parametrize("error", [NOWHERE, TypeError("no such argument")], ids=lambda error: type(error).__name__)
def test_a_chord_whose_body_can_never_be_sent_ends_in_its_failure(parts: Parts, error: Exception) -> None:
    parts.error = error
    for request in parts.chord("one", {"a": 1, "b": 2}):
        parts.end(request)
    assert parts.state("one-body")[0] == FAILURE


def test_a_chord_that_nobody_can_count_ends_in_its_body_s_failure(parts: Parts) -> None:
    (request,) = parts.chord("one", {"a": 1})
    request.chord["chord_size"] = "x"
    parts.end(request)
    assert parts.state("one-body")[0] == FAILURE


@pytest.mark.parametrize(
    "error", [UnavailableError("SendMessage", "q", "503"), StoreUnavailable("away"), OperationalError("away")]
)
def test_a_chord_whose_body_may_be_sent_later_brings_its_part_back(parts: Parts, error: Exception) -> None:
    (request,) = parts.chord("one", {"a": 1})
    parts.error = error
    with pytest.raises(Reject):
        parts.end(request)
    parts.error = None
    parts.end(request)
    assert parts.sent == [("one-body", ([1],))]


def test_error_callbacks_that_cannot_be_sent_keep_no_other_back(parts: Parts) -> None:
    errbacks = [5, {"a": 1}, {"task": "not here", "args": 3}, dict(parts.task.s().set(task_id="told"))]
    request = Context({"id": "one", "task": "t", "errbacks": errbacks, "delivery_info": {}})
    parts.backend.mark_as_failure("one", ValueError("no"), request=request)
    assert parts.state("one")[0] == FAILURE
    assert ("told", ("one",)) in parts.sent


@pytest.mark.parametrize("wrong", [{"errbacks": 5}, {"chain": {"a": 1}}, {"chord": "x"}, {"chord": {"task": 3}}])
def test_nonsense_that_is_to_follow_does_not_keep_the_outcome(parts: Parts, wrong: dict[str, Any]) -> None:
    request = Context({"id": "one", "task": "t", "group": "g", "delivery_info": {}, **wrong})
    parts.backend.mark_as_failure("one", ValueError("no"), request=request)
    assert parts.state("one")[0] == FAILURE


def test_links_that_can_never_be_sent_fail_by_themselves(parts: Parts) -> None:
    links = [dict(parts.task.s().set(task_id=name)) for name in ("link", "next", "last")]
    parts.task.push_request(id="one", callbacks=links[:1], chain=[links[2], links[1]], delivery_info={})
    parts.error = NOWHERE
    send_children(parts.task, 1)
    assert [parts.state(name)[0] for name in ("link", "next", "last", "one")] == [FAILURE] * 3 + [PENDING]
    parts.task.pop_request()


def test_links_that_may_be_sent_later_raise(parts: Parts) -> None:
    parts.task.push_request(id="one", callbacks=[dict(parts.task.s())], chain=None, delivery_info={})
    parts.error = UnavailableError("SendMessage", "q", "503")
    with pytest.raises(UnavailableError):
        send_children(parts.task, 1)
    parts.task.pop_request()
