"""Settlements and leases against an SQS that is scripted, because no real one fails on demand inside a batch."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint
from celery_inference.sqs.consumer import settlement
from celery_inference.sqs.consumer.deliveries import HELD, find
from celery_inference.sqs.consumer.leases import LOST, LeaseRenewer
from celery_inference.sqs.consumer.settlement import Settler
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from celery_inference.sqs.messages.delivery import Delivery

LANE = Lane(DeclaredQueue("work"), DeclaredQueue("work-dlq", max_message_bytes=1_048_576))


class ScriptedClient:
    """Answers batches; `fail` says for (operation, receipt) which failure entry it gets, or an exception."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.fail: Callable[[str, str], dict[str, Any] | Exception | None] = lambda operation, receipt: None
        self.gate: threading.Event | None = None
        self.send_gate: threading.Event | None = None

    def _batch(self, operation: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
        receipts = [entry["ReceiptHandle"] for entry in entries]
        self.calls.append((operation, receipts))
        if self.gate is not None:
            self.gate.wait(10)
        failed = []
        for entry in entries:
            failure = self.fail(operation, entry["ReceiptHandle"])
            if isinstance(failure, Exception):
                raise failure
            if failure is not None:
                failed.append({"Id": entry["Id"], **failure})
        refused = {failure["Id"] for failure in failed}
        return {"Successful": [{"Id": each["Id"]} for each in entries if each["Id"] not in refused], "Failed": failed}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        return self._batch("delete", Entries)

    def change_message_visibility_batch(
        self,
        QueueUrl: str,
        Entries: list[dict[str, Any]],
    ) -> dict[str, Any]:
        self.last_seconds = {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries}
        return self._batch("visibility", Entries)

    def get_queue_url(self, QueueName: str) -> dict[str, Any]:
        return {"QueueUrl": QueueName}

    def send_message(self, QueueUrl: str, MessageBody: str, **_: Any) -> dict[str, Any]:
        self.calls.append(("send", [MessageBody]))
        if self.send_gate is not None:
            self.send_gate.wait(10)
        return {"MessageId": "m"}

    def receipts(self, operation: str) -> list[str]:
        return [receipt for name, receipts in self.calls if name == operation for receipt in receipts]


class ScriptedAccount(SqsClients):
    def __init__(self, client: ScriptedClient) -> None:
        super().__init__(SqsEndpoint())
        self.scripted = client

    @property
    def client(self) -> Any:
        return self.scripted


@pytest.fixture
def client() -> ScriptedClient:
    return ScriptedClient()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "RETRY_BASE_SECONDS", 0.01)


def keeper_of(client: ScriptedClient, lease_seconds: int = 30, cap_seconds: int = 3_600) -> LeaseRenewer:
    return LeaseRenewer(ScriptedAccount(client), lease_seconds=lease_seconds, cap_seconds=cap_seconds)


def settler_of(client: ScriptedClient, leases: LeaseRenewer) -> Settler:
    return Settler(ScriptedAccount(client), leases, lanes=(LANE,), delete_linger_seconds=1.0, release_cap_seconds=0.0)


def held(leases: LeaseRenewer, count: int, lease_seconds: float = 30.0) -> list[Delivery]:
    deliveries = [
        Delivery("work", "url", f"id{number}", f"r{number}", "body", {}, {}, time.monotonic() + lease_seconds)
        for number in range(count)
    ]
    leases.keep(deliveries)
    return deliveries


def renew_now(leases: LeaseRenewer) -> None:
    """As if a third of each lease were over."""
    with leases._changed:
        for entry in leases._entries.values():
            entry.due = 0.0
        leases._changed.notify_all()


def reach_the_cap(leases: LeaseRenewer) -> None:
    """As if each lease had been renewed for as long as it may be, and were over."""
    with leases._changed:
        for entry in leases._entries.values():
            entry.due = entry.capped_at = entry.delivery.lease_ends = 0.0
        leases._changed.notify_all()


