"""A crowd of good, invalid, transient, crashing and hanging requests, while everything is killed: one outcome each.

CROWD_REQUESTS sets how many, CROWD_SEED the order of what is sent and what is broken. Workers, their engines, the
embedded server and the store are real, and so are device processes, except that they hold no model: they start in a
tenth of a second, so that hundreds of their deaths fit into minutes.
"""

import os
import random
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult
from celery.states import READY_STATES

from celery_inference import app, feature_extraction
from celery_inference.results.access import index_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.dead_letters.entry import Entry, requested
from celery_inference.sqs.dead_letters.index import Selection
from celery_inference.sqs.messages.reason import Cause
from celery_inference.sqs.queues.depths import read_depths
from demo.processes import Process
from demo.stack import Stack
from tests.support.client import client_of
from tests.support.device_processes import device_processes
from tests.support.fake_engine import write_catalogue
from tests.support.lanes import GENERAL, INFERENCE
from tests.support.peek import peek

REQUESTS = int(os.environ.get("CROWD_REQUESTS", "2000"))
SEED = int(os.environ.get("CROWD_SEED", "6"))
SECONDS = 90 + REQUESTS / 3  # a bound against hangs, not a figure
WAVE = 40  # requests between two things that break
WAVE_SECONDS = 1.0
TIME_LIMIT_SECONDS = 1.5
# Of a hundred requests: how many, and what each must end in: state, what its letter is filed under, and its error.
KINDS: dict[str, tuple[int, str, Cause | None, str | None]] = {
    "good": (80, "SUCCESS", None, None),
    "flaky": (5, "SUCCESS", None, None),  # once the device is lost under it
    "network": (3, "SUCCESS", None, None),  # a task of a user's, tried three times
    "misfit": (4, "FAILURE", Cause.INVALID_INPUT, "InvalidInput"),
    "faulty": (3, "FAILURE", Cause.MODEL_FAILED, "InputFailed"),
    "hopeless": (1, "FAILURE", Cause.ATTEMPTS_USED_UP, "DeviceLost"),
    "deadly": (1, "FAILURE", Cause.CRASH, "DeviceCrash"),
    "hanging": (1, "FAILURE", Cause.CRASH, "DeviceCrash"),
    "late": (2, "REVOKED", None, None),
}
# How many attempts of a kind fail by themselves. Kills of workers may use up the others: an attempt that has begun
# beside one that hangs lasts, its neighbours wait long to run alone, and they are received together again.
OWN_FAILURES = {"good": 0, "flaky": 1, "network": 2, "faulty": 0, "deadly": 0, "hanging": 0}
MOST_OVERTAKEN = 0.01  # of all requests
# For a hundred requests at least one of them.
CHAOS = (
    "kill worker",
    "kill device",
    "kill device",
    "end worker",
    "kill device",
    "lock store",
    "end device",
    "no store",
)


LOGGED = re.compile(r"\[([0-9a-f-]{36})\]")


def send(kind: str, number: int) -> AsyncResult[Any]:
    from tests.support import outcome_tasks

    match kind:
        case "misfit":  # from a sender that does not check
            return app.send_task("celery_inference.feature_extraction", args=[{"not": "a text"}])
        case "network":
            return outcome_tasks.broken_until.delay(3)
        case "late":
            return feature_extraction.apply_async((f"late {number}",), expires=-1)
    return feature_extraction.delay(f"{kind} {number}")


