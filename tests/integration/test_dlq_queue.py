"""Looking into a dead-letter queue, sending letters back and dropping them, against the embedded server."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_inference.sqs.dead_letters import scan
from celery_inference.sqs.dead_letters.entry import State
from celery_inference.sqs.dead_letters.index import Marking, Selection
from celery_inference.sqs.dead_letters.queue import BusyError, DeadLetterQueue
from celery_inference.sqs.dead_letters.redrive import Target
from celery_inference.sqs.errors import SqsError
from celery_inference.sqs.lanes import UnknownLaneError
from celery_inference.sqs.messages.reason import REASON_ATTRIBUTE, mark_of
from celery_inference.sqs_local.child_process import LocalServer
from tests.support.letters import DeadLetterRig, body_of, dead_letter_rig, reason

ALL = Selection()


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "END_WAIT_SECONDS", 0)  # one server has no others to ask


@pytest.fixture
def rig(server: LocalServer, tmp_path: Path) -> DeadLetterRig:
    return dead_letter_rig(server.endpoint_url, tmp_path)


def marks(messages: list[dict[str, Any]]) -> dict[str, int]:
    return {
        json.loads(message["Body"])["headers"]["id"]: mark_of(message["MessageAttributes"]).generation
        for message in messages
    }


def test_looking_shows_every_letter_once_and_takes_none(rig: DeadLetterRig) -> None:
    for number in range(23):
        rig.send(body_of(f"r{number}"), reason())
    seen = [letter.body for _, letter in rig.queue.letters(ALL)]
    assert sorted(seen) == sorted(body_of(f"r{number}") for number in range(23))
    assert rig.queue.count().visible == 23
    assert rig.index.count(ALL) == 23


def test_redriving_all_sends_each_as_it_was_with_the_next_generation(rig: DeadLetterRig) -> None:
    for number in range(12):
        rig.send(body_of(f"r{number}"), reason(generation=number % 2), tenant="shop")
    progress = rig.queue.redrive(ALL)
    assert (progress.done, progress.skipped) == (12, {})
    assert rig.dead() == 0
    sent = rig.take()
    assert sorted(message["Body"] for message in sent) == sorted(body_of(f"r{number}") for number in range(12))
    assert marks(sent) == {f"r{number}": number % 2 + 1 for number in range(12)}
    assert all(message["MessageAttributes"]["tenant"]["StringValue"] == "shop" for message in sent)
    assert rig.index.count(ALL) == 0
    assert rig.index.find("r3")[0].state is State.REDRIVEN


def test_a_redriven_request_is_pending_again_and_its_old_outcome_is_kept(rig: DeadLetterRig) -> None:
    rig.backend.store_result("one", ValueError("broken"), "FAILURE")
    rig.send(body_of("one"), reason())
    rig.queue.redrive(ALL)
    assert rig.backend.get_state("one") == "PENDING"
    (old,) = rig.backend.store.past_outcomes("one").values()
    assert json.loads(old)["status"] == "FAILURE"


def test_one_letter_and_one_group_go_and_the_others_stay(rig: DeadLetterRig) -> None:
    for number in range(15):
        rig.send(body_of(f"r{number}"), reason(error_type="KeyError" if number % 5 == 0 else "ValueError"))
    assert rig.queue.redrive(Selection(ids=frozenset({"r7"}))).done == 1
    assert rig.queue.redrive(Selection(error_type="KeyError")).done == 3
    assert marks(rig.take()) == {"r7": 1, "r0": 1, "r5": 1, "r10": 1}
    assert (rig.dead(), rig.queue.count().visible) == (11, 11)


def test_a_letter_may_get_another_task_and_another_lane(
    rig: DeadLetterRig, server: LocalServer, tmp_path: Path
) -> None:
    other = dead_letter_rig(server.endpoint_url, tmp_path, "elsewhere")
    rig.send(body_of("one"), reason())
    rig.send("no task at all", reason())
    progress = rig.queue.redrive(ALL, Target("elsewhere", "celery_inference.infer"))
    assert progress.done == 1
    assert list(progress.skipped) == ["it cannot be read, and so cannot be given another task"]
    (message,) = other.take()
    envelope = json.loads(message["Body"])
    assert envelope["headers"]["task"] == "celery_inference.infer"
    assert envelope["body"] == json.loads(body_of("one"))["body"]
    assert rig.dead() == 1
    with pytest.raises(UnknownLaneError, match="no lane 'nowhere' is declared"):
        rig.queue.redrive(ALL, Target("nowhere"))


def test_what_cannot_go_back_stays_with_its_outcome(rig: DeadLetterRig) -> None:
    rig.backend.store_result("full", ValueError("broken"), "FAILURE")
    rig.send(body_of("full"), None, **{f"a{number}": "x" for number in range(10)})
    rig.send(body_of("large", model="x" * 300_000), reason())
    rig.send("\u00e9" * 500_000, reason())
    progress = rig.queue.redrive(ALL)
    assert progress.done == 0
    assert sum(progress.skipped.values()) == 3
    assert rig.queue.count().visible == 3
    assert rig.backend.get_state("full") == "FAILURE"


def test_a_deadline_that_has_passed_is_renewed(rig: DeadLetterRig) -> None:
    rig.send(body_of("late", expires="2020-01-01T00:00:00+00:00"), reason())
    rig.send(body_of("never"), reason())
    rig.queue.redrive(ALL)
    expires = {json.loads(m["Body"])["headers"]["id"]: json.loads(m["Body"])["headers"]["expires"] for m in rig.take()}
    assert expires["never"] is None
    assert expires["late"] > "2026"


def test_dropped_letters_are_gone_for_good(rig: DeadLetterRig) -> None:
    for number in range(11):
        rig.send(body_of(f"r{number}"), reason())
    assert rig.queue.drop(Selection(ids=frozenset({"r3", "r4"}))).done == 2
    assert rig.queue.drop(ALL).done == 9
    assert (rig.dead(), rig.index.count(ALL), rig.take()) == (0, 0, [])


def test_copies_that_a_kill_left_are_one_letter(rig: DeadLetterRig) -> None:
    for _ in range(3):
        rig.send(body_of("one"), reason())
    rig.queue.redrive(ALL)
    assert len(rig.take()) == 1
    rig.queue.redrive(ALL)
    assert rig.dead() == 0
    assert rig.take() == []


@pytest.mark.parametrize("state", [State.SENDING, State.SENT, State.DROPPING])
def test_what_was_interrupted_is_ended_by_whoever_comes_next(rig: DeadLetterRig, state: State) -> None:
    rig.send(body_of("one"), reason())
    rig.send(body_of("other"), reason())
    list(rig.queue.letters(ALL))
    (entry,) = rig.index.find("one")
    rig.index.mark(rig.lane.name, [Marking(entry.id, state)])
    assert rig.queue.unsettled()
    rig.queue.settle()
    assert not rig.queue.unsettled()
    assert marks(rig.take()) == ({"one": 1} if state is State.SENDING else {})
    assert rig.queue.count().visible == 1


def test_what_somebody_else_deleted_leaves_the_index(rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery_inference.sqs.dead_letters.redrive.YOUNG_SECONDS", 0.0)
    rig.send(body_of("one"), reason())
    list(rig.queue.letters(ALL))
    rig.take(rig.lane.dead_letter_queue.name)
    progress = rig.queue.redrive(ALL)
    assert (progress.done, progress.skipped) == (0, {"it is not in the queue any more": 1})
    assert rig.index.find("one") == []


def test_a_letter_that_fails_again_meanwhile_is_not_sent_round_and_round(rig: DeadLetterRig) -> None:
    rig.send(body_of("one"), reason())
    rounds = 0

    def fails_again(_: object) -> None:
        nonlocal rounds
        rounds += 1
        for message in rig.take():
            generation = mark_of(message["MessageAttributes"]).generation
            rig.send(message["Body"], reason(generation=generation, failed_at=time.time()))

    assert rig.queue.redrive(ALL, report=fails_again).done == 1
    assert rounds <= 2
    assert rig.dead() == 1


def test_two_processes_do_not_work_on_the_same_letters(rig: DeadLetterRig) -> None:
    other = DeadLetterQueue(rig.clients, rig.lane, rig.index, lanes=(rig.lane,))
    with rig.queue.held(), pytest.raises(BusyError, match="another process"), other.held(wait_seconds=0.2):
        pass
    with other.held(wait_seconds=0.2):
        pass


def test_letters_of_a_killed_look_come_back_and_are_waited_for(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "HOLD_SECONDS", 6)
    for number in range(3):
        rig.send(body_of(f"r{number}"), reason())
    list(rig.queue.letters(ALL))
    killed = rig.queue.start_scan()
    assert len(next(iter(killed))) == 3
    assert rig.queue.count().in_flight == 3
    assert rig.queue.redrive(ALL).done == 3


def test_five_thousand_letters_pass_with_bounded_memory(rig: DeadLetterRig) -> None:
    import tracemalloc

    url = rig.clients.queue_url(rig.lane.dead_letter_queue.name)
    attribute = {REASON_ATTRIBUTE: {"DataType": "String", "StringValue": reason().to_json()}}
    for start in range(0, 5_000, 10):
        entries: Any = [
            {"Id": str(number), "MessageBody": body_of(f"r{number}"), "MessageAttributes": attribute}
            for number in range(start, start + 10)
        ]
        rig.clients.client.send_message_batch(QueueUrl=url, Entries=entries)
    tracemalloc.start()
    try:
        assert sum(1 for _ in rig.queue.letters(Selection(error_type="KeyError"))) == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rig.index.count(ALL) == 5_000
    assert rig.queue.count().visible == 5_000
    assert peak < 40_000_000


def test_noise_of_a_mebibyte_and_letters_of_other_programs_are_listed_and_stay(rig: DeadLetterRig) -> None:
    bodies = [
        "\u00e9" * 524_000,
        "{" * 1_000_000,
        json.dumps({"order": 5}),
        json.dumps({"headers": 5, "properties": {}}),
    ]
    for body in bodies:
        rig.send(body, None)
    foreign = {REASON_ATTRIBUTE: '{"error_type": 5, "attempts": "many", "cause": [], "generation": 1e300}'}
    rig.send(body_of("one"), None, **foreign)
    found = list(rig.queue.letters(ALL))
    assert sorted(letter.body for _, letter in found) == sorted([*bodies, body_of("one")])
    assert rig.queue.redrive(Selection(ids=frozenset({"no-such-id"}))).done == 0
    assert rig.queue.count().visible == 5


def test_a_server_that_is_gone_is_an_error_and_not_a_hang(rig: DeadLetterRig, tmp_path: Path) -> None:
    nowhere = office_without_server(rig)
    with pytest.raises(SqsError):
        nowhere.count()


def office_without_server(rig: DeadLetterRig) -> DeadLetterQueue:
    from celery_inference.sqs.api.clients import SqsClients, SqsEndpoint

    clients = SqsClients(SqsEndpoint("http://127.0.0.1:9", "us-east-1", "k", "s", call_timeout_seconds=0.5))
    return DeadLetterQueue(clients, rig.lane, rig.index, lanes=(rig.lane,))


def test_letters_of_a_fifo_lane_are_all_seen_and_go_back_to_their_groups(server: LocalServer, tmp_path: Path) -> None:
    rig = dead_letter_rig(server.endpoint_url, tmp_path, "ordered.fifo")
    for number in range(25):
        rig.send(body_of(f"r{number}"), reason(group="tenant-a"))
    assert rig.queue.redrive(ALL).done == 25
    sent = rig.take()
    assert {message["Attributes"]["MessageGroupId"] for message in sent} == {"tenant-a"}
    assert len(sent) == 25
