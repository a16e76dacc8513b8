"""kombu connections over the transport in one process: many, closed, dropped, cloned, forked."""

import gc
import json
import os
import statistics
import threading
import time
import urllib.request
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.exceptions import ChannelError

from celery_inference.sqs.consumer.deliveries import HELD, call_when_lost, find
from celery_inference.sqs.errors import MessageTooLargeError, OptionError, RefusedError
from celery_inference.sqs.lanes import DeclaredQueue as Declared
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.producer.bulk_send import BulkSendError
from celery_inference.sqs.queues import provisioning
from tests.support import transport_app as program
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.peek import peek
from tests.support.transport_rig import HANG_SECONDS, Rig, rig_in

OPTIONS = {"region": "us-east-1", "wait_time_seconds": 1, "lease_seconds": 30}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        provisioning.create(rig.client, rig.lane)
        yield rig


def connect(rig: Rig, port: int | None = None, **options: Any) -> Connection:
    return Connection(
        f"sqs://key:secret@127.0.0.1:{port or rig.port}//",
        transport="celery_inference.sqs.transport.connection:Transport",
        transport_options=OPTIONS | {"lanes": (rig.lane,)} | options,
    )


def publish(connection: Connection, *texts: str) -> None:
    producer = Producer(connection)
    for text in texts:
        producer.publish({"text": text}, routing_key="work")


