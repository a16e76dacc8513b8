"""Several lanes, FIFO lanes, long delays, and lanes that are not as declared."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.queues import provisioning
from celery_inference.sqs.queues.check import check
from tests.support import transport_app as program
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.peek import peek
from tests.support.transport_rig import Rig, rig_in


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as rig:
        for lane in rig.lanes:
            provisioning.create(rig.client, lane)
        yield rig


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A server for tests that leave its lanes as declared."""
    with rig_in(tmp_path_factory.mktemp("shared")) as rig:
        for lane in rig.lanes:
            provisioning.create(rig.client, lane)
        yield rig


def url(rig: Rig, name: str) -> str:
    return rig.client.get_queue_url(QueueName=name)["QueueUrl"]


def fifo(rig: Rig) -> Lane:
    return rig.lanes[2]


def test_a_fifo_lane_keeps_the_order_of_each_group(rig: Rig) -> None:
    with rig.app():
        for number in range(12):
            program.note.apply_async((f"{number % 3}-{number:02}", 0.02), queue="ordered.fifo", tenant=f"g{number % 3}")
    rig.worker(concurrency=6, queues="ordered.fifo")
    rig.until(lambda: len(rig.notes()) == 12)
    rig.until(lambda: rig.depth(lane=fifo(rig)).total == 0)
    by_group = defaultdict(list)
    for line in rig.notes("started"):
        by_group[line.split("-")[0]].append(line)
    assert all(lines == sorted(lines) for lines in by_group.values())
    assert len(by_group) == 3


def test_a_released_message_of_a_group_is_not_overtaken(rig: Rig) -> None:
    with rig.app():
        program.release_until.apply_async(("first", 3), queue="ordered.fifo", tenant="g")
        for number in range(3):
            program.release_until.apply_async((f"after{number}", 1), queue="ordered.fifo", tenant="g")
    rig.worker(concurrency=6, queues="ordered.fifo")
    rig.until(lambda: len(rig.notes()) == 6)
    texts = [line.split()[0] for line in rig.notes()]
    assert texts == ["first"] * 3 + ["after0", "after1", "after2"]


def test_a_dead_letter_of_a_fifo_lane_remembers_its_group(rig: Rig) -> None:
    rig.worker(queues="ordered.fifo")
    with rig.app():
        program.fail.apply_async(("bad",), queue="ordered.fifo", MessageGroupId="g")
        program.note.apply_async(("good",), queue="ordered.fifo", MessageGroupId="g")
    rig.until(lambda: rig.depth(dead=True, lane=fifo(rig)).visible == 1)
    rig.until(lambda: len(rig.notes()) == 2)
    (letter,) = peek(rig.client, fifo(rig))
    assert letter.reason is not None
    assert letter.reason.group == "g"  # in the dead-letter queue itself letters do not wait for each other


def test_the_same_deduplication_id_is_one_task(rig: Rig) -> None:
    with rig.app():
        for _ in range(3):
            program.note.apply_async(
                ("once",), queue="ordered.fifo", MessageGroupId="g", MessageDeduplicationId="order-17"
            )
    assert rig.depth(lane=fifo(rig)).visible == 1


def test_a_message_group_on_a_standard_queue_passes_through(rig: Rig) -> None:
    with rig.app():
        program.note.apply_async(("fair",), tenant="shop")
    (message,) = rig.client.receive_message(QueueUrl=url(rig, "work"), MessageSystemAttributeNames=["MessageGroupId"])[
        "Messages"
    ]
    assert message["Attributes"]["MessageGroupId"] == "shop"
    assert "tenant" not in json.loads(message["Body"])["properties"]


def test_two_lanes_share_few_slots_and_neither_starves(rig: Rig) -> None:
    with rig.app() as app, app.producer_or_acquire() as producer, producer.batch():
        for number in range(60):
            program.note.apply_async((f"bulk{number}",), queue="bulk", producer=producer, retry=False)
        for number in range(20):
            program.note.apply_async((f"work{number}",), queue="work", producer=producer, retry=False)
    rig.worker(concurrency=2, queues="work,bulk", weights={"work": 4.0, "bulk": 1.0})
    rig.until(lambda: len(rig.notes()) == 80)
    order = [line.rstrip("0123456789") for line in rig.notes("started")]
    last_work = max(index for index, name in enumerate(order) if name == "work")
    assert "bulk" in order[: last_work + 1]
    assert order[: last_work + 1].count("bulk") <= 12  # a quarter of 20, and what ran before weights were known


