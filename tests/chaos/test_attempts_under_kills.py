"""Workers that die at the worst moments, and then an account of every request and of all that follows it."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chord
from celery.result import AsyncResult

from celery_inference import app, feature_extraction
from celery_inference.results.access import store_of
from celery_inference.results.dead_letter_queues import dead_letter_queue
from demo.stack import Stack
from tasks.dead_letters.reconciler import LaneReconciler
from tests.support import fake_engine
from tests.support import outcome_app as program
from tests.support.client import client_of
from tests.support.moto_dynamodb import MotoDynamoDB
from tests.support.outcome_rig import SECONDS, Rig, eventually, started
from tests.support.redis_server import RedisServer
from tests.support.stores import moto, redis_server

__all__ = ["moto", "redis_server"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with started(tmp_path) as rig:
        yield rig


@pytest.mark.parametrize(
    "step", ["before links", "after links", "after store", "after part", "before close", "before delete"]
)
def test_a_kill_between_any_two_steps_neither_hangs_a_chord_nor_fires_anything_twice(rig: Rig, step: str) -> None:
    kill_between(rig, step)


@pytest.mark.parametrize("step", ["after store", "after part", "before close"])
def test_the_same_where_results_are_in_dynamodb(rig: Rig, moto: MotoDynamoDB, step: str) -> None:
    rig.keep_in(moto.url(f"kills-{step.replace(' ', '-')}"))
    kill_between(rig, step)


@pytest.mark.parametrize("step", ["after store", "after part", "before close"])
def test_the_same_where_results_are_in_redis(rig: Rig, redis_server: RedisServer, step: str) -> None:
    redis_server.client().flushall()
    rig.keep_in(redis_server.url)
    kill_between(rig, step)


def kill_between(rig: Rig, step: str) -> None:
    parts = [program.add.s(1, 2), program.add.s(3, 4)]
    for part in parts:
        part.link(program.double.s())
    result: AsyncResult[Any] = chord(parts)(program.total.s())
    first = rig.worker(OUTCOME_KILL=step)
    assert first.wait(SECONDS) == -9
    rig.worker()
    assert result.get(timeout=SECONDS) == 10
    eventually(lambda: rig.depths() == (0, 0), "something is left on the lane")
    runs = Counter(line.split()[0] for line in rig.runs().elements())
    assert (runs["double"], runs["total"]) == (2, 1), "what follows runs once"
    assert runs["add"] == (3 if step in ("before links", "after links") else 2), "and again only what was not stored"


def test_three_requests_and_one_slot_outlive_a_worker_that_is_killed_every_few_seconds(rig: Rig) -> None:
    results = [program.slow.delay(1.0) for _ in range(3)]
    for _ in range(6):
        worker = rig.worker()
        worker.wait_until(lambda text: " ready." in text, SECONDS)
        time.sleep(0.7)
        worker.kill()
        time.sleep(2.2)  # the lease ends, so that the next one is delivered them all
        if all(result.ready() for result in results):
            break
    sweep = LaneReconciler(program.app, dead_letter_queue(program.app, program.LANE))
    rig.worker()
    until = time.monotonic() + SECONDS
    while not all(result.ready() for result in results):
        assert time.monotonic() < until, "a request has no outcome"
        if sweep.due():
            sweep.run()
        time.sleep(0.2)
    runs = rig.runs()
    for result in results:
        began = runs[f"slow {result.id}"]
        # One that was killed between the note of its attempt and that of its run had one attempt more than runs.
        used_up = "4 attempts" in str(result.result) and began >= 3
        assert result.state == "SUCCESS" or used_up, f"{result.state} after {began} runs: {result.result}"


def test_an_input_that_takes_its_worker_along_ends_after_its_attempts_and_alone(rig: Rig) -> None:
    """It is told apart by attempts that were written before their work began."""
    innocent = [program.add.delay(number, 1) for number in range(3)]
    guilty = program.app.send_task(program.deadly.name, task_id="guilty")
    sweep = LaneReconciler(program.app, dead_letter_queue(program.app, program.LANE))
    until = time.monotonic() + 2 * SECONDS
    worker = rig.worker()
    while guilty.state not in ("FAILURE", "SUCCESS"):
        assert time.monotonic() < until, "the guilty one has no outcome"
        if not worker.running:
            worker = rig.worker()
        if sweep.due():
            sweep.run()
        time.sleep(0.1)
    assert "4 attempts" in str(guilty.result)
    assert rig.runs()["deadly guilty"] == 4
    # Killed with it before they were deleted, they may have come to the dead-letter queue after the last sweep.
    while not all(result.ready() for result in innocent):
        assert time.monotonic() < until, "an innocent one has no outcome"
        if sweep.due():
            sweep.run()
        time.sleep(0.1)
    assert [result.get(timeout=SECONDS) for result in innocent] == [1, 2, 3]
    eventually(lambda: rig.depths() == (0, 1), "one dead letter, and nothing else")


def test_a_batch_that_waits_behind_another_at_its_device_has_not_begun(tmp_path: Path) -> None:
    """Killed with one batch of two running and one waiting, and again when a second one has had its turn."""
    catalogue = fake_engine.write_catalogue(tmp_path, seconds=8.0, batch_size=2)
    settings = {
        "CELERY_INFERENCE_LEASE_SECONDS": "5",
        "CELERY_INFERENCE_DEVICES": "cpu",
        "CELERY_INFERENCE_STATE": str(tmp_path / "state"),
    }
    include = ("--include", "tests.support.fake_engine")
    with Stack(tmp_path / "stack", catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        results = [feature_extraction.delay(f"text {number}") for number in range(6)]

        def attempts() -> dict[str, int]:
            store = store_of(app)
            assert store is not None
            found = store.attempts([(result.id, 0) for result in results])
            return {task_id: attempts.count for (task_id, _), attempts in found.items()}

        worker = stack.start_worker("first", *include)
        eventually(lambda: bool(attempts()), "no batch began")
        time.sleep(1.0)  # the others are received, and a second batch waits at the device
        worker.kill()
        begun = attempts()
        assert set(begun.values()) == {1}
        assert len(begun) <= 2, "a batch of two is all that began"

        worker = stack.start_worker("second", *include)
        eventually(lambda: any(result.ready() for result in results), "no batch ended")
        time.sleep(1.0)
        worker.kill()
        left = [result.id for result in results if not result.ready()]
        assert len(left) >= 4
        assert sum(attempts().values()) == sum(begun.get(task_id, 0) for task_id in left) + 2

        stack.start_worker("last", *include)
        assert [result.get(timeout=SECONDS) for result in results] == [f"TEXT {number}" for number in range(6)]
