"""A result store on a full disk, or locked: what is held is kept, nothing more is received, nothing runs twice."""

import resource
import sqlite3
import time
from collections import Counter
from pathlib import Path

from tests.chaos.test_attempts_under_kills import rig
from tests.support import outcome_app as program
from tests.support.outcome_rig import Rig, eventually

__all__ = ["rig"]

SECONDS = 60
REQUESTS = 12


def results_stored_outright(count: int) -> None:
    for number in range(count):
        program.app.backend.store_result(f"filler-{number}", "x" * 4_000, "SUCCESS")


def assert_each_ran_once(rig: Rig, ids: set[str]) -> None:
    runs = Counter({line: count for line, count in rig.runs().items() if line.split()[1] in ids})
    assert set(runs.values()) == {1}
    assert len(runs) == len(ids)


def test_a_full_disk_is_waited_for_with_the_results_in_hand(rig: Rig) -> None:
    results_stored_outright(100)  # so that the log of changes is longer than any other file of the worker
    worker = rig.worker().wait_until(lambda text: " ready." in text, SECONDS)
    before = program.add.delay(1, 1)
    assert before.get(timeout=SECONDS) == 2
    hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (200_000, hard))
    sent = [program.add.delay(number, 1) for number in range(REQUESTS)]
    eventually(lambda: "nothing more is received" in worker.text(), "the worker says nothing of its store")
    time.sleep(3.0)  # more than a lease
    assert not any(result.ready() for result in sent)
    assert sum(rig.runs().values()) <= 2, "one thread holds one result"
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert [result.get(timeout=SECONDS) for result in sent] == [number + 1 for number in range(REQUESTS)]
    eventually(lambda: rig.depths() == (0, 0), "something is left on the lane")
    assert_each_ran_once(rig, {result.id for result in sent})


def test_a_locked_store_delays_and_loses_nothing(rig: Rig) -> None:
    rig.worker().wait_until(lambda text: " ready." in text, SECONDS)
    assert program.add.delay(1, 1).get(timeout=SECONDS) == 2
    file = Path(program.app.backend.as_uri().removeprefix("sqlite:///"))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    sent = [program.add.delay(number, 1) for number in range(REQUESTS)]
    time.sleep(5.0)
    other.execute("COMMIT")
    other.close()
    assert [result.get(timeout=SECONDS) for result in sent] == [number + 1 for number in range(REQUESTS)]
    assert_each_ran_once(rig, {result.id for result in sent})
