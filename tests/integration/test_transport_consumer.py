"""What the consuming thread must not do: store outcomes, end with a traceback, or fail what a newer worker knows."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery.exceptions import NotRegistered

from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, Reason, mark_of
from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.peek import peek
from tests.support.transport_rig import Rig, rig_in


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


def test_a_store_that_hangs_stops_no_task_that_needs_none(rig: Rig) -> None:
    """Expired and unknown tasks wait for their store in threads of their own, and keep their messages meanwhile.

    Nor does it say what was revoked: that is not waited for.
    """
    rig.worker(concurrency=12, backend=f"hanging://{rig.folder}", lease_seconds=8)
    past = datetime.now(UTC) - timedelta(seconds=60)
    with rig.app() as app:
        expired = [program.add.apply_async((1, 2), expires=past).id for _ in range(4)]
        unknown = [app.send_task("nobody.knows.it", queue="work").id for _ in range(4)]
        rig.until(lambda: rig.depth().in_flight == 8)
        for number in range(20):
            program.note.delay(f"n{number}")
        rig.until(lambda: len(rig.notes()) == 20)
    time.sleep(9)  # longer than a lease: they are held, and nobody else gets them
    assert rig.depth().in_flight == 8
    assert rig.notes("stored") == []
    (rig.folder / "store").touch()
    rig.until(rig.empty)
    stored = sorted(rig.notes("stored"))
    assert stored == sorted([f"{each} REVOKED" for each in expired] + [f"{each} FAILURE" for each in unknown])
    rig.until(lambda: rig.depth(dead=True).visible == len(unknown))


HANGING = (
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
    "SendMessage",
    "SendMessageBatch",
    "GetQueueUrl",
    "GetQueueAttributes",
)


def test_calls_and_a_store_that_hang_keep_the_consuming_thread_from_nothing(rig: Rig) -> None:
    """Every call but the receive hangs, for 30 s each, and so does the store; each kind of message is at hand."""
    past = datetime.now(UTC) - timedelta(seconds=60)
    with FaultProxy(rig.port) as proxy:
        rig.worker(
            concurrency=40,
            port=proxy.port,
            backend=f"hanging://{rig.folder}",
            watched=True,
            call_timeout_seconds=30.0,
            lease_seconds=120,
        )
        with rig.app() as app:
            program.note.delay("first")
            rig.until(lambda: len(rig.notes()) == 1)
            before = proxy.requests.copy()
            for operation in HANGING:
                proxy.fail(operation, Fault("hang"))
            for number in range(3):
                program.add.apply_async((1, 2), expires=past)
                program.fail.delay(f"bad{number}")
                program.release_until.delay(f"again{number}", 9)
                app.send_task("nobody.knows.it", queue="work")
                url = rig.client.get_queue_url(QueueName="work")["QueueUrl"]
                rig.client.send_message(QueueUrl=url, MessageBody="noise")
                program.note.apply_async((f"soon{number}",), countdown=1)
            for number in range(60):
                program.note.delay(f"n{number}")
            rig.until(lambda: sum(line.startswith(("n", "soon")) for line in rig.notes()) == 63)
        assert sum(proxy.requests[operation] - before[operation] for operation in HANGING) >= 4
        proxy.heal()
        (rig.folder / "store").touch()
    longest = float(rig.notes("busy")[-1])
    print(f"the consuming thread was kept for {longest * 1000:.1f} ms at most")
    assert longest < 6.0  # a bound against one hang, which lasts five times as long


def test_what_a_store_says_of_revokes_while_its_outcomes_hang_is_obeyed_and_stops_no_other_task(rig: Rig) -> None:
    revoked = [f"revoked{number}" for number in range(6)]
    (rig.folder / "tombstones").write_text(" ".join(revoked))
    rig.worker(concurrency=12, backend=f"hanging://{rig.folder}")
    with rig.app():
        for task_id in revoked:
            program.add.apply_async((1, 2), task_id=task_id)
        rig.until(lambda: rig.depth().in_flight == len(revoked))
        for number in range(20):
            program.note.delay(f"n{number}")
        rig.until(lambda: len(rig.notes()) == 20)
    rig.until(lambda: rig.depth().in_flight == len(revoked))
    (rig.folder / "store").touch()
    rig.until(rig.empty)
    assert sorted(rig.notes("stored")) == [f"{task_id} REVOKED" for task_id in revoked]


def test_a_worker_whose_store_hangs_ends_when_it_is_told_to_and_releases(rig: Rig) -> None:
    worker = rig.worker(backend=f"hanging://{rig.folder}", lease_seconds=300, concurrency=3)
    past = datetime.now(UTC) - timedelta(seconds=60)
    with rig.app():
        for _ in range(3):
            program.add.apply_async((1, 2), expires=past)
    rig.until(lambda: rig.depth().in_flight == 3)
    assert rig.stop(worker) == 0
    rig.until(lambda: rig.depth().visible == 3)


def test_an_unknown_task_is_left_to_newer_workers_and_fails_only_after_the_window(rig: Rig) -> None:
    rig.worker(unknown_task_grace_seconds=15.0)
    with rig.app() as app:
        sent = time.time()
        result = app.send_task("from.the.future", queue="work")
        rig.until(lambda: "left to newer workers" in rig.log())
        rig.until(lambda: rig.depth().in_flight == 1)
        assert result.state == "PENDING"
        rig.until(lambda: rig.depth(dead=True).visible == 1)
        assert time.time() - sent >= 13.0
        with pytest.raises(NotRegistered):
            result.get(timeout=10)
    (letter,) = peek(rig.client, rig.lane)
    assert letter.reason is not None
    assert letter.reason.error_type == "UnknownTask"
    assert "from.the.future" in letter.reason.message
    assert "Traceback" not in rig.log()


def test_an_unknown_task_sends_its_error_callback_and_is_buried(rig: Rig) -> None:
    """The callback is known to no worker either, so both end as dead letters."""
    rig.worker(unknown_task_grace_seconds=0.0)
    with rig.app() as app:
        callback = app.signature("tell.somebody").set(queue="work")
        app.send_task("from.the.future", queue="work", link_error=callback)
        rig.until(lambda: rig.depth(dead=True).visible == 2)
    said = {letter.reason.message for letter in peek(rig.client, rig.lane) if letter.reason}
    assert said == {"no worker knows the task 'from.the.future'", "no worker knows the task 'tell.somebody'"}


def test_a_chord_with_a_part_that_nobody_knows_fails_and_does_not_wait_for_ever(rig: Rig) -> None:
    rig.worker()
    with rig.app() as app:
        error = app.signature("nobody.knows.it", queue="work") | program.add.si(1, 1)
        result = error.apply_async()
        with pytest.raises(NotRegistered):
            result.get(timeout=20)


def test_a_missing_queue_ends_the_worker_with_one_line(rig: Rig, tmp_path: Path) -> None:
    with rig_in(tmp_path) as bare:
        worker = bare.worker(ready=False, create_missing_lanes=False)
        assert worker.wait(40) != 0
        last = bare.log().strip().splitlines()[-1]
        assert "work-dlq: queue is missing, declared there; create it with `celery-inference queues create`" in last
        assert "Traceback" not in bare.log()


@pytest.mark.parametrize("operation", ["DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl", "ReceiveMessage"])
def test_a_denied_permission_ends_the_worker_with_one_line(rig: Rig, operation: str) -> None:
    with FaultProxy(rig.port) as proxy:
        proxy.fail(operation, Fault("status", status=403, code="AccessDeniedException"))
        worker = rig.worker(port=proxy.port, ready=False)
        assert worker.wait(40) != 0
    assert f"sqs:{operation}" in rig.log()
    assert "work" in rig.log()
    assert "allow it" in rig.log()
    assert "Traceback" not in rig.log()


def test_differences_are_warnings_and_the_worker_starts(rig: Rig) -> None:
    url = rig.client.get_queue_url(QueueName="work")["QueueUrl"]
    rig.client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "77"})
    rig.worker()
    assert "work: VisibilityTimeout is 77, declared 30" in rig.log()


def test_a_running_worker_outlives_its_queue(rig: Rig) -> None:
    worker = rig.worker(wait_time_seconds=1, create_missing_lanes=False)
    with rig.app():
        program.note.delay("before")
        rig.until(lambda: len(rig.notes()) == 1)
        rig.until(rig.empty)
        rig.client.delete_queue(QueueUrl=rig.client.get_queue_url(QueueName="work")["QueueUrl"])
        rig.until(lambda: "ReceiveMessage work failed" in rig.log())
        provisioning.create(rig.client, rig.lane)
        program.note.delay("after")
        rig.until(lambda: len(rig.notes()) == 2)
    assert worker.poll() is None


def test_an_unknown_task_outlasts_the_receives_that_its_queue_allows(rig: Rig) -> None:
    with rig.app() as app:
        app.send_task("from.the.future", queue="work")
    url = rig.client.get_queue_url(QueueName="work")["QueueUrl"]
    for _ in range(rig.lane.max_receive_count - 1):
        assert rig.client.receive_message(QueueUrl=url, VisibilityTimeout=0, WaitTimeSeconds=5)["Messages"]
    sent = time.time()
    worker = rig.worker(unknown_task_grace_seconds=1_800.0)
    rig.until(lambda: rig.depth().delayed == 1)  # a copy, that SQS has never delivered
    rig.stop(worker)
    assert rig.depth(dead=True).total == 0
    copies = rig.until(
        lambda: rig.client.receive_message(
            QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"], VisibilityTimeout=0
        ).get("Messages")
    )
    mark = mark_of(dict(copies[0]["MessageAttributes"]))
    assert mark.returns == 1
    assert sent - 30 < mark.first_sent_at < sent


def test_what_a_newer_version_adds_is_left_alone(rig: Rig) -> None:
    body = {
        "version": 9,
        "body": '[["newer"], {}, {"callbacks": null, "from_tomorrow": {"x": 1}}]',
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": program.note.name, "id": "x", "lang": "py", "from_tomorrow": [1, {"a": None}]},
        "properties": {"body_encoding": "utf-8", "delivery_info": {"from_tomorrow": 1}, "from_tomorrow": {}},
    }
    mark = {"DataType": "String", "StringValue": '{"generation": 1, "from_tomorrow": {"a": 1}}'}
    rig.client.send_message(
        QueueUrl=rig.client.get_queue_url(QueueName="work")["QueueUrl"],
        MessageBody=json.dumps(body),
        MessageAttributes={REASON_ATTRIBUTE: mark},
    )
    rig.worker()
    rig.until(rig.notes)
    rig.until(rig.empty)
    assert rig.notes()[0].startswith("newer ")
    assert Reason.from_json('{"error_type": "E", "message": "m", "attempts": 1, "new": 2}').message == "m"