class Crowd:
    """Two workers of a stack, and what is known of the requests that were sent to them."""

    def __init__(self, stack: Stack, chaos: random.Random) -> None:
        self.stack = stack
        self.chaos = chaos
        self.started: list[Process] = []
        self.workers = [self.start(), self.start()]
        self.kinds: dict[str, str] = {}
        self.outcomes: dict[str, tuple[str, str]] = {}  # as each was seen first
        self.broken: Counter[str] = Counter()
        self.killed: list[Process] = []

    def start(self) -> Process:
        name = f"worker{time.monotonic_ns()}"
        includes = "tests.support.fake_engine,tests.support.outcome_tasks"
        command = ("celery", "-A", "tasks", "worker", "--hostname", f"{name}@%h", "--loglevel", "info")
        worker = self.stack.start(name, *command, "--include", includes)
        self.started.append(worker)
        return worker

    def look(self) -> int:
        """Note the outcomes that are there; returns how many are missing."""
        for task_id in self.kinds.keys() - self.outcomes.keys():
            outcome = outcome_of(task_id)
            if outcome[0] in READY_STATES:
                self.outcomes[task_id] = outcome
        return len(self.kinds) - len(self.outcomes)

    def cut_off(self) -> Counter[str]:
        """How many deliveries of each request a kill -9 of their worker ended, by the workers' logs."""
        cut: Counter[str] = Counter()
        for worker in self.killed:
            said = {found[1]: line for line in worker.text().splitlines() if (found := LOGGED.search(line))}
            cut.update(task_id for task_id, line in said.items() if line.endswith("received"))
        return cut

    def story(self, task_ids: Iterable[str]) -> str:
        """What the workers' logs say of these requests, for whoever looks into a failure."""
        texts = [(worker.log.stem, worker.text().splitlines()) for worker in self.started]
        return "\n".join(
            f"{task_id}\n" + "\n".join(f"  {name} {line}" for name, lines in texts for line in lines if task_id in line)
            for task_id in task_ids
        )

    def raise_the_dead(self) -> None:
        self.workers = [worker if worker.running else self.start() for worker in self.workers]

    def break_something(self, what: str) -> None:
        self.broken[what] += 1
        worker = self.chaos.choice(self.workers)
        match what:
            case "kill worker":
                worker.kill()
                self.killed.append(worker)
            case "end worker":
                os.kill(worker.pid, signal.SIGTERM)
            case "kill device" | "end device":
                sent = signal.SIGKILL if what == "kill device" else signal.SIGTERM
                for process in device_processes(worker)[:1]:
                    with suppress(ProcessLookupError):
                        os.kill(process, sent)
            case "lock store":
                with sqlite3.connect(self.store) as locking:
                    locking.execute("BEGIN EXCLUSIVE")
                    time.sleep(1.0)
            case "no store":
                with self.without_store():
                    time.sleep(1.0)

    @property
    def store(self) -> Path:
        return Path(self.stack.environment["CELERY_INFERENCE_RESULT_BACKEND"].removeprefix("sqlite:///"))

    @contextmanager
    def without_store(self) -> Iterator[None]:
        """A folder lies where the file was."""
        hidden = self.store.parent / "hidden"
        hidden.mkdir(exist_ok=True)
        with self.standing_still():
            files = list(self.store.parent.glob("results.sqlite*"))
            for file in files:
                file.rename(hidden / file.name)
            self.store.mkdir()
        yield
        with self.standing_still():
            self.store.rmdir()
            for file in files:
                (hidden / file.name).rename(file)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No file may be moved while SQLite opens it."""
        running = [worker for worker in self.workers if worker.running]
        for worker in running:
            os.kill(worker.pid, signal.SIGSTOP)
        time.sleep(0.05)
        yield
        for worker in running:
            os.kill(worker.pid, signal.SIGCONT)


def outcome_of(task_id: str) -> tuple[str, str]:
    """State and result, as they are stored now."""
    try:
        meta = app.backend._get_task_meta_for(task_id)
    except StoreUnavailable:
        return "UNKNOWN", ""
    return str(meta["status"]), repr(meta["result"])


@pytest.fixture
def crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    catalogue = write_catalogue(tmp_path, time_limit_seconds=TIME_LIMIT_SECONDS)
    monkeypatch.setenv("OUTCOME_DIR", str(tmp_path))
    settings = {
        "CELERY_INFERENCE_DEVICES": "cpu:2",
        "CELERY_INFERENCE_LEASE_SECONDS": "5",
        "CELERY_INFERENCE_RETRY_BASE_SECONDS": "0.1",
        "CELERY_INFERENCE_RETRY_CAP_SECONDS": "0.5",
        "CELERY_INFERENCE_RECONCILE_SECONDS": "1",
        "CELERY_INFERENCE_STATE": str(tmp_path / "state"),
    }
    with Stack(tmp_path / "stack", catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        yield Crowd(stack, random.Random(SEED))


@pytest.mark.timeout(SECONDS + 60)
def test_each_of_a_crowd_has_one_outcome_whatever_dies(crowd: Crowd, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    kinds = crowd.chaos.choices(list(KINDS), [kind[0] for kind in KINDS.values()], k=REQUESTS - len(KINDS))
    kinds += list(KINDS)
    crowd.chaos.shuffle(kinds)
    for start in range(0, REQUESTS, WAVE):
        next_at = time.monotonic() + WAVE_SECONDS
        for number, kind in enumerate(kinds[start : start + WAVE], start):
            crowd.kinds[send(kind, number).id] = kind
        crowd.break_something(CHAOS[start // WAVE % len(CHAOS)])
        crowd.raise_the_dead()
        crowd.look()
        time.sleep(max(0.0, next_at - time.monotonic()))

    def until(true: Callable[[], bool], what: Callable[[], Any]) -> None:
        while not true():
            assert time.monotonic() < began + SECONDS, f"seed {SEED}, after {crowd.broken}: {what()}"
            crowd.raise_the_dead()
            time.sleep(0.2)

    until(lambda: crowd.look() == 0, lambda: missing(crowd))
    expected = {task_id for task_id, kind in crowd.kinds.items() if KINDS[kind][2] is not None}
    client = make_client(endpoint_url=crowd.stack.endpoint, region="us-east-1", access_key="local", secret_key="local")

    def depths() -> dict[str, int]:
        return {depth.queue: depth.total for depth in read_depths(client, [INFERENCE, GENERAL])}

    def is_settled() -> bool:
        found = depths()
        waiting = sum(total for queue, total in found.items() if not queue.endswith("-dlq"))
        return waiting == 0 and sum(found.values()) == len(indexed())

    def in_queues() -> Counter[str | None]:
        """Letters by their request; those that a sweep holds at the moment are not seen."""
        seen = [letter for lane in (INFERENCE, GENERAL) for letter in peek(client, lane, 2 * REQUESTS)]
        return Counter(requested(letter.body).task_id for letter in seen)

    until(is_settled, lambda: (depths(), Counter(crowd.kinds[entry.task_id or ""] for entry in indexed())))
    letters = {entry.task_id: entry for entry in indexed()}
    cut_off = crowd.cut_off()
    overtaken = {
        task_id
        for task_id, kind in crowd.kinds.items()
        if filed(letters.get(task_id))[0] in (Cause.ATTEMPTS_USED_UP, Cause.LOST)
        and kind in OWN_FAILURES
        and letters[task_id].attempts >= INFERENCE.max_receive_count
        and cut_off[task_id] >= INFERENCE.max_receive_count - OWN_FAILURES[kind]
    }
    expected |= overtaken
    counts = Counter(
        (kind, outcome_of(task_id)[0], *filed(letters.get(task_id)))
        for task_id, kind in crowd.kinds.items()
        if task_id not in overtaken
    )
    with capsys.disabled():
        print(f"\n{REQUESTS} requests, seed {SEED}, {time.monotonic() - began:.0f} s; {dict(crowd.broken)}")
        for (kind, state, cause, error), count in sorted(counts.items(), key=str):
            print(f"  {count:5} {kind:9} {state} {cause or ''} {error or ''}")
        print(f"  {len(overtaken):5} whose attempts were used up by kills of their workers")
    assert {outcome_of(task_id)[0] for task_id in overtaken} <= {"FAILURE"}
    astray = [
        task_id
        for task_id, kind in crowd.kinds.items()
        if task_id not in overtaken and (outcome_of(task_id)[0], *filed(letters.get(task_id))) != KINDS[kind][1:]
    ]
    assert not astray, f"{counts}\n{crowd.story(astray[:5])}"
    assert set(counts) == {(kind, *expected[1:]) for kind, expected in KINDS.items()}, "some of each kind"
    assert len(overtaken) <= MOST_OVERTAKEN * REQUESTS, crowd.story(overtaken)
    assert set(letters) == expected, "the guilty have a letter, and nobody else"
    until(
        lambda: in_queues() == Counter(expected),
        lambda: ("letters", in_queues() - Counter(expected), Counter(expected) - in_queues()),
    )
    assert crowd.outcomes == {task_id: outcome_of(task_id) for task_id in crowd.kinds}, "what was told once stays"


def indexed() -> list[Entry]:
    index = index_of(app)
    assert index is not None
    return list(index.page(Selection(), limit=2 * REQUESTS).entries)


def filed(entry: Entry | None) -> tuple[Cause | None, str | None]:
    return (None, None) if entry is None else (Cause(entry.cause), entry.error_type)


def missing(crowd: Crowd) -> Any:
    left = [task_id for task_id in crowd.kinds if task_id not in crowd.outcomes]
    return Counter(crowd.kinds[task_id] for task_id in left), left[:5]
