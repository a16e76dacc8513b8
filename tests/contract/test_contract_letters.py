"""What every index of dead letters promises; run against each store at hand."""

import time
from dataclasses import replace

import pytest

from celery_inference.sqs.dead_letters.entry import Entry, State
from celery_inference.sqs.dead_letters.index import DeadLetterIndex, LanePause, Marking, Selection
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.lanes import Lane
from celery_inference.sqs.messages.reason import Cause
from tests.support.letters import body_of, lane_named, reason
from tests.support.stores import backend, index, make, moto, redis_server

__all__ = ["backend", "index", "make", "moto", "redis_server"]

LANE, OTHER = lane_named("work"), lane_named("other")


def letter(task_id: str, *, ago: float = 0.0, lived: float = 0.0, lane: Lane = LANE, **values: object) -> Entry:
    why = reason(**values, failed_at=time.time() - ago)
    return Entry.of(DeadLetter("m-" + task_id, body_of(task_id), {}, why, 1, time.time() - lived), lane)


def test_a_letter_is_named_after_its_request_and_what_it_says() -> None:
    entry = letter("one")
    assert entry.id.startswith("one.")
    assert (entry.task_id, entry.task, entry.model) == ("one", "celery_inference.feature_extraction", "small")
    noise = Entry.of(DeadLetter("m", "noise", {}, None, 1, time.time()), LANE)
    assert (noise.id, noise.task_id, noise.cause) == ("m", None, Cause.UNREADABLE)
    silent = Entry.of(DeadLetter("m", body_of("one"), {}, None, 1, time.time()), LANE)
    assert (silent.task_id, silent.cause) == ("one", Cause.LOST)


def test_copies_of_a_letter_are_one_and_strangers_with_its_task_id_are_not() -> None:
    first = Entry.of(DeadLetter("m1", body_of("one"), {}, reason(), 1, 1.0), LANE)
    copy = Entry.of(DeadLetter("m2", body_of("one"), {}, reason("another text"), 1, 2.0), LANE)
    stranger = Entry.of(DeadLetter("m3", body_of("one", model="other"), {}, reason(), 1, 1.0), LANE)
    later = Entry.of(DeadLetter("m4", body_of("one"), {}, reason(generation=1), 1, 1.0), LANE)
    assert first.id == copy.id
    assert len({first.id, stranger.id, later.id}) == 3


def test_letters_are_grouped_with_counts_and_ages(index: DeadLetterIndex) -> None:
    index.add([letter(f"a{number}", ago=100 - number, message=f"text {number}") for number in range(3)])
    index.add([letter("b", error_type="KeyError", cause=Cause.CRASH), letter("c", model=None)])
    groups = index.groups()
    assert (groups[0].cause, groups[0].error_type, groups[0].model) == ("attempts-used-up", "ValueError", "small")
    assert groups[0].count == 4
    # The newest is made last, and how long that took is in it.
    assert 100 <= groups[0].newest_at - groups[0].oldest_at < 160
    assert {group.error_type for group in groups} == {"ValueError", "KeyError"}
    assert index.groups("nowhere") == []


