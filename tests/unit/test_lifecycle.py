"""A worker's life is in one file: what starts and stops, and what each signal does."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import worker_shutting_down

from celery_inference import app
from tasks.context import WorkerContext
from tasks.worker import lifecycle
from tasks.worker.lifecycle import RELEASE_SECONDS, Lifecycle

ROOT = Path(__file__).resolve().parents[2]
# Nobody is traced, and nobody sends, by a worker's steps alone: these connect where somebody does.
ELSEWHERE = {"tasks/celery.py", "tasks/tracing/process.py"}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the transport, and how the process would end."""
    acts: list[str] = []

    def release(seconds: float = 0.0, then: Callable[[], object] = lambda: None) -> None:
        assert seconds == RELEASE_SECONDS
        acts.append("release what runs")
        then()

    monkeypatch.setattr(lifecycle, "stop_receiving", lambda: acts.append("stop receiving"))
    monkeypatch.setattr(lifecycle, "release_everything", release)
    monkeypatch.setattr(lifecycle, "_exit", lambda: acts.append("end"))
    return acts


@pytest.mark.parametrize(
    ("signals", "soft_seconds", "expected"),
    [
        (["Warm"], 0.0, ["stop receiving"]),
        (["Cold"], 0.0, ["release what runs"]),
        (["Cold"], 10.0, ["stop receiving"]),
        (["Warm", "Warm"], 0.0, ["stop receiving", "release what runs", "end"]),
        (["Warm", "Cold"], 0.0, ["stop receiving", "release what runs", "end"]),
        (["Cold", "Cold"], 10.0, ["stop receiving", "release what runs", "end"]),
    ],
)
def test_a_second_signal_ends_what_the_first_one_lets_finish(
    done: list[str], signals: list[str], soft_seconds: float, expected: list[str]
) -> None:
    fake: Any = SimpleNamespace(conf=SimpleNamespace(worker_soft_shutdown_timeout=soft_seconds))
    life = Lifecycle(WorkerContext(fake))
    for how in signals:
        life.handle_signal(how=how)
    assert done == expected


def test_it_is_connected_once_however_often_celery_imports_its_modules() -> None:
    connected = len(worker_shutting_down.receivers)
    for _ in range(2):
        Lifecycle(WorkerContext(app)).connect()
    assert len(worker_shutting_down.receivers) <= connected + 1


def test_nothing_else_of_a_worker_connects_to_celery_s_signals() -> None:
    connecting = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tasks").rglob("*.py")
        if re.search(r"\.connect\b", path.read_text(encoding="utf-8"))
    }
    assert connecting == {"tasks/worker/lifecycle.py", *ELSEWHERE}


def test_every_step_that_the_page_at_its_top_names_is_there() -> None:
    named = set(re.findall(r"`(?:Lifecycle\.)?(\w+)`", lifecycle.__doc__ or ""))
    there = {*vars(lifecycle), *vars(Lifecycle)}
    assert {name for name in named if name not in there} == set()
    handlers = {act.__name__ for _, act in Lifecycle(WorkerContext(app)).handlers()}
    assert handlers - named == {"publish_stats", "count_success"}, "what is no start, stop or signal"
