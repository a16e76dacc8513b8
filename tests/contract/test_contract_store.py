"""What every store promises; run against each implementation at hand."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import Celery
from celery.app.task import Context

from celery_inference.results.access import index_of, store_of
from celery_inference.results.protocol import Chord, Start, Submission
from celery_inference.results.store.store import ResultStore
from tests.support.stores import Make, backend, make, moto, redis_server, store

__all__ = ["backend", "make", "moto", "redis_server", "store"]


def start(task_id: str, delivery: str, *, generation: int = 0, host: str = "one") -> Start:
    return Start(task_id, generation, delivery, host)


def of_generation(generation: int) -> Context:
    return Context({"inference_generation": generation})


def test_attempts_are_counted_once_a_delivery_and_by_generation(store: ResultStore) -> None:
    assert store.begin_attempts([start("a", "m.1"), start("b", "n.1")]) == [1, 1]
    assert store.begin_attempts([start("a", "m.1")]) == [1], "told twice"
    assert store.begin_attempts([start("a", "m.2", host="two"), start("a", "m.2", generation=1)]) == [2, 1]
    found = store.attempts([("a", 0), ("a", 1), ("b", 0), ("c", 0)])
    assert {key: attempts.count for key, attempts in found.items()} == {("a", 0): 2, ("a", 1): 1, ("b", 0): 1}
    assert found["a", 0].hosts == ("one", "two")
    assert store.hosts(0) == {"one", "two"}
    assert store.hosts(2e10) == set()


def test_an_attempt_that_was_cut_off_is_uncounted_once(store: ResultStore) -> None:
    store.begin_attempts([start("a", "m.1"), start("b", "n.1")])
    store.begin_attempts([start("a", "m.2", host="two")])
    store.take_back_attempts([start("a", "m.1"), start("never", "x")])
    assert store.attempts([("a", 0)])["a", 0].count == 2, "that delivery's is not the last one"
    store.take_back_attempts([start("a", "m.2")])
    store.take_back_attempts([start("a", "m.2")])
    assert store.attempts([("a", 0)])["a", 0].hosts == ("one",)
    assert store.begin_attempts([start("a", "m.2")]) == [2]


def test_a_final_state_ends_the_account_of_attempts(store: ResultStore, backend: Any) -> None:
    store.begin_attempts([start("a", "m.1")])
    backend.store_result("a", ValueError("busy"), "RETRY", request=of_generation(0))
    assert store.attempts([("a", 0)])
    backend.store_result("a", 1, "SUCCESS", request=of_generation(0))
    assert not store.attempts([("a", 0)])


def test_many_threads_count_one_request_without_a_gap(store: ResultStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda n: store.begin_attempts([start("a", f"m.{n}")])[0], range(24)))
    assert sorted(numbers) == list(range(1, 25))


def test_a_new_generation_begins_pending_and_keeps_the_old_outcome(store: ResultStore, backend: Any) -> None:
    backend.store_result("a", ValueError("bad"), "FAILURE", request=of_generation(0))
    store.open_generations([("a", 1), ("unknown", 3)])
    backend._cache.clear()
    assert (backend.get_state("a"), backend.get_state("unknown")) == ("PENDING", "PENDING")
    assert store.generations(["a", "unknown", "never"]) == {"a": 1, "unknown": 3}
    (old,) = store.past_outcomes("a").items()
    assert (old[0], json.loads(old[1])["status"]) == (0, "FAILURE")
    store.open_generations([("a", 1), ("a", 0)])
    assert store.generations(["a"]) == {"a": 1}


def test_what_comes_late_from_an_old_generation_changes_nothing(store: ResultStore, backend: Any) -> None:
    backend.store_result("a", ValueError("bad"), "FAILURE", request=of_generation(0))
    store.open_generations([("a", 1)])
    backend.store_result("a", "late", "SUCCESS", request=of_generation(0))
    assert backend.get_state("a") == "PENDING"
    backend.store_result("a", "new", "SUCCESS", request=of_generation(1))
    store.open_generations([("a", 1)])
    backend._cache.clear()
    assert backend.get_result("a") == "new"


def test_a_generation_that_nobody_opened_begins_with_its_first_state(store: ResultStore, backend: Any) -> None:
    """As when SQS moved the letter by itself."""
    backend.store_result("a", ValueError("bad"), "FAILURE", request=of_generation(0))
    backend.store_result("a", 5, "SUCCESS", request=of_generation(1))
    assert backend.get_result("a") == 5
    assert list(store.past_outcomes("a")) == [0]


def test_who_knows_no_generation_means_the_present_one(store: ResultStore, backend: Any) -> None:
    store.open_generations([("a", 2)])
    backend.store_result("a", 1, "SUCCESS")
    backend.store_result("a", 2, "SUCCESS")
    assert backend.get_result("a") == 1
    assert store.generations(["a"]) == {"a": 2}


def test_a_tombstone_stays_until_its_time_is_over(store: ResultStore) -> None:
    store.cancel(["a", "b"], 60)
    store.cancel(["over"], -1)
    assert store.cancelled(["a", "b", "c", "over"]) == {"a", "b"}
    assert store.cancelled([]) == set()


def test_a_lease_is_one_holders_until_it_ends(store: ResultStore) -> None:
    assert store.hold("sweep", "first", 60)
    assert not store.hold("sweep", "second", 60)
    assert store.hold("sweep", "first", 60)
    store.let_go("sweep", "second")
    assert not store.hold("sweep", "second", 60)
    store.let_go("sweep", "first")
    assert store.hold("sweep", "second", -1)
    assert store.hold("sweep", "third", 60), "the second's has ended"


def test_of_many_that_want_a_lease_one_gets_it(store: ResultStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda n: store.hold("sweep", str(n), 60), range(24))) == 1


def test_killers_are_known_by_their_digest(store: ResultStore) -> None:
    store.record_poison_input("d1", "it ended the device process", 60)
    store.record_poison_input("d2", "long ago", -1)
    assert store.poison_inputs(["d1", "d2", "d3"]) == {"d1": "it ended the device process"}


def test_a_chords_parts_are_a_set(store: ResultStore) -> None:
    assert store.end_part("g", "a", 2) is Chord.RUNNING
    assert store.end_part("g", "a", 2) is Chord.RUNNING, "told twice"
    assert store.end_part("other", "b", 2) is Chord.RUNNING
    assert store.end_part("g", "b", 2) is Chord.ENDED
    assert store.end_part("g", "a", 2) is Chord.ENDED
    store.close_chord("g")
    store.close_chord("g")
    assert store.end_part("g", "b", 2) is Chord.CLOSED


def test_of_parts_that_end_at_once_the_last_one_sees_it(store: ResultStore) -> None:
    names = [str(number) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda name: store.end_part("g", name, len(names)), names))
    assert Chord.ENDED in seen
    assert store.end_part("h", "0", 1) is Chord.ENDED


def test_one_submitter_sends_and_a_dead_one_blocks_nobody(store: ResultStore) -> None:
    assert store.claim_submission("a", "first", 60) is Submission.OURS
    assert store.claim_submission("a", "second", 60) is Submission.ANOTHERS
    store.confirm_submission("a", 60)
    assert store.claim_submission("a", "second", 60) is Submission.SENT
    assert store.claim_submission("b", "dead", -1) is Submission.OURS
    assert store.claim_submission("b", "second", 60) is Submission.OURS


def test_more_keys_than_one_call_takes_are_asked_for_at_once(store: ResultStore, backend: Any) -> None:
    many = 1_200 if backend.as_uri().startswith("sqlite") else 230
    store.begin_attempts([start(f"t{number}", "m") for number in range(many)])
    assert len(store.attempts([(f"t{number}", 0) for number in range(many)])) == many
    store.cancel([f"t{number}" for number in range(many)], 60)
    assert len(store.cancelled([f"t{number}" for number in range(many)])) == many


def test_what_one_process_writes_the_others_read(make: Make) -> None:
    here, there = make(), make()
    here.store.begin_attempts([start("a", "m.1")])
    assert there.store.begin_attempts([start("a", "m.2", host="two")]) == [2]
    assert here.store.hold("sweep", "here", 60)
    assert not there.store.hold("sweep", "there", 60)
    here.store_result("a", 1, "SUCCESS", request=of_generation(0))
    there.store_result("a", 2, "SUCCESS", request=of_generation(0))
    assert there.get_result("a") == 1


def test_figures_of_hosts_are_by_minutes(store: ResultStore) -> None:
    store.begin_attempts([start(str(number), "m", host="one") for number in range(5)])
    store.record_failures("one", 2)
    store.record_failures("two", 1)
    figures = store.host_counts(0)
    assert {host: (each.started, each.failed) for host, each in figures.items()} == {"one": (5, 2), "two": (0, 1)}
    assert store.host_counts(2e10) == {}
    assert store.hosts(0) == {"one"}


def test_attempts_of_what_has_expired_do_not_count_for_its_id_s_next_life(make: Make) -> None:
    """As when a deduplication key is used again, whose result was kept for long enough."""
    backend = make(expires=-1)
    for life in range(3):
        assert backend.store.begin_attempts([start("a", f"m{life}.1")]) == [1]
        assert backend.store.attempts([("a", 0)])["a", 0].count == 1
        backend.store_result("a", life, "SUCCESS", request=of_generation(0))
        assert backend.store.attempts([("a", 0)]) == {}


def test_ids_may_hold_anything(store: ResultStore, backend: Any) -> None:
    names = ["o'brien", 'quo"te', "a#b#c", "ünïcode ☃", "-", "x" * 500, "y" * 5_000, "new\nline", "a b"]
    assert store.begin_attempts([start(name, "m.1", host=name[:99]) for name in names]) == [1] * len(names)
    assert set(store.attempts([(name, 0) for name in names])) == {(name, 0) for name in names}
    for name in names:
        backend.store_result(name, name, "SUCCESS")
        assert backend.get_result(name) == name
    store.cancel(names, 60)
    assert store.cancelled(names) == set(names)
    assert store.hosts(0) == {name[:99] for name in names}
    for name in names:
        assert store.hold(name, "holder", 60)
        assert store.end_part(name, name, 2) is Chord.RUNNING
        assert store.claim_submission(name, "me", 60) is Submission.OURS


def test_the_application_reaches_its_store_and_index(store: ResultStore, backend: Any) -> None:
    app = Celery("reach", backend="cache+memory://", set_as_current=False)
    assert store_of(app) is None
    assert index_of(app) is None
    app._backend_cache = backend
    assert store_of(app) is store
    assert index_of(app) is backend.dead_letters
