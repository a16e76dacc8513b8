"""The sweep, against the embedded server: what SQS itself moved to a dead-letter queue."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signature

from celery_inference.results.protocol import Chord, Start
from celery_inference.specs.errors import DeviceCrash, InputFailed
from celery_inference.sqs.dead_letters import scan
from celery_inference.sqs.dead_letters.entry import State
from celery_inference.sqs.dead_letters.index import Marking, Selection
from celery_inference.sqs.messages.reason import Cause, mark_of
from celery_inference.sqs_local.child_process import LocalServer
from tasks.dead_letters.reconciler import LaneReconciler, ReconcilePass
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


@pytest.fixture
def sweep(rig: DeadLetterRig, server: LocalServer) -> LaneReconciler:
    app: Celery = rig.backend.app
    app._backend_cache = rig.backend
    app.conf.update(
        result_backend_thread_safe=True,
        broker_url=f"sqs://k:s@127.0.0.1:{server.port}//",
        broker_transport="celery_inference.sqs.transport.connection:Transport",
        broker_transport_options={"lanes": rig.queue.lanes},
        task_default_queue=rig.lane.name,
    )
    return LaneReconciler(app, rig.queue)


def attempts(rig: DeadLetterRig, task_id: str, count: int, generation: int = 0) -> None:
    for number in range(count):
        rig.backend.store.begin_attempts([Start(task_id, generation, f"d{number}", "host")])


def marks(messages: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    found = {}
    for message in messages:
        mark = mark_of(message.get("MessageAttributes", {}))
        found[json.loads(message["Body"])["headers"]["id"]] = (mark.generation, mark.returns)
    return found


def test_buried_letters_that_the_index_lost_are_taken_up_with_their_reasons(
    rig: DeadLetterRig, sweep: LaneReconciler
) -> None:
    for number in range(12):
        rig.send(body_of(f"r{number}"), reason("why it failed"))
    assert sweep.due()
    sweep.run()
    assert {entry.error for entry in rig.index.page(ALL).entries} == {"why it failed"}
    assert rig.index.count(ALL) == 12
    assert rig.queue.count().visible == 12
    assert not sweep.due()


def test_what_never_began_goes_back_as_it_was_without_an_outcome(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    rig.send(body_of("fresh", expires="2020-01-01T00:00:00"), tenant="shop")
    rig.send(body_of("once"))
    attempts(rig, "once", 3)
    assert sweep.run().brought_back == 2
    sent = rig.take()
    assert marks(sent) == {"fresh": (0, 1), "once": (0, 1)}
    assert {message["Body"] for message in sent} == {body_of("fresh", expires="2020-01-01T00:00:00"), body_of("once")}
    assert rig.backend.get_state("fresh") == "PENDING"
    assert (rig.dead(), rig.index.count(ALL)) == (0, 0)


def test_a_later_generation_keeps_its_own_count(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    rig.send(body_of("one"), reason())
    attempts(rig, "one", 4)
    rig.queue.redrive(ALL)
    (message,) = rig.take()
    attribute = next(iter(message["MessageAttributes"].values()))
    rig.clients.client.send_message(
        QueueUrl=rig.clients.queue_url(rig.lane.dead_letter_queue.name),
        MessageBody=message["Body"],
        MessageAttributes=message["MessageAttributes"],
    )
    assert attribute["StringValue"] == '{"generation":1}'
    assert sweep.run().brought_back == 1
    assert marks(rig.take()) == {"one": (1, 1)}


def test_used_up_attempts_are_a_failure_that_its_caller_learns(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    rig.send(body_of("silent"))
    rig.send(body_of("talking"))
    attempts(rig, "silent", 4)
    attempts(rig, "talking", 4)
    rig.backend.store_result("talking", OSError("the network is down"), "RETRY")
    assert sweep.run().taken_up == 2
    assert rig.queue.count().visible == 2
    silent, talking = rig.index.find("silent")[0], rig.index.find("talking")[0]
    assert (silent.cause, silent.error_type, silent.attempts) == ("lost", "AttemptsUsedUp", 4)
    assert (talking.cause, talking.error_type, talking.error) == ("attempts-used-up", "OSError", "the network is down")
    assert rig.backend.get_state("silent") == rig.backend.get_state("talking") == "FAILURE"
    assert isinstance(rig.backend.get_result("talking"), OSError)


@pytest.mark.parametrize("stored_before", [False, True])
def test_a_chord_learns_that_its_part_has_failed(
    rig: DeadLetterRig, sweep: LaneReconciler, stored_before: bool
) -> None:
    message = json.loads(body_of("part", group="a-group"))
    message["body"] = json.dumps([[], {}, {"chord": {"task": "body", "chord_size": 2}}])
    rig.send(json.dumps(message))
    attempts(rig, "part", 4)
    if stored_before:  # by a process that was killed right after
        rig.backend.store_result("part", KeyError("gone"), "FAILURE")
    sweep.run()
    assert rig.backend.store.end_part("a-group", "other", 2) is Chord.ENDED


def embedding(task_id: str, **embedded: Any) -> str:
    message = json.loads(body_of(task_id, group="g" if "chord" in embedded else None))
    message["body"] = json.dumps([[], {}, embedded])
    return json.dumps(message)


def test_an_error_callback_is_sent_for_what_died_without_a_word(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    callback = signature("tell.somebody", app=sweep._app).set(queue=rig.lane.name)
    rig.send(embedding("one", errbacks=[callback]))
    attempts(rig, "one", 4)
    assert sweep.run().taken_up == 1
    (sent,) = rig.take()
    assert json.loads(sent["Body"])["headers"]["task"] == "tell.somebody"


@pytest.mark.parametrize(
    "embedded",
    [
        {"errbacks": [1]},
        {"errbacks": ["x"]},
        {"errbacks": [{"task": "a"}]},
        {"chord": [1]},
        {"chord": {"chord_size": "two"}},
        {"chord": "c"},
        {"chain": [1]},
    ],
    ids=str,
)
def test_callbacks_that_are_none_stop_no_sweep(
    rig: DeadLetterRig, sweep: LaneReconciler, embedded: dict[str, Any]
) -> None:
    rig.send(embedding("odd", **embedded))
    rig.send(body_of("other"))
    attempts(rig, "odd", 4)
    attempts(rig, "other", 4)
    assert sweep.run().taken_up == 2
    assert rig.backend.get_state("odd") == rig.backend.get_state("other") == "FAILURE"
    assert not sweep.due()


@pytest.mark.parametrize("state", ["SUCCESS", "REVOKED"])
def test_what_has_ended_otherwise_is_no_dead_letter(rig: DeadLetterRig, sweep: LaneReconciler, state: str) -> None:
    rig.backend.store_result("done", "a result" if state == "SUCCESS" else ValueError("x"), state)
    rig.send(body_of("done"))
    assert sweep.run().deleted == 1
    assert (rig.dead(), rig.index.count(ALL), rig.backend.get_state("done")) == (0, 0, state)


def test_a_failure_that_was_stored_before_is_the_letter_s(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    rig.backend.store_result("one", KeyError("gone"), "FAILURE")
    rig.send(body_of("one"))
    sweep.run()
    assert rig.index.find("one")[0].error_type == "KeyError"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (InputFailed("inputs made the model raise"), Cause.MODEL_FAILED),
        (DeviceCrash("inputs ended the device process"), Cause.CRASH),
        (KeyError("gone"), Cause.ATTEMPTS_USED_UP),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_worker_killed_between_a_failure_and_its_letter_leaves_its_cause(
    rig: DeadLetterRig, sweep: LaneReconciler, error: Exception, cause: Cause
) -> None:
    rig.send(body_of("one"))
    rig.backend.store_result("one", error, "FAILURE")
    sweep.run()
    (entry,) = rig.index.find("one")
    assert (entry.cause, entry.error_type) == (cause, type(error).__name__)


def test_noise_is_taken_up_and_stays(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    for body in ("noise", "noise", "\u00e9" * 500_000, json.dumps({"headers": {"task": 5}, "properties": {}})):
        rig.send(body)
    assert sweep.run().taken_up == 4
    assert rig.queue.count().visible == 4
    assert {group.cause for group in rig.index.groups()} == {"unreadable"}
    assert not sweep.due()


def test_copies_that_a_kill_left_become_one(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    for _ in range(3):
        rig.send(body_of("one"), reason())
    assert sweep.run().deleted == 2
    assert (rig.dead(), rig.index.count(ALL)) == (1, 1)


def test_a_copy_of_what_was_redriven_is_superseded(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    rig.send(body_of("one"), reason())
    rig.queue.redrive(ALL)
    rig.send(body_of("one"), reason())
    assert sweep.due()
    sweep.run()
    assert (rig.dead(), len(rig.take())) == (0, 1)


def test_an_interrupted_redrive_is_ended_by_the_sweep(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    rig.send(body_of("one"), reason())
    sweep.run()
    rig.index.mark(rig.lane.name, [Marking(rig.index.find("one")[0].id, State.SENDING)])
    assert sweep.due()
    sweep.run()
    assert marks(rig.take()) == {"one": (1, 0)}


def test_a_message_that_comes_again_and_again_stays_at_last(
    rig: DeadLetterRig, sweep: LaneReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.dead_letters.reconciler.MOST_RETURNS", 2)
    rig.send(body_of("poison"))
    for _ in range(2):
        assert sweep.run().brought_back == 1
        (message,) = rig.take()
        rig.clients.client.send_message(
            QueueUrl=rig.clients.queue_url(rig.lane.dead_letter_queue.name),
            MessageBody=message["Body"],
            MessageAttributes=message["MessageAttributes"],
        )
    assert sweep.run().taken_up == 1
    assert rig.backend.get_state("poison") == "FAILURE"


def test_letters_that_somebody_else_took_away_leave_no_ghosts(
    rig: DeadLetterRig, sweep: LaneReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery_inference.sqs.dead_letters.redrive.YOUNG_SECONDS", -1.0)
    for task_id in ("one", "two"):
        rig.send(body_of(task_id), reason())
    sweep.run()
    rig.take(rig.lane.dead_letter_queue.name)
    rig.send(body_of("three"), reason())
    assert [sweep.due() for _ in range(10)] == [False] * 9 + [True]
    sweep.run()
    assert [entry.task_id for entry in rig.index.page(ALL).entries] == ["three"]
    assert not sweep.due()


def test_another_pass_over_the_same_letters_takes_none_for_a_copy(rig: DeadLetterRig, sweep: LaneReconciler) -> None:
    """As when somebody else holds a letter for a moment, and the sweep is to say which ones are gone."""
    for number in range(12):
        rig.send(body_of(f"r{number}"), reason())
    queue_url = rig.clients.queue_url(rig.lane.dead_letter_queue.name)
    rig.clients.client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=1, VisibilityTimeout=2)
    assert sweep.run(forget=True).deleted == 0
    assert (rig.dead(), rig.index.count(ALL)) == (12, 12)


def test_what_went_back_and_failed_again_in_one_pass_is_no_copy(
    rig: DeadLetterRig, sweep: LaneReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send(body_of("fast"))
    whole = ReconcilePass._bring_back

    def fails_again(self: ReconcilePass, scan: Any, letters: Any) -> Any:
        stay = whole(self, scan, letters)
        if letters:
            rig.send(body_of("fast"), reason("again"))
        return stay

    monkeypatch.setattr(ReconcilePass, "_bring_back", fails_again)
    assert sweep.run().deleted == 0
    assert [entry.error for entry in rig.index.page(ALL).entries] == ["again"]
    assert rig.dead() == 1


def test_letters_that_come_while_it_counts_are_no_difference(
    rig: DeadLetterRig, sweep: LaneReconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rig.queue.count

    def slowly() -> Any:
        counted = whole()
        rig.send(body_of(f"r{counted.total}"), reason())
        rig.index.add([entry for entry, _ in rig.queue.letters(ALL)])
        return counted

    monkeypatch.setattr(rig.queue, "count", slowly)
    assert not any(sweep.due() for _ in range(12))


@pytest.mark.parametrize("step", ["_bring_back", "_fail"])
def test_a_kill_in_mid_sweep_is_made_good_by_the_next(
    rig: DeadLetterRig, sweep: LaneReconciler, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    attempts(rig, "used", 4)
    rig.send(body_of("used"))
    rig.send(body_of("fresh"))
    whole = getattr(ReconcilePass, step)

    def dies(*args: Any) -> None:
        whole(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ReconcilePass, step, dies)
        with pytest.raises(KeyboardInterrupt):
            sweep.run()
    sweep.run()
    assert set(marks(rig.take())) == {"fresh"}
    assert rig.backend.get_state("used") == "FAILURE"
    assert [entry.task_id for entry in rig.index.page(ALL).entries] == ["used"]
    assert rig.dead() == 1


def test_fifo_letters_go_back_to_their_groups_under_a_new_deduplication_id(server: LocalServer, tmp_path: Path) -> None:
    rig = dead_letter_rig(server.endpoint_url, tmp_path, "ranks.fifo")
    app: Celery = rig.backend.app
    app._backend_cache = rig.backend
    app.conf.result_backend_thread_safe = True
    rig.clients.client.send_message(
        QueueUrl=rig.clients.queue_url("ranks-dlq.fifo"),
        MessageBody=body_of("one"),
        MessageGroupId="tenant-a",
        MessageDeduplicationId="one-0",
    )
    assert LaneReconciler(app, rig.queue).run().brought_back == 1
    (message,) = rig.take()
    assert message["Attributes"]["MessageGroupId"] == "tenant-a"
    assert message["Attributes"]["MessageDeduplicationId"] != "one-0"