def drain(connection: Connection, done: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        try:
            connection.drain_events(timeout=0.2)
        except TimeoutError:
            continue


def sqs_threads() -> set[threading.Thread]:
    """Those of this process, of whatever tests ran in it before as well."""
    names = ("sqs-receive", "sqs-settle", "sqs-leases")
    return {thread for thread in threading.enumerate() if thread.name.startswith(names)}


def test_a_consumer_gets_what_a_producer_of_another_connection_sends(rig: Rig) -> None:
    got: list[Any] = []
    with connect(rig) as sender, connect(rig) as receiver:
        publish(sender, "a", "b")

        def on_message(body: Any, message: Any) -> None:
            got.append((body["text"], message.delivery_info["delivery_count"], message.delivery_info["redelivered"]))
            message.ack()

        with Consumer(receiver, Queue("work"), callbacks=[on_message]):
            drain(receiver, lambda: len(got) == 2)
    assert sorted(got) == [("a", 1, False), ("b", 1, False)]
    rig.until(rig.empty, 10)


def test_closing_releases_what_is_held_and_ends_the_threads(rig: Rig) -> None:
    others = sqs_threads()
    held: list[Any] = []
    connection = connect(rig)
    publish(connection, *"abc")
    consumer = Consumer(connection, Queue("work"), on_message=held.append)
    consumer.qos(prefetch_count=2)
    consumer.consume()
    drain(connection, lambda: len(held) == 2)
    assert sqs_threads() - others
    connection.release()
    depth = rig.depth()
    assert (depth.visible, depth.in_flight) == (3, 0)
    rig.until(lambda: not sqs_threads() - others, 10)
    held[0].ack()  # too late: it is another's, and nothing happens
    assert rig.depth().total == 3
    assert find(held[0]) is None


def test_what_is_acknowledged_just_before_the_close_is_deleted(rig: Rig) -> None:
    held: list[Any] = []
    connection = connect(rig)
    publish(connection, *"abc")
    Consumer(connection, Queue("work"), on_message=held.append).consume()
    drain(connection, lambda: len(held) == 3)
    for message in held:
        message.ack()
    connection.release()  # the deletes wait for company for 50 ms yet
    assert rig.depth().total == 0


def test_cancelling_releases_what_waits_and_keeps_what_runs(rig: Rig) -> None:
    held: list[Any] = []
    with connect(rig) as connection:
        publish(connection, *"abc")
        consumer = Consumer(connection, Queue("work"), on_message=held.append)
        consumer.consume()
        rig.until(lambda: rig.depth().in_flight == 3, 10)
        connection.drain_events(timeout=5)
        consumer.cancel()
        rig.until(lambda: rig.depth().visible == 2, 10)
        assert len(held) == 1
        held[0].ack()
        rig.until(lambda: rig.depth().in_flight == 0, 10)
    assert rig.depth().visible == 2


def test_a_producer_s_connection_starts_no_thread_and_is_collected(rig: Rig) -> None:
    before = set(threading.enumerate())
    connection = connect(rig)
    publish(connection, "a")
    watch = weakref.ref(connection.transport), weakref.ref(connection.default_channel)
    assert not set(threading.enumerate()) - before
    del connection
    gc.collect()
    assert [watched() for watched in watch] == [None, None]


def calls(rig: Rig) -> Counter[str]:
    """How many requests the server has had, by operation."""
    with urllib.request.urlopen(f"{rig.server.endpoint_url}/_local/calls", timeout=HANG_SECONDS) as answer:
        return Counter(json.load(answer))


def test_many_connections_share_clients_and_queue_urls(rig: Rig) -> None:
    before = calls(rig)
    for _ in range(5):
        with connect(rig) as connection:
            publish(connection, "a")
    with connect(rig).clone() as clone:
        publish(clone, "b")
    assert calls(rig) - before == {"GetQueueUrl": 1, "SendMessage": 6}


def test_a_pool_of_connections_serves_many_threads(rig: Rig) -> None:
    pool = connect(rig).Pool(limit=4)

    def send(name: str) -> None:
        for number in range(10):
            with pool.acquire(block=True) as connection:
                publish(connection, f"{name}{number}")

    threads = [threading.Thread(target=send, args=(str(index),)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    pool.force_close_all()
    assert rig.depth().visible == 60


def test_a_forked_child_sends_with_sockets_of_its_own(rig: Rig) -> None:
    connection = connect(rig)
    publish(connection, "parent")
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                publish(connection, *"cdefg")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
        publish(connection, "parent")
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert rig.depth().visible == 1 + 3 + 15


def test_a_forked_child_does_not_release_what_its_parent_holds(rig: Rig) -> None:
    held: list[Any] = []
    with connect(rig) as connection:
        publish(connection, "a")
        with Consumer(connection, Queue("work"), on_message=held.append):
            drain(connection, lambda: len(held) == 1)
            child = os.fork()
            if child == 0:
                try:
                    connection.release()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            assert rig.depth().in_flight == 1
            held[0].ack()
            rig.until(rig.empty, 10)


def test_basic_get_takes_one_message(rig: Rig) -> None:
    with connect(rig) as connection:
        publish(connection, "a", "b")
        channel = connection.default_channel
        message = rig.until(lambda: channel.basic_get("work"), 10)
        assert message.payload["text"] in "ab"
        message.ack()
        rig.until(lambda: rig.depth().total == 1, 10)


def test_a_bulk_send_puts_ten_in_a_call(rig: Rig) -> None:
    with connect(rig) as connection:
        producer = Producer(connection)
        before = calls(rig)
        with producer.batch():
            for number in range(95):
                producer.publish({"n": number}, routing_key="work")
        assert (calls(rig) - before)["SendMessageBatch"] == 10
    assert rig.depth().visible == 95


def test_a_bulk_send_splits_at_1_mib(rig: Rig) -> None:
    with connect(rig) as connection:
        producer = Producer(connection)
        before = calls(rig)
        with producer.batch():
            for _ in range(10):
                producer.publish({"n": "x" * 240_000}, routing_key="work")
        assert (calls(rig) - before)["SendMessageBatch"] == 3
    assert rig.depth().visible == 10


def test_a_bulk_send_names_each_message_that_was_not_accepted(rig: Rig) -> None:
    with FaultProxy(rig.port) as proxy, connect(rig, proxy.port) as connection:
        producer = Producer(connection)
        proxy.fail("SendMessageBatch", Fault("status", status=403, code="AccessDeniedException", times=1))
        batch = producer.batch()
        batch.__enter__()
        for number in range(30):
            producer.publish({"n": number}, routing_key="work")
        with pytest.raises(BulkSendError) as raised:
            batch.__exit__(None, None, None)
    accepted = rig.depth().visible
    assert len(raised.value.failures) == 10
    assert accepted == 20


def test_a_bulk_send_to_two_queues_names_what_one_refused_and_fills_the_other(rig: Rig) -> None:
    other = program.lane("bulk")
    provisioning.create(rig.client, other)
    url = rig.client.get_queue_url(QueueName="work")["QueueUrl"]
    rig.client.set_queue_attributes(QueueUrl=url, Attributes={"MaximumMessageSize": "1024"})
    with connect(rig, lanes=(rig.lane, other)) as connection:
        producer = Producer(connection)
        batch = producer.batch()
        batch.__enter__()
        for number in range(15):
            text = "x" * 5_000 if number in (4, 8) else "short"
            producer.publish(text, routing_key=("work", "bulk")[number % 2], correlation_id=f"t{number}")
        with pytest.raises(BulkSendError) as raised:
            batch.__exit__(None, None, None)
    failures = raised.value.failures
    assert [(each.index, each.queue, each.task_id) for each in failures] == [(4, "work", "t4"), (8, "work", "t8")]
    assert all(isinstance(each.error, RefusedError) for each in failures)
    assert "2 of 15 messages were not accepted" in str(raised.value)
    assert (rig.depth().visible, rig.depth(lane=other).visible) == (6, 7)


def test_what_is_sent_leaves_room_for_a_reason_in_the_dead_letter_queue(rig: Rig) -> None:
    largest = 1_048_576
    large = Lane(Declared("large", max_message_bytes=largest), Declared("large-dlq", max_message_bytes=largest))
    provisioning.create(rig.client, large)
    with connect(rig, lanes=(large,)) as connection:
        producer = Producer(connection)
        producer.publish("x" * (largest - 6_000), routing_key="large")
        with pytest.raises(MessageTooLargeError) as raised:
            producer.publish("x" * (largest - 4_096), routing_key="large")
    assert raised.value.limit_bytes == largest - 4_096
    assert rig.depth(lane=large).visible == 1


def test_the_raw_body_is_not_carried_a_second_time(rig: Rig) -> None:
    got: list[Any] = []
    with connect(rig) as connection:
        publish(connection, "x" * 10_000)
        with Consumer(connection, Queue("work"), on_message=got.append):
            drain(connection, lambda: bool(got))
            assert "x" * 100 not in repr(got[0].properties)
            assert "x" * 100 not in repr(got[0].headers)
            got[0].ack()


def test_a_callback_that_raises_ends_its_message_and_not_the_loop(rig: Rig) -> None:
    got: list[str] = []

    def on_message(body: Any, message: Any) -> None:
        if body["text"] == "bad":
            raise KeyError("bad")
        got.append(body["text"])
        message.ack()

    with connect(rig) as connection:
        publish(connection, "bad", "good")
        with Consumer(connection, Queue("work"), callbacks=[on_message]):
            drain(connection, lambda: got == ["good"] and rig.depth(dead=True).visible == 1)
    (letter,) = peek(rig.client, rig.lane)
    assert letter.reason is not None
    assert letter.reason.error_type == "RefusedByWorker"


def test_a_lost_lease_is_told_to_the_work(rig: Rig) -> None:
    got: list[Any] = []
    lost: list[Any] = []
    with (
        FaultProxy(rig.port) as proxy,
        connect(rig, proxy.port, lease_seconds=3, call_timeout_seconds=0.5) as connection,
    ):
        with connect(rig) as other:
            publish(other, "a")
        with Consumer(connection, Queue("work"), on_message=got.append):
            drain(connection, lambda: bool(got))
            call_when_lost(got[0], lost.append)
            proxy.fail("ChangeMessageVisibilityBatch", Fault("status"))
            rig.until(lambda: lost, 20)
            assert lost == [find(got[0])]
            assert not lost[0].holds()
            proxy.heal()
            got[0].ack()


def test_an_unknown_option_is_refused_with_the_nearest_name(rig: Rig) -> None:
    with pytest.raises(OptionError, match="unknown transport option 'lease_second'; did you mean 'lease_seconds'"):
        connect(rig, lease_second=5).connect()
    with pytest.raises(OptionError, match="lease_seconds is 0; allowed are 2 to 43200"):
        connect(rig, lease_seconds=0).connect()


def test_an_idle_poll_delivers_within_a_blink(rig: Rig) -> None:
    arrived: list[float] = []
    sent: list[float] = []

    def on_message(message: Any) -> None:
        arrived.append(time.monotonic())
        message.ack()

    def send() -> None:
        sent.append(time.monotonic())
        publish(sender, "x")

    with connect(rig, wait_time_seconds=20) as sender, connect(rig, wait_time_seconds=20) as connection:
        publish(sender, "warm")
        with Consumer(connection, Queue("work"), on_message=on_message):
            drain(connection, lambda: bool(arrived))
            for number in range(10):
                timer = threading.Timer(0.05, send)
                timer.start()
                drain(connection, lambda: len(arrived) == number + 2)  # noqa: B023 - called at once
                timer.join()
    taken = [there - left for left, there in zip(sent, arrived[1:], strict=True)]
    print(f"{statistics.median(taken) * 1000:.1f} ms in the median, {max(taken) * 1000:.1f} at most")
    assert statistics.median(taken) < 1.0  # a bound against waiting for the next poll, which comes after up to 20 s


def test_celery_s_word_for_emptying_and_counting_a_queue(rig: Rig) -> None:
    with connect(rig) as connection:
        publish(connection, *"abc")
        channel = connection.default_channel
        assert channel.queue_declare("work", passive=True).message_count == 3
        assert channel.queue_purge("work") == 3
        rig.until(lambda: rig.depth().total == 0, 70)
        # What Celery's command passes over, so that the other queues are purged: SQS purges a queue once a minute.
        for queue, reason in (("work", "PurgeQueueInProgress"), ("nowhere", "does not exist")):
            with pytest.raises(connection.channel_errors, match=reason):
                channel.queue_purge(queue)
        with pytest.raises(ChannelError, match="does not exist"):
            channel.queue_declare("nowhere", passive=True)


def test_a_declared_lane_is_never_deleted_and_another_queue_is(rig: Rig) -> None:
    rig.client.create_queue(QueueName="scratch")
    with connect(rig) as connection:
        for name in ("scratch", "work"):
            queue = Queue(name, Exchange(name), routing_key=name)(connection.default_channel)
            queue.declare()
            queue.delete()
    rig.until(lambda: "QueueUrls" not in rig.client.list_queues(QueueNamePrefix="scratch"), 10)
    assert len(rig.client.list_queues(QueueNamePrefix="work")["QueueUrls"]) == 2


def test_exchange_and_routing_key_lead_to_the_bound_queue(rig: Rig) -> None:
    exchange = Exchange("shop", type="direct")
    got: list[Any] = []
    with connect(rig) as connection:
        producer = Producer(connection, exchange=exchange)
        queue = Queue("work", exchange=exchange, routing_key="orders")
        producer.publish({"text": "bound"}, routing_key="orders", declare=[queue])
        with Consumer(connection, queue, on_message=got.append):
            drain(connection, lambda: bool(got))
            assert got[0].payload == {"text": "bound"}
            assert (got[0].delivery_info["exchange"], got[0].delivery_info["routing_key"]) == ("shop", "orders")
            got[0].ack()


def test_requeued_recovered_and_unacknowledged_messages_come_again(rig: Rig) -> None:
    got: list[Any] = []
    with connect(rig, release_cap_seconds=0.0) as connection:
        publish(connection, "a")
        consumer = Consumer(connection, Queue("work"), on_message=got.append)
        with consumer:
            drain(connection, lambda: len(got) == 1)
            got[0].requeue()
            drain(connection, lambda: len(got) == 2)
            consumer.recover(requeue=True)
            drain(connection, lambda: len(got) == 3)
        assert [message.delivery_info["delivery_count"] for message in got] == [1, 2, 3]
        assert [message.delivery_info["redelivered"] for message in got] == [False, True, True]
    rig.until(lambda: rig.depth().visible == 1, 20)


def test_without_acknowledgements_a_message_is_gone_when_it_is_handed_over(rig: Rig) -> None:
    got: list[Any] = []
    with connect(rig) as connection:
        publish(connection, "a")
        with Consumer(connection, Queue("work"), on_message=got.append, no_ack=True):
            drain(connection, lambda: bool(got))
            rig.until(rig.empty, 10)
    assert rig.depth().total == 0


def test_a_prefetch_count_that_grows_lets_more_through(rig: Rig) -> None:
    got: list[Any] = []
    with connect(rig) as connection:
        publish(connection, *"abcd")
        consumer = Consumer(connection, Queue("work"), on_message=got.append)
        consumer.qos(prefetch_count=1)
        with consumer:
            drain(connection, lambda: len(got) == 1)
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.5)
            consumer.qos(prefetch_count=3)
            drain(connection, lambda: len(got) == 3)
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.5)
            assert rig.depth().in_flight == 3


def test_kombu_s_simple_queue_puts_and_gets(rig: Rig) -> None:
    with connect(rig) as connection:
        simple = connection.SimpleQueue("work")
        simple.put({"n": 1})
        message = simple.get(timeout=10)
        assert message.payload == {"n": 1}
        message.ack()
        with pytest.raises(simple.Empty):
            simple.get(timeout=0.3)
        simple.close()
        rig.until(rig.empty, 10)


def test_nothing_is_held_after_all_this() -> None:
    assert HELD._by_tag == {}
