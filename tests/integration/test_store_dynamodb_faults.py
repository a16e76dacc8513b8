"""The DynamoDB store while DynamoDB throttles, fails, hangs, loses answers and leaves batches half done."""

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from celery.app.task import Context
from kombu.exceptions import EncodeError

from celery_inference.results.backend import Patience
from celery_inference.results.dynamodb import table
from celery_inference.results.dynamodb.backend import DynamoDBBackend
from celery_inference.results.items import Query
from celery_inference.results.protocol import Chord, Start, StoreUnavailable, Submission
from celery_inference.results.store import values
from celery_inference.results.store.values import MAX_ITEM_BYTES
from celery_inference.sqs.consumer.pause import Pauses
from tests.support.fault_proxy import ANY, Fault, FaultProxy
from tests.support.moto_dynamodb import MotoDynamoDB
from tests.support.stores import app_of, moto

__all__ = ["moto"]

THROTTLED = Fault("status", status=400, code="ProvisionedThroughputExceededException")


@pytest.fixture
def proxy(moto: MotoDynamoDB) -> Iterator[FaultProxy]:
    with FaultProxy(moto.port) as proxy:
        yield proxy


@pytest.fixture
def backend(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> DynamoDBBackend:
    monkeypatch.setattr(table, "READ_SECONDS", 1.0)
    name = request.node.name.replace("[", ".").replace("]", "")
    made = DynamoDBBackend(app=app_of("faults"), url=f"dynamodb://any:any@127.0.0.1:{proxy.port}/{name[-200:]}")
    made.get(b"the table is made")
    return made


def of_generation(generation: int) -> Context:
    return Context({"inference_generation": generation})


def do_all(backend: DynamoDBBackend) -> tuple[Any, ...]:
    """Every kind of write once."""
    store = backend.store
    begun = store.begin_attempts([Start("a", 0, "m.1", "host")])
    backend.store_result("a", 5, "SUCCESS", request=of_generation(0))
    store.cancel(["b"], 60)
    return (
        begun,
        backend.get_result("a"),
        store.cancelled(["a", "b"]),
        store.hold("sweep", "me", 60),
        store.claim_submission("c", "me", 60),
        store.end_part("g", "p", 1),
        store.attempts([("a", 0)]),
        backend.dead_letters.pauses(),
    )


DONE = ([1], 5, {"b"}, True, Submission.OURS, Chord.ENDED, {}, [])


@pytest.mark.parametrize(
    "fault",
    [THROTTLED, Fault("status", status=500, code="InternalServerError"), Fault("hang"), Fault("reset"), Fault("half")],
    ids=["throttled", "500", "hang", "reset", "half"],
)
def test_a_fault_that_passes_is_not_seen(backend: DynamoDBBackend, proxy: FaultProxy, fault: Fault) -> None:
    for operation in ("UpdateItem", "PutItem", "GetItem", "BatchGetItem", "BatchWriteItem", "Query"):
        proxy.fail(operation, Fault(fault.kind, status=fault.status, code=fault.code, times=1))
    assert do_all(backend) == DONE


def test_what_was_done_and_never_answered_is_done_once(backend: DynamoDBBackend, proxy: FaultProxy) -> None:
    for _ in range(2):
        proxy.fail("UpdateItem", Fault("lost", times=1))
        assert backend.store.begin_attempts([Start("a", 0, "m.1", "host")]) == [1]
    proxy.fail("UpdateItem", Fault("lost", times=1))
    backend.store_result("a", 5, "SUCCESS", request=of_generation(0))
    assert backend.get_result("a") == 5
    for operation in ("PutItem", "UpdateItem"):
        proxy.fail(operation, Fault("lost", times=1))
    assert backend.store.end_part("g", "p", 2) is Chord.RUNNING, "told twice, there once"
    assert backend.store.end_part("g", "q", 2) is Chord.ENDED
    proxy.fail("UpdateItem", Fault("lost", times=1))
    assert backend.store.hold("sweep", "me", 60)
    proxy.fail("UpdateItem", Fault("lost", times=1))
    assert backend.store.claim_submission("c", "me", 60) is Submission.OURS


@pytest.mark.parametrize(
    "fault",
    [THROTTLED, Fault("status", status=503), Fault("hang"), Fault("status", status=400, code="ExpiredTokenException")],
    ids=["throttled", "503", "hang", "expired"],
)
def test_a_store_that_stays_away_is_one_error_in_bounded_time(
    backend: DynamoDBBackend, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.fail(ANY, fault)
    started = time.monotonic()
    for write in (
        lambda: backend.store.begin_attempts([Start("a", 0, "m.1", "host")]),
        lambda: backend.store_result("a", 5, "SUCCESS"),
        backend.dead_letters.pauses,
    ):
        with pytest.raises(StoreUnavailable, match="dynamodb://127"):
            write()
    assert time.monotonic() - started < 40.0
    proxy.heal()
    assert do_all(backend) == DONE


def test_a_worker_holds_its_result_until_the_store_is_back(backend: DynamoDBBackend, proxy: FaultProxy) -> None:
    proxy.fail(ANY, Fault("status", status=503))
    pauses = Pauses()
    backend.patience = Patience(pauses)
    storing = threading.Thread(target=backend.store_result, args=("a", 5, "SUCCESS"), daemon=True)
    storing.start()
    until = time.monotonic() + 30
    while not pauses.held:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "held until they can" in pauses.reasons["result store"]
    proxy.heal()
    storing.join(30)
    assert not pauses.held
    assert backend.get_result("a") == 5


def test_what_a_batch_leaves_is_asked_for_again(backend: DynamoDBBackend, moto: MotoDynamoDB) -> None:
    ids = [f"t{number}" for number in range(60)]
    moto.fail_partly = 3
    backend.store.cancel(ids, 60)
    moto.fail_partly = 5
    assert backend.store.cancelled(ids) == set(ids)
    assert moto.fail_partly == 0


def test_a_batch_that_is_never_done_is_one_error(
    backend: DynamoDBBackend, moto: MotoDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "full_jitter", lambda *_, **__: 0.0)
    moto.fail_partly = 1_000
    try:
        with pytest.raises(StoreUnavailable, match="left a part of it undone"):
            backend.store.cancelled(["a", "b"])
        with pytest.raises(StoreUnavailable, match="left a part of it undone"):
            backend.store.cancel(["a", "b"], 60)
    finally:
        moto.fail_partly = 0


def test_a_table_of_another_kind_says_so_and_is_not_waited_for(backend: DynamoDBBackend) -> None:
    client = backend.table.client
    client.create_table(
        TableName="celerys-own",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    url = backend.as_uri().rpartition("/")[0].replace("://", "://any:any@")
    other = DynamoDBBackend(app=app_of("faults"), url=f"{url}/celerys-own")
    assert backend.check() == []
    assert other.check() == [
        "its keys are not id and part",
        "it has no local index by_time",
        "it has no local index by_state",
    ]
    with pytest.raises(ClientError, match="ValidationException"):
        other.store_result("a", 1, "SUCCESS")


def incompressible(size: int) -> str:
    return random.Random(1).randbytes(size // 2).hex()


def test_a_result_larger_than_an_item_is_kept_in_pieces(
    backend: DynamoDBBackend, moto: MotoDynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = incompressible(6 * MAX_ITEM_BYTES)
    moto.fail_partly = 2
    backend.store_result("a", large, "SUCCESS", request=of_generation(0))
    backend.store_result("a", "another", "SUCCESS", request=of_generation(0))
    moto.fail_partly = 1
    assert backend.get_result("a") == large
    backend.store.open_generations([("a", 1)])
    assert large.encode() in backend.store.past_outcomes("a")[0]
    backend.store_result("a", "x" * 2_000_000, "SUCCESS", request=of_generation(1))
    backend._cache.clear()
    assert backend.get_result("a") == "x" * 2_000_000
    assert moto.fail_partly == 0
    partition = "celery-task-meta-b"
    backend.store_result("b", large, "SUCCESS")
    assert len(list(backend.table.query(Query(partition)))) > 2
    backend.forget("b")
    assert list(backend.table.query(Query(partition))) == []


def test_a_result_that_cannot_be_kept_is_a_failure_that_says_so(
    backend: DynamoDBBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "MAX_PIECES", 1)
    with pytest.raises(EncodeError, match=r"the result store keeps 380,000: put it elsewhere"):
        backend.store_result("a", incompressible(4 * MAX_ITEM_BYTES), "SUCCESS")
    assert backend.get_state("a") == "PENDING"
    error = ValueError("how it begins " + incompressible(4 * MAX_ITEM_BYTES))
    backend.store_result("a", error, "FAILURE", traceback="t")
    assert backend.get_state("a") == "FAILURE"
    assert str(backend.get_result("a")).startswith("ValueError: how it begins")
