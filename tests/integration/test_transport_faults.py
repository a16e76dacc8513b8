"""SQS misbehaves in every way that the proxy knows; the worker outlives it, and senders get one kind of error."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from celery_inference.sqs.api.clients import SqsEndpoint, clients_of
from celery_inference.sqs.errors import (
    DelayRefusedError,
    DeniedError,
    MessageTooLargeError,
    QueueMissingError,
    UnavailableError,
)
from celery_inference.sqs.producer.bulk_send import send_many
from celery_inference.sqs.producer.sender import Sender
from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.fault_proxy import ANY, Fault, FaultProxy
from tests.support.transport_rig import Rig, rig_in

FAST = {"lease_seconds": 4, "wait_time_seconds": 1, "call_timeout_seconds": 1.0, "release_cap_seconds": 1.0}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


@pytest.fixture
def proxy(rig: Rig) -> Iterator[FaultProxy]:
    with FaultProxy(rig.port) as proxy:
        yield proxy


FAULTS = {
    "500": Fault("status", status=500, code="InternalFailure"),
    "503": Fault("status", status=503, code="ServiceUnavailable"),
    "throttling": Fault("status", status=400, code="ThrottlingException"),
    "expired token": Fault("status", status=403, code="ExpiredTokenException"),
    "clock skew": Fault("status", status=403, code="SignatureDoesNotMatch"),
    "denied": Fault("status", status=403, code="AccessDeniedException"),
    "a 400": Fault("status", status=400, code="KMS.DisabledException"),
    "reset": Fault("reset"),
    "half": Fault("half"),
    "lost": Fault("lost"),
    "hang": Fault("hang"),
}


def test_a_worker_outlives_every_fault_of_every_call(rig: Rig, proxy: FaultProxy) -> None:
    """One worker through all of it: each fault on each of its calls while tasks keep coming."""
    worker = rig.worker(port=proxy.port, **FAST)
    sent = 0
    with rig.app():
        # A denial before anything was ever received would rightly end the worker.
        program.note.delay("first")
        rig.until(rig.notes)
        for fault in FAULTS.values():
            for operation in ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "SendMessage"):
                proxy.fail(operation, fault)
            for _ in range(5):
                program.note.delay(f"t{sent}")
                sent += 1
            program.fail.delay(f"b{sent}")
            time.sleep(0.6)
            assert worker.poll() is None, rig.log()
            proxy.heal()
        rig.until(lambda: {line.split()[0] for line in rig.notes()} >= {f"t{number}" for number in range(sent)})
        rig.until(lambda: rig.empty() and rig.depth(dead=True).total >= len(FAULTS))
    assert worker.poll() is None
    # A lost answer may double a dead letter, and nothing may lose one.
    assert len(FAULTS) <= rig.depth(dead=True).total <= 3 * len(FAULTS)
    assert rig.stop(worker) == 0


OUTAGE_SECONDS = float(os.environ.get("TRANSPORT_OUTAGE_SECONDS", "12"))  # by hand: 180


def test_a_worker_survives_the_endpoint_being_gone(rig: Rig, proxy: FaultProxy) -> None:
    """For three leases, in which one task ends and another begins: its messages are lost to it, and come again."""
    worker = rig.worker(port=proxy.port, concurrency=2, **FAST)
    with rig.app():
        program.note.delay("before")
        rig.until(lambda: len(rig.notes()) == 1)
        program.note.delay("ends-meanwhile", 1.0)
        rig.until(lambda: len(rig.notes("started")) == 2)
        proxy.refuse()
        for number in range(20):
            program.note.delay(f"while{number}")
        time.sleep(OUTAGE_SECONDS)
        assert worker.poll() is None
        proxy.listen()
        wanted = {"before", "ends-meanwhile", *(f"while{number}" for number in range(20))}
        rig.until(lambda: {line.split()[0] for line in rig.notes()} == wanted)
        rig.until(rig.empty)
    assert worker.poll() is None
    # Told once and then once a minute, and not for every try.
    assert rig.log().count("ReceiveMessage work failed") == 1
    assert rig.log().count("ReceiveMessage work has failed") <= OUTAGE_SECONDS / 60
    assert "ReceiveMessage work works again" in rig.log()
    assert rig.depth(dead=True).total == 0


def test_a_worker_waits_for_an_endpoint_that_comes_later(rig: Rig, proxy: FaultProxy) -> None:
    proxy.refuse()
    worker = rig.worker(port=proxy.port, ready=False, **FAST)
    time.sleep(2)
    assert worker.poll() is None, rig.log()
    proxy.listen()
    with rig.app():
        program.note.delay("at last")
    rig.until(rig.notes)


def test_renewals_that_fail_for_a_while_cost_no_second_delivery(rig: Rig, proxy: FaultProxy) -> None:
    rig.worker(port=proxy.port, concurrency=1, **(FAST | {"lease_seconds": 8}))
    with rig.app():
        program.note.delay("long", 9.0)
        rig.until(lambda: rig.notes("started"))
        proxy.fail("ChangeMessageVisibilityBatch", Fault("status", times=3))
        rig.until(rig.notes)
    assert len(rig.notes("started")) == 1
    rig.until(rig.empty)


def test_a_hanging_delete_does_not_hold_up_the_next_tasks(rig: Rig, proxy: FaultProxy) -> None:
    rig.worker(port=proxy.port, concurrency=2, **(FAST | {"call_timeout_seconds": 60.0, "lease_seconds": 300}))
    proxy.fail("DeleteMessageBatch", Fault("hang", times=2))
    with rig.app():
        started = time.monotonic()
        for number in range(20):
            program.note.delay(f"n{number}")
        rig.until(lambda: len(rig.notes()) == 20)
        assert time.monotonic() - started < 30.0  # one hang alone lasts twice as long
    proxy.heal()
    rig.until(rig.empty)


def test_a_dead_letter_that_cannot_be_sent_is_released_and_not_lost(rig: Rig, proxy: FaultProxy) -> None:
    rig.worker(port=proxy.port, concurrency=1, **FAST)
    proxy.fail("SendMessage", Fault("status", times=2))
    with rig.app():
        program.fail.delay("bad")
    rig.until(lambda: rig.depth(dead=True).visible == 1)
    rig.until(rig.empty)
    assert rig.notes().count("bad") in (1, 2)  # again, if its delivery was released


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_delay_raises_an_operational_error(rig: Rig, proxy: FaultProxy, fault: Fault) -> None:
    with rig.app(proxy.port, call_timeout_seconds=0.3):
        program.noop.delay()
        proxy.fail("SendMessage", fault)
        with pytest.raises(OperationalError) as raised:
            program.noop.delay()
        proxy.heal()
        program.noop.delay()
    assert "SendMessage" in str(raised.value)
    assert "work" in str(raised.value)


def test_half_an_answer_is_no_answer(rig: Rig, proxy: FaultProxy) -> None:
    """botocore takes it for an empty one: a bulk send whose answer was cut off would seem to have gone well."""
    clients = clients_of(SqsEndpoint(f"http://127.0.0.1:{proxy.port}", "us-east-1", "k", "s"))
    proxy.fail("GetQueueUrl", Fault("half"))
    with pytest.raises(UnavailableError, match=r"half an answer|unreadable answer"):
        clients.queue_url("work")
    proxy.heal()
    sender = Sender(clients, "work", clients.queue_url("work"), rig.lane)
    proxy.fail("SendMessageBatch", Fault("half"))
    failures = send_many(sender, [{"MessageBody": f"m{number}"} for number in range(3)])
    assert [failure.index for failure in failures] == [0, 1, 2]
    assert all(isinstance(failure.error, UnavailableError) for failure in failures)
    proxy.heal()
    assert send_many(sender, [{"MessageBody": "m"}]) == []


def test_delay_to_a_refused_port_raises_an_operational_error(rig: Rig, proxy: FaultProxy) -> None:
    with rig.app(proxy.port):
        proxy.refuse()
        with pytest.raises(OperationalError):
            program.noop.delay()
        proxy.listen()
        program.noop.delay()


def test_delay_tries_again_as_its_policy_says(rig: Rig, proxy: FaultProxy) -> None:
    with rig.app(proxy.port):
        program.noop.delay()
        before = proxy.requests["SendMessage"]
        proxy.fail("SendMessage", Fault("status", times=3))
        program.noop.delay()
        assert proxy.requests["SendMessage"] - before == 4
        proxy.fail(ANY, Fault("status"))
        with pytest.raises(UnavailableError):
            program.noop.apply_async(retry=False)
    assert rig.depth().visible == 2


def test_denied_and_missing_name_action_queue_and_remedy(rig: Rig, proxy: FaultProxy) -> None:
    with rig.app(proxy.port, create_missing_lanes=False):
        proxy.fail("SendMessage", Fault("status", status=403, code="AccessDeniedException"))
        with pytest.raises(DeniedError, match="sqs:SendMessage on queue 'work' is denied; allow it"):
            program.noop.delay()
        with pytest.raises(QueueMissingError, match="queue 'elsewhere' does not exist; create it with"):
            program.noop.apply_async(queue="elsewhere")


def test_a_message_over_the_limit_says_its_size_and_the_limit(rig: Rig) -> None:
    with rig.app(), pytest.raises(MessageTooLargeError) as raised:
        program.note.delay("x" * 300_000)
    assert raised.value.limit_bytes == 262_144
    assert raised.value.size_bytes > 300_000
    assert "262,144" in str(raised.value)


def test_a_countdown_on_a_fifo_queue_is_refused(rig: Rig) -> None:
    rig.client.create_queue(QueueName="ordered.fifo", Attributes={"FifoQueue": "true"})
    with rig.app():
        with pytest.raises(DelayRefusedError):
            program.noop.apply_async(queue="ordered.fifo", countdown=5)
        program.noop.apply_async(queue="ordered.fifo", MessageGroupId="a")


def test_a_worker_whose_receive_hangs_at_sigterm_still_ends(rig: Rig, proxy: FaultProxy) -> None:
    worker = rig.worker(port=proxy.port, **FAST)
    proxy.fail(ANY, Fault("hang"))
    time.sleep(2)
    assert rig.stop(worker) == 0
