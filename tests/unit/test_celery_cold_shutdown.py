"""A worker whose main thread holds a lock is told to end at once, and does."""

import hashlib
import inspect
import os
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import celery
import pytest
from celery.apps import worker as host
from celery.platforms import EX_FAILURE, EX_OK
from celery.signals import worker_shutting_down
from celery.utils.dispatch.signal import Signal
from celery.worker import state

from celery_inference import app
from celery_inference.sqs.consumer.shutdown import STOPPER, release_everything
from tasks.autoscale.stop_flag import StopFlag
from tasks.context import WorkerContext
from tasks.patches import celery_cold_shutdown
from tasks.worker.lifecycle import Lifecycle

# When this fails, read what changed in Celery, adapt tasks/patches/celery_cold_shutdown.py where it matters, and set
# the new digest.
# Of the signal's methods it matters that a second signal may enter them again.
SURFACE = {
    "_shutdown_handler": "901e0a5a2b3d0237",
    "on_cold_shutdown": "0283849754ebf5fe",
    "on_SIGINT": "a362af012198ab1a",
    "during_soft_shutdown": "890f7a37862f37f9",
    "Signal.send": "6611d2ac9dec6e5b",
    "Signal._live_receivers": "fd1764a060dc255b",
}


@pytest.fixture
def signals() -> Iterator[list[str]]:
    """How each signal was told of; Celery's handlers, its flag and what it installs are as before in the end."""
    told: list[str] = []

    def tell(how: str, **_: object) -> None:
        told.append(how)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)}
    hard, lock = host.install_worker_term_hard_handler, worker_shutting_down.lock
    receivers, worker_shutting_down.receivers = worker_shutting_down.receivers, []
    worker_shutting_down.connect(tell)
    yield told
    worker_shutting_down.receivers, worker_shutting_down.lock = receivers, lock
    host.install_worker_term_hard_handler = hard
    state.should_stop = state.should_terminate = None
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", SURFACE)
def test_what_we_replace_or_call_is_unchanged(name: str) -> None:
    assert celery.__version__ == "5.7.0"
    owner, _, part = name.rpartition(".")
    source = inspect.getsource(getattr(Signal if owner else host, part))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == SURFACE[name]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_the_handler_waits_for_no_lock_that_its_own_thread_may_hold(signals: list[str], number: signal.Signals) -> None:
    lock = threading.Lock()

    def locked(*_: object) -> None:
        assert lock.acquire(timeout=5), "this hangs"

    consumer = SimpleNamespace(cancel_active_requests=locked, task_consumer=SimpleNamespace(cancel=locked))
    consumer.pool = SimpleNamespace(stop=locked)
    worker = SimpleNamespace(consumer=consumer, hostname="w@test", wait_for_soft_shutdown=locked)
    celery_cold_shutdown.install()
    host.install_worker_int_handler(worker)
    host.install_worker_term_hard_handler(worker)
    with lock:
        os.kill(os.getpid(), number)
        if number == signal.SIGINT:
            assert (signals, state.should_terminate) == (["Warm"], None)
            os.kill(os.getpid(), number)
    assert signals[-1] == "Cold"
    assert state.should_terminate == EX_FAILURE


class HeldWhenTheNextComes:
    """A lock; while it is held for the first time, a second signal comes."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._signal: signal.Signals | None = signal.SIGQUIT

    def __enter__(self) -> None:
        assert self._lock.acquire(timeout=5), "this hangs"
        number, self._signal = self._signal, None
        if number is not None:
            os.kill(os.getpid(), number)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_second_signal_within_the_first_one_s_handler_is_told_of_too(
    signals: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = SimpleNamespace(hostname="w@test")
    celery_cold_shutdown.install()
    monkeypatch.setattr(worker_shutting_down, "lock", HeldWhenTheNextComes(worker_shutting_down.lock))
    host.install_worker_term_handler(worker)
    host.install_worker_term_hard_handler(worker)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals == ["Cold", "Warm"]
    assert (state.should_stop, state.should_terminate) == (EX_OK, EX_FAILURE)


def test_a_sigterm_that_stands_for_sigquit_is_one(signals: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "REMAP_SIGTERM", "SIGQUIT")
    monkeypatch.setattr(host, "install_worker_term_handler", None)
    celery_cold_shutdown.install()
    host.install_worker_term_handler(SimpleNamespace(hostname="w@test"))
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals == ["Cold"]
    assert state.should_terminate == EX_FAILURE


def test_no_receiver_of_ours_waits_for_a_lock_that_is_held() -> None:
    """Each of them runs in the handler."""
    lifecycle = Lifecycle(WorkerContext(app))
    lifecycle.connect()
    own = {f"{receiver.__module__}.{receiver.__name__}" for receiver in worker_shutting_down._live_receivers(None)}
    assert {name for name in own if name.startswith("tasks.")} == {"tasks.worker.lifecycle.handle_signal"}


def test_a_flag_is_set_while_its_wait_is_interrupted() -> None:
    stop = StopFlag()
    before = signal.signal(signal.SIGUSR2, lambda *_: stop.set())
    try:
        assert not stop.wait(0.0)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        assert stop.wait(60)
        assert stop.is_set()
        assert stop.wait()
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_what_waits_for_a_lock_of_whom_the_signal_interrupts_is_released_when_it_is_free() -> None:
    lock, done = threading.Lock(), threading.Event()

    class Member:
        def stop_receiving(self) -> None:
            with lock:
                pass

        def release_all(self) -> None:
            done.set()

        def flush(self, timeout_seconds: float) -> bool:
            return True

    class Broken(Member):
        def stop_receiving(self) -> None:
            raise RuntimeError("can't start new thread")

    broken, member, ended = Broken(), Member(), threading.Event()
    STOPPER.add(broken)
    STOPPER.add(member)
    try:
        with lock:
            release_everything(5.0, ended.set)
            assert not done.is_set()
        assert ended.wait(30)
        assert done.is_set()
    finally:
        STOPPER.discard(member)
        STOPPER.discard(broken)
