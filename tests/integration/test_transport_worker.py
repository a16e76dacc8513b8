"""A real worker on the threads pool, through the transport, against the embedded server."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_inference.sqs.queues import depths, provisioning
from celery_inference.sqs.queues.check import check
from tests.support import transport_app as program
from tests.support.fault_proxy import ANY, Fault, FaultProxy
from tests.support.peek import peek
from tests.support.transport_rig import Rig, rig_in


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


def texts(rig: Rig, name: str = "notes") -> list[str]:
    return sorted(line.split()[0] for line in rig.notes(name))


def test_tasks_run_results_come_back_and_the_queue_is_empty(fresh: Rig) -> None:
    worker = fresh.worker()
    with fresh.app():
        assert program.add.delay(2, 3).get(timeout=30) == 5
        for number in range(40):
            program.note.delay(f"n{number}")
        fresh.until(lambda: len(fresh.notes()) == 40)
    fresh.until(fresh.empty)
    assert texts(fresh) == sorted(f"n{number}" for number in range(40))
    assert all(line.split()[1] == "1" for line in fresh.notes())
    assert fresh.stop(worker) == 0
    assert "Traceback" not in fresh.log()


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_celery_s_own_pools_work_over_it_too(fresh: Rig, pool: str) -> None:
    worker = fresh.worker(pool=pool, concurrency=2)
    with fresh.app():
        assert program.add.delay(2, 3).get(timeout=30) == 5
        for number in range(20):
            program.note.delay(f"n{number}")
        program.note.apply_async(("later",), countdown=1)
        fresh.until(lambda: len(fresh.notes()) == 21)
    fresh.until(fresh.empty)
    assert all(line.split()[1] == "1" for line in fresh.notes())
    assert fresh.stop(worker) == 0
    assert "Traceback" not in fresh.log()


def test_a_rejected_task_is_buried_byte_for_byte_with_its_reason(fresh: Rig) -> None:
    fresh.worker()
    attribute = {"origin": {"DataType": "String", "StringValue": "shop"}}
    with fresh.app():
        result = program.fail.apply_async(("broken",), message_attributes=attribute)
    fresh.until(lambda: fresh.depth(dead=True).visible == 1)
    fresh.until(fresh.empty)
    (letter,) = peek(fresh.client, fresh.lane)
    reason = letter.reason
    assert reason is not None
    assert (reason.error_type, reason.message, reason.attempts) == ("ValueError", "broken", 1)
    assert (reason.cause, reason.lane, reason.generation) == ("rejected", "work", 0)
    assert reason.failed_at is not None
    assert abs(reason.failed_at - time.time()) < 60
    assert letter.attributes == attribute
    body = json.loads(letter.body)
    assert body["headers"]["id"] == result.id
    assert json.loads(body["body"])[0] == ["broken"]


def test_a_released_task_comes_again_and_knows_its_delivery(fresh: Rig) -> None:
    fresh.worker()
    with fresh.app():
        program.release_until.delay("again", 3)
    fresh.until(lambda: len(fresh.notes()) == 3)
    assert fresh.notes() == ["again 1", "again 2", "again 3"]
    fresh.until(fresh.empty)


def test_a_task_longer_than_its_lease_is_delivered_once(fresh: Rig) -> None:
    fresh.worker(concurrency=2, lease_seconds=2)
    with fresh.app():
        for number in range(2):
            program.note.delay(f"long{number}", 5.0)
        fresh.until(lambda: len(fresh.notes()) == 2)
        fresh.until(fresh.empty)
    assert texts(fresh, "started") == ["long0", "long1"]
    assert all(line.split()[1] == "1" for line in fresh.notes())


def test_after_kill_9_messages_are_visible_within_one_lease(fresh: Rig) -> None:
    killed = fresh.worker(concurrency=2, lease_seconds=3)
    with fresh.app():
        for number in range(4):
            program.note.delay(f"k{number}", 20.0)
        fresh.until(lambda: len(fresh.notes("started")) == 2)
    killed.kill()
    killed.wait(10)
    killed_at = time.monotonic()
    fresh.until(lambda: fresh.depth().visible == 4)
    assert time.monotonic() - killed_at < 3 + 15.0  # the lease, and slack; the queue's own is 30


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 1)])  # Celery's own
def test_a_signal_finishes_what_runs_and_gives_back_the_rest(fresh: Rig, number: signal.Signals, status: int) -> None:
    worker = fresh.worker(concurrency=2, lease_seconds=300)
    with fresh.app():
        for index in range(6):
            program.wait_for.delay(f"s{index}", "go")
        fresh.until(lambda: len(fresh.notes("started")) == 2)
    worker.send_signal(number)
    fresh.until(lambda: fresh.depth().visible == 4, 20)
    (fresh.folder / "go").touch()
    assert worker.wait(30) == status
    assert len(fresh.notes()) == 2
    fresh.until(lambda: (fresh.depth().visible, fresh.depth().in_flight) == (4, 0))


def test_a_task_sent_after_sigterm_is_not_run(fresh: Rig) -> None:
    worker = fresh.worker(concurrency=4)
    with fresh.app():
        program.wait_for.delay("running", "go")
        fresh.until(lambda: fresh.notes("started"))
        worker.send_signal(signal.SIGTERM)
        fresh.until(lambda: "Warm shutdown" in fresh.log())
        time.sleep(1.0)  # it is said before it is done
        for number in range(3):
            program.note.delay(f"late{number}")
            time.sleep(0.3)
    (fresh.folder / "go").touch()
    assert worker.wait(30) == 0
    assert texts(fresh, "started") == ["running"]
    fresh.until(lambda: fresh.depth().visible == 3)


def test_an_idle_worker_ends_soon_after_sigterm(fresh: Rig) -> None:
    worker = fresh.worker(wait_time_seconds=20)
    time.sleep(1)
    started = time.monotonic()
    assert fresh.stop(worker) == 0
    assert time.monotonic() - started < 10  # its long poll alone would take up to 20


def test_a_second_signal_ends_at_once_and_releases(fresh: Rig) -> None:
    worker = fresh.worker(concurrency=2, lease_seconds=60)
    with fresh.app():
        for number in range(2):
            program.note.delay(f"q{number}", 30.0)
        fresh.until(lambda: len(fresh.notes("started")) == 2)
    worker.send_signal(signal.SIGQUIT)
    fresh.until(lambda: fresh.depth().visible == 2, 20)


def test_ten_slots_ask_for_ten_and_deletes_go_by_ten(fresh: Rig) -> None:
    for lane in fresh.lanes:
        provisioning.create(fresh.client, lane)
    with fresh.app() as app, app.producer_or_acquire() as producer, producer.batch():
        for _ in range(400):
            program.noop.apply_async(producer=producer, retry=False)
    with FaultProxy(fresh.port) as proxy:
        fresh.worker(concurrency=20, port=proxy.port, loglevel="error", ready=False, gather_seconds=0.2)
        fresh.until(fresh.empty)
        receives, deletes = proxy.requests["ReceiveMessage"], proxy.requests["DeleteMessageBatch"]
    assert receives <= 400 / 7
    assert deletes <= 400 / 4
    assert proxy.requests["ListQueues"] == proxy.requests["CreateQueue"] == 0


def test_an_idle_worker_polls_in_full_and_the_poll_that_waits_brings_the_message(fresh: Rig) -> None:
    with FaultProxy(fresh.port) as proxy:
        fresh.worker(port=proxy.port, wait_time_seconds=20)
        with fresh.app():
            for number in range(5):
                fresh.until(lambda: fresh.depth().total == 0)
                time.sleep(0.3)
                program.note.delay(f"n{number}")
                fresh.until(lambda: len(fresh.notes()) > number, 10)  # noqa: B023 - called at once
        # One poll waits from the start, and one more after each message and after each slot that came free.
        assert proxy.requests["ReceiveMessage"] <= 1 + 2 * 5


def test_a_slow_sqs_is_no_fault(fresh: Rig) -> None:
    with FaultProxy(fresh.port) as proxy:
        proxy.fail(ANY, Fault(latency_seconds=0.3))
        worker = fresh.worker(port=proxy.port, concurrency=20)
        with fresh.app():
            for number in range(40):
                program.note.delay(f"n{number}")
        fresh.until(lambda: len(fresh.notes()) == 40)
        fresh.until(fresh.empty)
        assert fresh.stop(worker) == 0
    assert all(line.split()[1] == "1" for line in fresh.notes())
    assert "failed" not in fresh.log()


def test_never_more_in_flight_than_slots(fresh: Rig) -> None:
    fresh.worker(concurrency=3)
    with fresh.app():
        for number in range(12):
            program.note.delay(f"f{number}", 0.2)
    most = 0
    while len(fresh.notes()) < 12:
        started, done = len(fresh.notes("started")), len(fresh.notes())
        most = max(most, fresh.depth().in_flight)
        assert started - done <= 3
        time.sleep(0.02)
    # Deletes linger for 50 ms at most, so a few finished ones are still in flight.
    assert most <= 6


def test_countdown_is_sqs_delay_and_takes_no_slot(fresh: Rig) -> None:
    fresh.worker(concurrency=1)
    with fresh.app():
        sent = time.time()
        program.note.apply_async(("later",), countdown=10)
        fresh.until(lambda: fresh.depth().delayed == 1)
        program.note.delay("now")
        fresh.until(lambda: len(fresh.notes()) == 2)
    first, second = fresh.notes()
    assert first.startswith("now")
    assert second.split()[:2] == ["later", "1"]
    assert float(second.split()[2]) - sent >= 9.9


def test_a_missing_declared_lane_is_made_whole(tmp_path: Path) -> None:
    with rig_in(tmp_path) as bare, bare.app():
        assert all(depth.missing for depth in depths.read_depths(bare.client, [bare.lane]))
        program.note.delay("first")
        assert not any(depth.missing for depth in depths.read_depths(bare.client, [bare.lane]))
        assert check(bare.client, bare.lane) == []
