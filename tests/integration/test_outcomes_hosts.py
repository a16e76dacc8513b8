"""Workers beside each other: what fails on one and not on the others is its fault; and lanes of their own rules."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_inference.specs.errors import InvalidInput
from tests.support import outcome_app as program
from tests.support.outcome_rig import SECONDS, Rig, eventually, started


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with started(tmp_path) as rig:
        yield rig


def runs_on(rig: Rig, worker: str) -> int:
    return sum(count for line, count in rig.runs().items() if f" {worker}@" in line)


def test_a_host_that_fails_far_more_than_its_peer_stops_receiving_and_costs_nobody_an_outcome(rig: Rig) -> None:
    sick, well = rig.worker(OUTCOME_SICK="1"), rig.worker()
    for worker in (sick, well):
        worker.wait_until(lambda text: " ready." in text, SECONDS)
    results = [program.fickle.delay() for _ in range(150)]
    sick.wait_until(lambda text: "this host is at fault" in text, SECONDS)
    assert [line for line in sick.text().splitlines() if "ERROR" in line and "nothing more is received" in line]
    assert all("w2@" in result.get(timeout=SECONDS) for result in results)
    failed = runs_on(rig, "w1")
    assert failed >= 20
    later = [program.fickle.delay() for _ in range(20)]
    assert all("w2@" in result.get(timeout=SECONDS) for result in later)
    assert runs_on(rig, "w1") == failed, "it has received nothing more"
    assert "at fault" not in well.text()
    eventually(lambda: rig.depths() == (0, 0), "something is left, or a dead letter")


def test_a_last_attempt_is_left_to_a_host_that_has_not_failed_it(rig: Rig) -> None:
    well = rig.worker()
    assert program.fickle.delay().get(timeout=SECONDS), "so that another host is known"
    well.kill()
    sick = rig.worker(OUTCOME_SICK="1")
    result = program.fickle.delay()
    sick.wait_until(lambda text: "its last attempt is left to another host" in text, SECONDS)
    assert result.state == "RETRY"
    assert runs_on(rig, "w2") == 3
    sick.stop()
    rig.worker()
    assert "w3@" in result.get(timeout=SECONDS)


def test_a_lane_may_want_no_letters_of_what_its_callers_got_wrong(rig: Rig) -> None:
    rig.worker(OUTCOME_INVALID_INPUT="fail", OUTCOME_SICK="1")
    misfit = program.app.send_task(program.add.name, args=[1])
    with pytest.raises(InvalidInput, match="arguments do not fit"):
        misfit.get(timeout=SECONDS)
    assert misfit.state == "FAILURE"
    eventually(lambda: rig.depths() == (0, 0), "a dead letter of what the caller got wrong")
    with pytest.raises(ConnectionError):
        program.fickle.delay().get(timeout=SECONDS)
    eventually(lambda: rig.depths() == (0, 1), "no dead letter of what is nobody's fault")