def test_a_lane_with_slots_of_its_own_neither_takes_from_the_others_nor_waits_for_them(rig: Rig) -> None:
    rig.worker(concurrency=1, queues="work,apart")
    with rig.app():
        for number in range(3):
            program.wait_for.apply_async((f"apart{number}", "go"), queue="apart")
        rig.until(lambda: len(rig.notes("started")) == 2)  # as many as it has slots
        program.wait_for.apply_async(("work", "go"), queue="work")
        rig.until(lambda: len(rig.notes("started")) == 3)
        program.note.apply_async(("behind",), queue="work")
        time.sleep(0.5)
    assert "work" in rig.notes("started")
    assert len(rig.notes("started")) == 3
    assert rig.depth(lane=rig.lanes[3]).in_flight == 2
    assert rig.depth().in_flight == 1
    (rig.folder / "go").touch()
    rig.until(lambda: len(rig.notes()) == 5)


def test_with_one_slot_all_lanes_are_served(rig: Rig) -> None:
    rig.worker(concurrency=1, queues="work,bulk,ordered.fifo")
    with rig.app():
        for name in ("work", "bulk", "ordered.fifo"):
            program.note.apply_async((name,), queue=name)
    rig.until(lambda: len(rig.notes()) == 3)


def test_a_countdown_beyond_sqs_s_longest_goes_back_with_the_rest(rig: Rig) -> None:
    with rig.app():
        program.note.apply_async(("far",), countdown=2_000)
        assert rig.depth().delayed == 1
        # As it would arrive when its first 900 seconds are over:
        eta = (datetime.now(UTC) + timedelta(seconds=1_000)).isoformat()
        body = {
            "body": '[["near"], {}, {}]',
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": program.note.name, "id": "x", "eta": eta},
            "properties": {"body_encoding": "utf-8", "delivery_info": {}},
        }
        rig.client.send_message(QueueUrl=url(rig, "work"), MessageBody=json.dumps(body))
        rig.worker(concurrency=1)
        rig.until(lambda: rig.depth().delayed == 2)
        rig.until(lambda: rig.depth().in_flight == 0)
        program.note.delay("now")
        rig.until(rig.notes)
    assert rig.depth().delayed == 2


def test_the_declared_lane_has_no_difference(shared: Rig) -> None:
    assert [difference for lane in shared.lanes for difference in check(shared.client, lane)] == []
    for lane in shared.lanes:
        provisioning.create(shared.client, lane)  # again, which must change nothing
    assert [difference for lane in shared.lanes for difference in check(shared.client, lane)] == []


CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "visibility": ("work", {"VisibilityTimeout": "5"}, "VisibilityTimeout is 5, declared 30"),
    "size": ("work", {"MaximumMessageSize": "2048"}, "MaximumMessageSize is 2048, declared 262144"),
    "retention of the DLQ": (
        "work-dlq",
        {"MessageRetentionPeriod": "86400"},
        "retention is 86400 s, declared more than",
    ),
    "size of the DLQ": ("work-dlq", {"MaximumMessageSize": "262144"}, "size limit is 262144 bytes, declared more than"),
    "no redrive": ("work", {"RedrivePolicy": ""}, "dead-letter queue is none"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_difference_is_named_with_its_remedy_and_create_mends_it(shared: Rig, change: str) -> None:
    queue, attributes, expected = CHANGES[change]
    shared.client.set_queue_attributes(QueueUrl=url(shared, queue), Attributes=attributes)
    found = [str(difference) for difference in check(shared.client, shared.lane)]
    assert any(expected in text for text in found), found
    assert all("; " in text for text in found)
    provisioning.create(shared.client, shared.lane)
    assert check(shared.client, shared.lane) == []


@pytest.mark.parametrize("operation", ["SendMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"])
def test_a_denied_permission_is_found_without_receiving(shared: Rig, operation: str) -> None:
    from celery_inference.sqs.api.client_factory import make_client

    before = shared.depth().visible
    shared.client.send_message(QueueUrl=url(shared, "work"), MessageBody="x")
    with FaultProxy(shared.port) as proxy:
        proxy.fail(operation, Fault("status", status=403, code="AccessDeniedException"))
        client = make_client(
            endpoint_url=f"http://127.0.0.1:{proxy.port}", region="us-east-1", access_key="k", secret_key="s"
        )
        found = check(client, shared.lane)
        assert proxy.requests["ReceiveMessage"] == 0
    assert any(each.what == f"permission sqs:{operation}" and each.fatal for each in found)
    assert shared.depth().visible == before + 1


def test_peeking_gives_back_what_it_saw(shared: Rig) -> None:
    for number in range(13):
        shared.client.send_message(QueueUrl=url(shared, "work-dlq"), MessageBody=f"letter {number}")
    letters = peek(shared.client, shared.lane, limit=50)
    assert {letter.body for letter in letters} == {f"letter {number}" for number in range(13)}
    assert all(letter.reason is None and letter.sent_at > time.time() - 60 for letter in letters)
    shared.until(lambda: shared.depth(dead=True).visible == 13, 5)


def test_a_missing_queue_is_a_fatal_difference(shared: Rig) -> None:
    lane = program.lane("nowhere")
    found = check(shared.client, lane)
    assert [(each.queue, each.found, each.fatal) for each in found] == [
        ("nowhere-dlq", "missing", True),
        ("nowhere", "missing", True),
    ]