def test_pages_give_each_letter_once_newest_first(index: DeadLetterIndex) -> None:
    index.add([letter(f"r{number}", ago=number // 3) for number in range(25)])
    seen: list[Entry] = []
    after = None
    while True:
        page = index.page(Selection(lane="work"), after=after, limit=4)
        seen += page.entries
        after = page.after
        if after is None:
            break
    assert sorted(entry.task_id or "" for entry in seen) == sorted(f"r{number}" for number in range(25))
    assert [entry.failed_at for entry in seen] == sorted((entry.failed_at for entry in seen), reverse=True)


def test_what_is_gone_is_remembered_but_not_listed(index: DeadLetterIndex) -> None:
    index.add([letter("one"), letter("two")])
    gone = letter("one")
    index.mark("work", [Marking(gone.id, State.REDRIVEN)])
    assert index.count(Selection()) == 1
    assert index.known("work", [gone.id])[gone.id].state is State.REDRIVEN
    index.add([gone])
    assert index.count(Selection()) == 1
    index.add([gone], again=True)
    assert index.count(Selection()) == 2


def test_a_letter_that_sqs_has_dropped_leaves_the_index(index: DeadLetterIndex) -> None:
    retention = LANE.dead_letter_queue.retention_seconds
    index.add([letter("old", lived=retention + 1), letter("new", lived=retention - 60)])
    assert [entry.task_id for entry in index.page(Selection()).entries] == ["new"]
    assert sum(group.count for group in index.groups()) == 1


@pytest.mark.parametrize("name", ["one", "m-one", None])
def test_a_letter_is_found_by_each_of_its_names(index: DeadLetterIndex, name: str | None) -> None:
    entry = letter("one")
    index.add([replace(entry, message_id="m-one")])
    assert [found.id for found in index.find(name or entry.id)] == [entry.id]
    assert index.find("'; DROP TABLE letters; --") == []


def test_selections_fit_alike_in_the_index_and_in_memory(index: DeadLetterIndex) -> None:
    entries = [
        letter("one"),
        letter("two", error_type="KeyError"),
        letter("three", model="large", cause=Cause.CRASH, ago=50),
    ]
    index.add(entries)
    for selection in (
        Selection(),
        Selection(ids=frozenset({"one", entries[1].id, "nobody"})),
        Selection(cause="crash"),
        Selection(model="large"),
        Selection(error_type="KeyError", model="small"),
        Selection(until=time.time() - 20),
        Selection(lane="other"),
    ):
        expected = {entry.id for entry in entries if selection.matches(entry)}
        assert {entry.id for entry in index.page(selection).entries} == expected
        assert index.count(selection) == len(expected)


def test_a_stopped_lane_stays_so_until_it_is_resumed(index: DeadLetterIndex) -> None:
    index.pause(LanePause("work", 100.0, "w1", "too much"))
    index.pause(LanePause("work", 90.0, "w2", "an older one"))
    assert index.pauses() == [LanePause("work", 100.0, "w1", "too much")]
    assert index.resume("work")
    assert not index.resume("work")
    assert index.pauses() == []


def test_only_what_a_deployment_can_be_guilty_of_is_counted_for_a_pause(index: DeadLetterIndex) -> None:
    index.add([letter(str(cause), cause=cause) for cause in Cause])
    index.add([letter("long ago", ago=4_000)])
    assert index.failures_since("work", time.time() - 3_600) == sum(cause.stops_lane for cause in Cause) == 4


def test_letters_of_other_versions_are_read(index: DeadLetterIndex) -> None:
    earlier = letter("earlier", cause=Cause.INVALID_INPUT, error_type="InputFailed")
    index.add([earlier, letter("later", cause="of-tomorrow")])
    causes = {entry.task_id: entry.cause for entry in index.page(Selection()).entries}
    assert causes == {"earlier": Cause.MODEL_FAILED, "later": Cause.REJECTED}


def test_lanes_are_listed_together_newest_first_and_each_by_itself(index: DeadLetterIndex) -> None:
    index.add([letter(f"w{number}", ago=2 * number) for number in range(5)])
    index.add([letter(f"o{number}", ago=2 * number + 1, lane=OTHER) for number in range(5)])
    index.add([letter("oldest", ago=100, lane=OTHER)])
    first = index.page(Selection(), limit=4)
    rest = index.page(Selection(), after=first.after, limit=100)
    entries = [*first.entries, *rest.entries]
    assert [entry.failed_at for entry in entries] == sorted((entry.failed_at for entry in entries), reverse=True)
    assert (len(entries), rest.after) == (11, None)
    assert {group.lane: group.count for group in index.groups()} == {"work": 5, "other": 6}
    assert [entry.lane for entry in index.find("o1")] == ["other"]
    assert index.find("o1", "work") == []
    assert (index.count(Selection()), index.count(Selection(lane="work"))) == (11, 5)


def test_states_and_targets_are_set_and_counted(index: DeadLetterIndex) -> None:
    one, two = letter("one"), letter("two")
    index.add([one, two])
    index.mark("work", [Marking(one.id, State.SENDING, "elsewhere", "tasks.other"), Marking("unknown", State.SENT)])
    known = index.known("work", [one.id, two.id, "unknown"])
    assert known == {one.id: replace(one, state=State.SENDING, to_lane="elsewhere", to_task="tasks.other"), two.id: two}
    assert index.count(Selection(lane="work", state=frozenset({State.SENDING}))) == 1
    index.mark("work", [Marking(one.id, State.WAITING)])
    assert index.known("work", [one.id]) == {one.id: one}
    index.forget("work", [one.id, "unknown"])
    assert [entry.id for entry in index.page(Selection()).entries] == [two.id]


def test_a_page_that_nobody_gave_is_refused(index: DeadLetterIndex) -> None:
    index.add([letter("one")])
    with pytest.raises(ValueError, match=r"."):
        index.page(Selection(), after="nonsense")


def test_more_letters_than_one_call_takes(index: DeadLetterIndex) -> None:
    index.add([letter(f"r{number}", ago=number % 7) for number in range(60)], again=True)
    ids = [entry.id for entry in index.page(Selection(), limit=1_000).entries]
    assert len(set(ids)) == 60
    index.forget("work", ids[:50])
    assert index.count(Selection(lane="work")) == index.count(Selection(cause="attempts-used-up")) == 10