class LateForSettlers:
    """A lock to which a settler's thread comes after everybody else."""

    def __init__(self) -> None:
        lock = threading.Lock()
        self.acquire, self.release = lock.acquire, lock.release

    def __enter__(self) -> None:
        if threading.current_thread().name.startswith("sqs-settle"):
            time.sleep(0.05)
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_comes_while_somebody_waits_for_all_is_seen_to(client: ScriptedClient) -> None:
    gate = threading.Event()
    client.fail = lambda _, receipt: None if receipt != "r0" or gate.wait(60) else TimeoutError()
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    settler._work = threading.Condition(LateForSettlers())  # type: ignore[arg-type]
    first, *others = held(leases, 5, lease_seconds=300.0)
    settler.delete(first)
    waiting = threading.Thread(target=settler.flush, args=(60.0,))
    waiting.start()
    wait_until(lambda: client.receipts("delete") == ["r0"])
    for one in others:  # a word for one alone would reach who flushes: it stands before the settlers
        settler.delete(one)
        wait_until(lambda one=one: one.receipt in client.receipts("delete"))  # type: ignore[misc]
        wait_until(lambda: settler._idle_threads == len(settler._threads) - 1)
    gate.set()
    waiting.join(60)
    assert settler.close(10)
    leases.close()


def test_deletes_go_ten_a_call_and_end_their_leases(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    deliveries = held(leases, 25)
    for delivery in deliveries:
        settler.delete(delivery)
    assert settler.close(10)
    assert sorted(client.receipts("delete")) == sorted(delivery.receipt for delivery in deliveries)
    assert len(client.calls) <= 5
    assert all(find(delivery.tag) is None for delivery in deliveries)
    leases.close()


def test_who_received_for_us_deletes_what_is_done_and_nothing_else(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    options = {"lanes": (LANE,), "delete_linger_seconds": 0.0, "release_cap_seconds": 300.0}
    settler = Settler(ScriptedAccount(client), leases, delete_messages=False, **options)
    done, released = held(leases, 2)
    settler.delete(done)
    settler.release(released, 7)
    assert settler.close(5.0)
    assert client.calls == [("visibility", [released.receipt])]
    assert (done.done, released.done) == (True, False)
    assert find(done.tag) is None


def test_a_failed_entry_is_tried_again_alone_and_then_left(client: ScriptedClient) -> None:
    client.fail = lambda operation, receipt: (
        {"Code": "InternalError", "SenderFault": False} if receipt == "r3" else None
    )
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    for delivery in held(leases, 10):
        settler.delete(delivery)
    assert settler.close(10)
    batches = [receipts for _, receipts in client.calls]
    assert batches[0] == [f"r{number}" for number in range(10)]
    assert batches[1:] == [["r3"], ["r3"]]
    assert HELD._by_tag == {}
    leases.close()


def test_an_entry_that_is_the_caller_s_fault_is_not_tried_again(client: ScriptedClient) -> None:
    client.fail = lambda operation, receipt: {"Code": "ReceiptHandleIsInvalid", "SenderFault": True}
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    settler.delete(held(leases, 1)[0])
    assert settler.close(10)
    assert len(client.calls) == 1
    leases.close()


def test_a_failed_call_is_tried_again_whole(client: ScriptedClient) -> None:
    error = ClientError(
        {"Error": {"Code": "ServiceUnavailable"}, "ResponseMetadata": {"HTTPStatusCode": 503}},  # type: ignore[typeddict-item]
        "DeleteMessageBatch",
    )
    client.fail = lambda operation, receipt: error if len(client.calls) < 3 else None
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    for delivery in held(leases, 4):
        settler.delete(delivery)
    assert settler.close(10)
    assert len(client.calls) == 3
    assert sorted(client.calls[-1][1]) == ["r0", "r1", "r2", "r3"]
    leases.close()


def test_closing_is_bounded_when_sqs_hangs(client: ScriptedClient) -> None:
    client.gate = threading.Event()
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    settler.delete(held(leases, 1)[0])
    started = time.monotonic()
    assert not settler.close(0.3)
    assert time.monotonic() - started < 5
    client.gate.set()
    leases.close()


def test_dead_letters_whose_send_hangs_hold_up_no_delete_and_no_release(client: ScriptedClient) -> None:
    client.send_gate = threading.Event()
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    *dead, done, released = held(leases, 12)
    for delivery in dead:
        settler.write_dead_letter(delivery)
    settler.delete(done)
    settler.release(released, 0)
    deadline = time.monotonic() + 5  # half of what each send hangs
    while client.receipts("delete") != [done.receipt] or client.receipts("visibility") != [released.receipt]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    client.send_gate.set()
    assert settler.close(10)
    assert sorted(client.receipts("delete")) == sorted(each.receipt for each in [done, *dead])
    assert len(client.receipts("send")) == len(dead)
    leases.close()


def test_a_release_that_was_asked_for_keeps_its_delay(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    (delivery,) = held(leases, 1)
    delivery.release_after_seconds = 17
    settler.release(delivery)
    assert settler.close(10)
    assert client.last_seconds == {"r0": 17}
    leases.close()


def test_a_lost_delivery_is_not_released_over_another_s_head(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    deliveries = held(leases, 2)
    deliveries[0].lost = True
    for delivery in deliveries:
        settler.release(delivery, 0)
    assert settler.close(10)
    assert client.receipts("visibility") == ["r1"]
    assert HELD._by_tag == {}
    leases.close()


def test_a_release_waits_for_a_renewal_under_way_that_would_undo_it(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    settler = settler_of(client, leases)
    client.gate = threading.Event()
    (delivery,) = held(leases, 1)
    renew_now(leases)
    wait_until(lambda: bool(client.calls))
    settler.release(delivery, 0)
    time.sleep(0.1)
    assert len(client.calls) == 1  # the renewal alone
    client.gate.set()
    assert settler.close(10)
    assert client.last_seconds == {"r0": 0}
    leases.close()


def test_renewals_go_ten_a_call_and_stop_at_the_cap(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    lost: list[Delivery] = []
    deliveries = held(leases, 15)
    for delivery in deliveries:
        delivery.on_lost.append(lost.append)
    renew_now(leases)
    wait_until(lambda: len(client.receipts("visibility")) == 15)
    renewals = [receipts for _, receipts in client.calls]
    assert [len(receipts) for receipts in renewals] == [10, 5]
    assert set(client.receipts("visibility")) == {delivery.receipt for delivery in deliveries}
    assert all(delivery.holds() for delivery in deliveries)
    wait_until(lambda: not any(entry.renewing for entry in leases._entries.values()))
    reach_the_cap(leases)
    wait_until(lambda: len(lost) == 15)
    assert len(client.calls) == 2, "what has reached the cap is renewed no more"
    leases.close()


def test_a_renewal_that_sqs_refuses_is_a_lost_lease(client: ScriptedClient) -> None:
    refusal = {"Code": "ReceiptHandleIsInvalid", "SenderFault": True}
    client.fail = lambda operation, receipt: refusal if receipt == "r1" else None
    before = LOST.counts().get("work", 0)
    leases = keeper_of(client)
    lost: list[Delivery] = []
    deliveries = held(leases, 3)
    for delivery in deliveries:
        delivery.on_lost.append(lost.append)
    renew_now(leases)
    wait_until(lambda: bool(lost))
    assert lost == [deliveries[1]]
    assert LOST.counts()["work"] == before + 1
    assert [delivery.holds() for delivery in deliveries] == [True, False, True]
    leases.close()


def test_one_whose_lease_ended_while_it_waited_is_lost_and_counted_once(client: ScriptedClient) -> None:
    leases = keeper_of(client)
    lost: list[Delivery] = []
    (delivery,) = held(leases, 1, 0.0)
    delivery.on_lost.append(lost.append)
    before = LOST.counts().get("work", 0)
    leases.give_up(delivery)
    leases.give_up(delivery)
    assert lost == [delivery]
    assert LOST.counts()["work"] == before + 1
    assert find(delivery.tag) is None
    leases.close()
