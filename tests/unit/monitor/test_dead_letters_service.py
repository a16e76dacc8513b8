"""What the dead-letters page reads: cut, withheld where it must be, and honest when a store is away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from celery_inference.sqs.dead_letters.entry import State
from celery_inference.sqs_local.child_process import LocalServer
from monitor.pages.dead_letters_service import (
    INPUT_CHARACTERS,
    DeadLetterService,
    UnknownDeadLetterError,
    cut,
    selection_of,
    wait_for,
)
from tests.support.letters import DeadLetterRig, body_of, reason
from tests.support.letters import dead_letter_rig as office_of


@pytest.fixture
def dead_letter_rig(tmp_path: Path) -> Iterator[DeadLetterRig]:
    with LocalServer() as server:
        yield office_of(server.endpoint_url, tmp_path)


def desk_of(dead_letter_rig: DeadLetterRig, keep: int = 0) -> DeadLetterService:
    app = Celery("letters", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.inference_keep_inputs = keep
    return DeadLetterService(app, lambda _: [dead_letter_rig.queue])


def taken_up(dead_letter_rig: DeadLetterRig) -> list[Any]:
    return [entry for entry, _ in dead_letter_rig.queue.letters(selection_of(dead_letter_rig.lane.name))]


def test_inputs_are_shown_as_far_as_the_setting_allows_and_cut(dead_letter_rig: DeadLetterRig) -> None:
    body = body_of("long").replace("private words of long", "x" * 100_000)
    dead_letter_rig.send(body, reason())
    (entry,) = taken_up(dead_letter_rig)
    assert desk_of(dead_letter_rig).show(dead_letter_rig.lane.name, entry.id).inputs is None
    few = desk_of(dead_letter_rig, 50).show(dead_letter_rig.lane.name, entry.id).inputs
    assert few is not None
    assert few.endswith("more characters")
    assert len(few) < 100
    most = desk_of(dead_letter_rig, 10**9).show(dead_letter_rig.lane.name, entry.id).inputs
    assert most is not None
    assert len(most) < INPUT_CHARACTERS + 100


def test_a_letter_that_is_no_message_is_shown_as_it_is(dead_letter_rig: DeadLetterRig) -> None:
    dead_letter_rig.send("\x09 rubbish <script>", reason(error_type="UndecodableMessage"))
    (entry,) = taken_up(dead_letter_rig)
    shown = desk_of(dead_letter_rig, 1_000).show(dead_letter_rig.lane.name, entry.id)
    assert shown.inputs is not None
    assert "rubbish <script>" in shown.inputs
    assert shown.headers == {}


def test_groups_are_redriven_and_single_letters_dropped(dead_letter_rig: DeadLetterRig) -> None:
    for number in range(4):
        dead_letter_rig.send(body_of(f"task-{number}"), reason(error_type="A" if number else "B"))
    taken_up(dead_letter_rig)
    service = desk_of(dead_letter_rig)
    seen = service.overview()
    groups, stops = seen.groups, seen.stops
    assert [(group.error_type, group.count) for group in groups] == [("A", 3), ("B", 1)]
    assert stops == []
    work = service.redrive(selection_of(dead_letter_rig.lane.name, error_type="A"), None)
    wait_for(work, 30)
    assert (work.ended, work.failure, work.progress.done) == (True, None, 3)
    (left,) = service.page(selection_of(dead_letter_rig.lane.name), None).entries
    wait_for(dropped := service.drop(selection_of(dead_letter_rig.lane.name, id=left.id)), 30)
    assert dropped.progress.done == 1
    assert service.overview().groups == []
    assert dead_letter_rig.index.find(left.id)[0].state is State.DROPPED
    assert [work.what for work in service.works] == [
        f"redrive of {dead_letter_rig.lane.name} error A",
        f"drop {left.id}",
    ]


def test_a_work_that_fails_says_so(dead_letter_rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr(dead_letter_rig.queue, "redrive", away)
    work = desk_of(dead_letter_rig).redrive(selection_of(dead_letter_rig.lane.name, id="any"), None)
    wait_for(work, 30)
    assert (work.ended, work.failure) == (True, "the store is away")


def test_unknown_letters_and_lanes_are_told() -> None:
    service = DeadLetterService(Celery("none", set_as_current=False), lambda _: [])
    with pytest.raises(UnknownDeadLetterError):
        service.show("nowhere", "x")


def test_what_is_cut_says_how_much_is_missing() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 3) == "abc\n… 3 more characters"
    assert json.dumps(cut("x" * 10_000, 5)).endswith('9,995 more characters"')
