"""Receiving goes on with a store that hangs, and no revoked request begins because of it."""

import threading
import time
from collections.abc import Collection, Iterator
from typing import Any, cast

import pytest
from celery.worker import state

from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.consumer.message import Message
from tasks.execution.revocations import Revocations


class Store:
    """Answers when it may; says what it was asked."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked: list[set[str]] = []
        self.error: Exception | None = None

    def read(self, ids: Collection[str]) -> set[str]:
        self.asked.append(set(ids))
        assert self.may_answer.wait(30)
        if self.error is not None:
            raise self.error
        return {task_id for task_id in ids if task_id.startswith("revoked")}


@pytest.fixture(autouse=True)
def nothing_revoked() -> Iterator[None]:
    yield
    state.revoked.clear()


def messages(*ids: str) -> list[Message]:
    class Received:
        def __init__(self, task_id: str) -> None:
            self.headers: dict[str, Any] = {"id": task_id}

    return [cast(Message, Received(task_id)) for task_id in ids]


def test_what_was_revoked_is_known_when_the_look_returns() -> None:
    store = Store()
    store.may_answer.set()
    tombstones = Revocations(store.read, wait_seconds=30)
    tombstones.look(messages("a", "revoked1"))
    assert "revoked1" in state.revoked
    assert "a" not in state.revoked
    assert not tombstones.take_unread("a")
    assert store.asked == [{"a", "revoked1"}]


def test_a_store_that_hangs_is_waited_for_once_and_its_requests_are_looked_up_again() -> None:
    store = Store()
    tombstones = Revocations(store.read, wait_seconds=0.05)
    tombstones.look(messages("a", "revoked1"))
    while not store.asked:
        time.sleep(0.01)
    tombstones._wait_seconds = 3_600.0  # from here on a wait would hang this test
    tombstones.look(messages("b", "revoked2"))
    tombstones.look(messages("c"))
    assert tombstones.take_unread("revoked1")
    assert not tombstones.take_unread("revoked1")  # it was taken
    assert tombstones.take_unread("c")
    assert not tombstones.take_unread("of nobody")
    store.may_answer.set()
    while tombstones._late:
        time.sleep(0.01)
    tombstones.look(messages("d"))  # behind the others, of which none is unread when this returns
    assert {"revoked1", "revoked2"} <= set(state.revoked)
    assert not any(tombstones.take_unread(task_id) for task_id in ("a", "b", "d", "revoked2"))
    assert "c" not in {task_id for ids in store.asked for task_id in ids}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a bug")])
def test_with_a_store_that_is_away_requests_go_on(error: Exception) -> None:
    store = Store()
    store.may_answer.set()
    store.error = error
    tombstones = Revocations(store.read, wait_seconds=30)
    tombstones.look(messages("revoked1"))
    assert not tombstones.take_unread("revoked1")
    store.error = None
    tombstones.look(messages("revoked2"))
    assert "revoked2" in state.revoked
