"""A crowd of good, invalid, transient, crashing and hanging requests, while everything is killed: one outcome each.

OUTCOME_REQUESTS sets how many; 2,000 take some minutes.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from demo.__main__ import write_catalogue
from demo.processes import Process
from demo.stack import Stack
from sqs.client import make_client
from sqs.dead_letters import Cause, peek
from sqs.depths import read_depths
from sqs.lanes import GENERAL, INFERENCE
from tasks import app, feature_extraction
from tests.chaos.test_kills import device_processes
from tests.support.client import client_of

REQUESTS = int(os.environ.get("OUTCOME_REQUESTS", "100"))
SECONDS = 60 + REQUESTS / 4
KINDS = {"good": 80, "invalid": 10, "transient": 7, "crashing": 2, "hanging": 1}  # of 100
EXPECTED = {
    "good": ("SUCCESS", None),
    "invalid": ("FAILURE", Cause.INVALID_INPUT),
    "transient": ("SUCCESS", None),
    "crashing": ("FAILURE", Cause.CRASH),
    "hanging": ("FAILURE", Cause.CRASH),
}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    text = write_catalogue(tmp_path).read_text(encoding="utf-8")
    table = text[text.index("[fragile]") :].replace("[fragile.faults]", "time_limit_seconds = 5\n[fragile.faults]")
    catalogue = tmp_path / "one.toml"
    catalogue.write_text(table, encoding="utf-8")
    monkeypatch.setenv("OUTCOME_DIR", str(tmp_path))
    settings = {
        "CELERY_LEASE_SECONDS": "5",
        "CELERY_RETRY_BASE_SECONDS": "0.1",
        "CELERY_RETRY_CAP_SECONDS": "0.5",
        "CELERY_SWEEP_SECONDS": "1",
    }
    with Stack(tmp_path / "stack", catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        yield stack


def send(kind: str, number: int) -> AsyncResult[Any]:
    from tests.support import outcome_tasks

    match kind:
        case "invalid":
            return app.send_task("tasks.feature_extraction", args=[{"not": "a text"}])
        case "transient":
            return outcome_tasks.broken_until.delay(2)
        case "crashing":
            return feature_extraction.delay(f"divide by zero, {number}")
        case "hanging":
            return feature_extraction.delay(f"hang for ever, {number}")
    return feature_extraction.delay(f"a good text, number {number}, " * 20)


def break_something(stack: Stack, worker: Process, chaos: random.Random) -> Process:
    """Kill the worker or its device process, or take the store away for a while; the worker that runs then."""
    match chaos.choice(("worker", "device", "device", "store")):
        case "worker":
            worker.kill()
            return stack.start_worker(f"worker{time.monotonic_ns()}", "--include", "tests.support.outcome_tasks")
        case "device":
            for process in device_processes(worker):
                os.kill(process, signal.SIGKILL)
        case "store":
            store = Path(stack.environment["CELERY_RESULT_BACKEND"].removeprefix("sqlite:///"))
            hidden = store.parent / "hidden"
            hidden.mkdir(exist_ok=True)
            os.kill(worker.pid, signal.SIGSTOP)  # no file may be moved while SQLite writes into it
            time.sleep(0.2)
            files = list(store.parent.glob("results.sqlite*"))
            for file in files:
                file.rename(hidden / file.name)
            store.mkdir()
            os.kill(worker.pid, signal.SIGCONT)
            time.sleep(2.0)
            store.rmdir()
            for file in files:
                (hidden / file.name).rename(file)
    return worker


def test_each_of_a_crowd_has_one_outcome_whatever_dies(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    chaos = random.Random(6)
    kinds = chaos.choices(list(KINDS), list(KINDS.values()), k=REQUESTS - len(KINDS)) + list(KINDS)
    chaos.shuffle(kinds)
    worker = stack.start_worker("first", "--include", "tests.support.outcome_tasks")
    sent = {send(kind, number).id: kind for number, kind in enumerate(kinds)}
    left = {task_id: app.AsyncResult(task_id) for task_id in sent}
    until, broken = time.monotonic() + SECONDS, 0
    next_break = time.monotonic() + 1.0
    while left:
        assert time.monotonic() < until, f"without an outcome: {Counter(sent[task_id] for task_id in left)}"
        left = {task_id: result for task_id, result in left.items() if not result.ready()}
        if broken < 3 + REQUESTS // 100 and time.monotonic() > next_break:
            worker, broken = break_something(stack, worker, chaos), broken + 1
            next_break = time.monotonic() + chaos.uniform(2.0, 5.0)
        time.sleep(0.1)
    states = {task_id: app.AsyncResult(task_id).state for task_id in sent}
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    while sum(depth.total for depth in read_depths(client, [INFERENCE, GENERAL]) if "dlq" not in depth.queue):
        assert time.monotonic() < until + 60, "something is left on a lane"
        time.sleep(0.2)
    letters = {
        letter.reason.task_id: letter.reason.stated_cause
        for lane in (INFERENCE, GENERAL)
        for letter in peek(client, lane, 1_000)
        if letter.reason
    }
    counts = Counter((kind, states[task_id], letters.get(task_id)) for task_id, kind in sent.items())
    with capsys.disabled():
        print(f"\n{REQUESTS} requests, {broken} times something broke:")
        for (kind, state, cause), count in sorted(counts.items(), key=str):
            print(f"  {count:5} {kind:10} {state} {cause or ''}")
    assert set(counts) == {(kind, *EXPECTED[kind]) for kind in KINDS}
    assert set(letters) <= set(sent), "a letter of nobody"
