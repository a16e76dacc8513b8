"""A worker is ready only while SQS answers it, its store takes writes, and a device has its models."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from celery import Celery

from celery_inference import settings
from celery_inference.celery_settings import BACKENDS, celery_settings
from celery_inference.results.access import store_of
from celery_inference.results.backend import Patience
from celery_inference.sqs.api.call_record import CallRecord
from celery_inference.sqs.api.clients import SqsClients
from celery_inference.sqs.consumer.pause import Pauses
from celery_inference.sqs.errors import DeniedError, SqsError, classify
from celery_inference.sqs_local.child_process import LocalServer
from tasks.resilience import readiness
from tasks.resilience.readiness import Readiness

POLL = ("ReceiveMessage", "inference")
BOUNDS = {"poll_seconds": 25.0, "silent_seconds": 30.0}


def unavailable() -> SqsError:
    """An answer that did not come in time."""
    try:
        raise ReadTimeoutError(endpoint_url="http://sqs")
    except ReadTimeoutError as error:
        return classify(error, *POLL)


def refused() -> SqsError:
    """There is no server at the port."""
    cause = EndpointConnectionError(endpoint_url="http://sqs")
    error = classify(cause, *POLL)
    error.__cause__ = cause
    return error


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(clock: Clock) -> CallRecord:
    return CallRecord(clock)


def test_a_queue_s_second_failed_poll_in_a_row_says_so_and_an_answered_one_ends_it(record: CallRecord) -> None:
    for error, fails in ((unavailable(), False), (unavailable(), True), (None, False), (unavailable(), False)):
        record.begin(*POLL)
        record.end(*POLL, error)
        fault = record.poll_fault("inference", **BOUNDS)
        assert (fault is not None) == fails
        assert fault is None or ("queue inference cannot be received from" in fault and "ReadTimeout" in fault)
    assert record.poll_fault("inference-bulk", **BOUNDS) is None, "another queue's"


@pytest.mark.parametrize("error", [refused(), DeniedError(*POLL, "no policy allows it")])
def test_one_refused_poll_says_so_at_once(record: CallRecord, error: SqsError) -> None:
    record.begin(*POLL)
    record.end(*POLL, error)
    assert record.poll_fault("inference", **BOUNDS) is not None


def test_a_queue_that_was_never_found_is_not_received_from(record: CallRecord) -> None:
    record.begin("GetQueueUrl", "inference")
    record.end("GetQueueUrl", "inference", refused())
    assert record.poll_fault("inference", **BOUNDS) is not None


def test_a_queue_that_was_missing_and_is_made_is_received_from(record: CallRecord) -> None:
    for error in (refused(), None):
        record.begin("GetQueueUrl", "inference")
        record.end("GetQueueUrl", "inference", error)
    assert record.poll_fault("inference", **BOUNDS) is None


def test_while_no_slot_is_free_any_call_within_a_lease_will_do(record: CallRecord, clock: Clock) -> None:
    record.begin(*POLL)
    record.end(*POLL)
    clock.now += 31
    assert "SQS has answered no call for 31 s" in str(record.poll_fault("inference", **BOUNDS))
    record.begin("ChangeMessageVisibilityBatch", "inference")
    record.end("ChangeMessageVisibilityBatch", "inference")
    assert record.poll_fault("inference", **BOUNDS) is None


def test_a_long_poll_that_is_under_way_is_no_silence_until_it_should_have_ended(
    record: CallRecord, clock: Clock
) -> None:
    record.begin(*POLL)
    clock.now += 24
    assert record.poll_fault("inference", poll_seconds=25.0, silent_seconds=5.0) is None
    clock.now += 2
    assert record.poll_fault("inference", poll_seconds=25.0, silent_seconds=5.0) is not None


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


class Worker:
    """What Readiness looks at, over a real server and a real store."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        environment = {
            "CELERY_INFERENCE_BROKER_URL": f"sqs://local:local@127.0.0.1:{server.port}//",
            "CELERY_INFERENCE_STATE": str(folder / "state"),
            "CELERY_INFERENCE_BROADCAST": "off",
        }
        self.app = Celery("readiness", set_as_current=False)
        self.app.loader.override_backends = BACKENDS
        self.app.conf.update(celery_settings(settings.read(environment)))
        self.app.amqp.queues.select(["inference"])
        self.pauses = Pauses()
        self.patience = Patience(self.pauses)
        self.states: dict[str, str] | None = {"cpu": "ready"}
        self.readiness = self.another()

    def another(self) -> Readiness:
        return Readiness(self.app, self.pauses, self.patience, lambda: self.states)

    @property
    def clients(self) -> SqsClients:
        with self.app.connection_for_read() as connection:
            clients: SqsClients = connection.transport.clients
            return clients


@pytest.fixture
def worker(server: LocalServer, tmp_path: Path) -> Worker:
    made = Worker(server, tmp_path)
    made.readiness.start(SimpleNamespace(hostname="celery@here"), {"models": ["fragile"]})
    assert made.readiness.faults() == []
    return made


def test_it_is_not_ready_before_it_receives_nor_before_models_are_loaded(server: LocalServer, tmp_path: Path) -> None:
    worker = Worker(server, tmp_path)
    assert worker.readiness.faults() == ["the worker does not receive yet"]
    worker.states = None
    assert worker.readiness.faults() == ["models are not loaded yet"]


def test_a_server_that_is_gone_makes_it_unready_and_one_that_is_back_ready(worker: Worker, server: LocalServer) -> None:
    clients = worker.clients
    clients.call("CreateQueue", "inference", clients.client.create_queue, QueueName="inference")
    url = clients.queue_url("inference")
    receive: Any = clients.polling_client.receive_message
    clients.call(*POLL, receive, QueueUrl=url)
    server.kill()
    with pytest.raises(SqsError):
        clients.call(*POLL, receive, QueueUrl=url)
    (fault,) = worker.readiness.faults()
    assert "Could not connect" in fault
    server.start()
    clients.call("CreateQueue", "inference", clients.client.create_queue, QueueName="inference")
    clients.call(*POLL, receive, QueueUrl=url)
    assert worker.readiness.faults() == []


def test_sqs_is_asked_where_nothing_else_asks_it(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = worker.clients
    clients.call("CreateQueue", "x", clients.client.create_queue, QueueName=worker.app.conf.task_queues[0].name)
    monkeypatch.setattr(clients.record, "_answered_at", time.monotonic() - 60.0)
    assert worker.readiness.faults() != []
    worker.readiness.probe_sqs()
    assert worker.readiness.faults() == []


def test_a_store_that_takes_no_writes_makes_it_unready_until_it_takes_one(worker: Worker, tmp_path: Path) -> None:
    state, away = tmp_path / "state", tmp_path / "away"
    state.rename(away)
    state.write_text("a file where the folder was")
    worker.readiness.probe_store()
    (fault,) = worker.readiness.faults()
    assert fault.startswith("the result store takes no writes: ")
    state.unlink()
    away.rename(state)
    worker.readiness.probe_store()
    assert worker.readiness.faults() == []


def test_an_outcome_that_was_just_stored_is_proof_enough(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "state").rename(tmp_path / "away")
    (tmp_path / "state").write_text("")
    worker.readiness.probe_store()
    assert worker.readiness.faults() != []
    worker.patience.stored()
    assert worker.readiness.faults() == []


def test_it_is_unready_while_no_device_has_its_models_or_it_is_paused(worker: Worker) -> None:
    worker.states = {"cuda:0": "starting", "cuda:1": "lost"}
    assert worker.readiness.faults() == ["no device has its models now: cuda:0 is starting, cuda:1 is lost"]
    worker.states = {"cuda:0": "ready", "cuda:1": "lost"}
    worker.pauses.hold("host", "this host is at fault")
    assert worker.readiness.faults() == ["this host is at fault"]


def test_the_log_says_once_that_it_is_ready_no_more_and_ready_again(
    server: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 3_600.0)
    worker = Worker(server, tmp_path)
    caplog.set_level("INFO", readiness.logger.name)
    worker.readiness.start(SimpleNamespace(hostname="celery@here"), {"models": ["fragile"]})
    for states in ({"cpu": "down"}, {"cpu": "down"}, {"cpu": "ready"}, {"cpu": "ready"}, None):
        worker.states = states
        worker.readiness.log_change()
    told = [record for record in caplog.records if hasattr(record, "event")]
    assert [record.event for record in told] == ["worker_ready", "worker_unready", "worker_ready"]  # type: ignore[attr-defined]
    assert told[0].facts == {"models": ["fragile"]}  # type: ignore[attr-defined]
    assert "no device has its models now: cpu is down" in told[1].getMessage()


def test_a_name_that_two_workers_share_is_an_error_that_names_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(readiness, "NAME_SECONDS", 0.0)
    store = store_of(worker.app)
    assert store is not None
    assert store.hold("worker#celery@twice", "another process", 60.0)
    second = worker.another()
    second.start(SimpleNamespace(hostname="celery@twice"), {})
    second.probe_store()
    assert "another worker is called celery@twice, too" in caplog.text
    assert second.faults() == [], "it works"
