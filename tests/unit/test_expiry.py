"""Requests end before SQS drops their messages, and are warned of before that."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import TimeoutError as CeleryTimeoutError

from celery_inference.client.async_results.async_result import GRACE_SECONDS, LaneResult
from celery_inference.client.expiry import (
    deadline_seconds,
    instant,
    losing,
    seconds_until_due,
)
from celery_inference.errors import RequestExpired
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.sqs.lanes import DeclaredQueue, Lane
from tasks.resilience.request_ages import RequestAges, warning_of
from tests.support.lanes import INFERENCE

DAY = 86_400


def lane(retention_seconds: int) -> Lane:
    return Lane(DeclaredQueue("short", retention_seconds=retention_seconds), DeclaredQueue("short-dlq"))


@pytest.fixture
def backend(tmp_path: Path) -> SQLiteBackend:
    app = Celery("retention", set_as_current=False)
    app.conf.update(result_serializer="json", accept_content=["json"])
    return SQLiteBackend(app=app, url=f"sqlite:///{tmp_path / 'results.sqlite'}")


def result_of(backend: SQLiteBackend, deadline: float) -> LaneResult:
    result = LaneResult("one", backend=backend, app=backend.app)
    result.deadline = deadline
    return result


@pytest.mark.parametrize(("retention", "deadline"), [(DAY, DAY - 3_600), (14 * DAY, 14 * DAY - 3_600), (60, 30)])
def test_the_deadline_is_well_before_the_message_is_dropped(retention: int, deadline: float) -> None:
    assert deadline_seconds(lane(retention)) == deadline
    assert deadline_seconds(INFERENCE) < INFERENCE.queue.retention_seconds


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # the host's is nobody's business
    time.tzset()
    try:
        noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
        for when in ("2026-11-28T12:00:00", noon.replace(tzinfo=None), "2026-11-28T21:00:00+09:00", noon):
            assert instant(when) == noon.timestamp()
        assert instant(None) is None
        soon = (datetime.now(UTC) + timedelta(seconds=90)).replace(tzinfo=None)
        for eta in (soon, soon.isoformat()):
            assert 80 < seconds_until_due(None, eta) <= 90
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_result_is_waited_for_as_celerys_is(backend: SQLiteBackend) -> None:
    backend.store_result("one", 42, "SUCCESS")
    assert result_of(backend, time.time() + 60).get(5, True, 0.1) == 42
    assert LaneResult("one", backend=backend, app=backend.app).get(5, True) == 42


def test_warnings_begin_at_half_the_retention_and_say_when_messages_are_lost() -> None:
    sent_at = 1_800_000_000.0
    assert warning_of(lane(DAY), sent_at, sent_at + DAY / 2 - 1) is None
    assert warning_of(lane(DAY), 0.0, sent_at) is None, "SQS did not say when it was sent"
    warning = warning_of(lane(DAY), sent_at, sent_at + DAY / 2)
    assert warning is not None
    assert "12.0 h old" in warning
    assert losing(lane(DAY), sent_at) == (
        "they expire from 2027-01-16 07:00 UTC on, and SQS drops them from 2027-01-16 08:00 UTC on"
    )


def test_a_stopped_lane_loses_first_what_is_about_as_old_as_what_was_received_last() -> None:
    other = Lane(DeclaredQueue("own", retention_seconds=DAY), DeclaredQueue("own-dlq"))
    now = time.time()
    ages = RequestAges()
    assert ages.oldest_waiting(other, now) == now
    ages.record_receipt(other, now - 5_000)
    ages.record_receipt(other, 0.0)
    assert ages.oldest_waiting(other, now) == now - 5_000
    assert losing(other, ages.oldest_waiting(other, now)) == losing(other, now - 5_000)


def test_who_waits_for_a_request_that_nobody_began_is_told_that_it_expired(backend: SQLiteBackend) -> None:
    result = result_of(backend, time.time() + 60)
    assert result.state == "PENDING"
    result.deadline = time.time() - GRACE_SECONDS + 0.3
    with pytest.raises(RequestExpired):
        result.get(timeout=60)
    assert result.state == "REVOKED"
    backend.store_result("one", "late", "SUCCESS")
    assert LaneResult("one", backend=backend, app=backend.app).state == "REVOKED", "there is one outcome"


def test_the_deadline_of_what_was_sent_first_does_not_end_what_was_sent_again(backend: SQLiteBackend) -> None:
    backend.store_result("one", ValueError("bad"), "FAILURE")
    backend.store.open_generations([("one", 1)])
    result = result_of(backend, 1.0)
    assert result.state == "PENDING"
    with pytest.raises(CeleryTimeoutError):
        result.get(timeout=0.05)
    backend.store_result("one", 5, "SUCCESS", request=Context({"inference_generation": 1}))
    assert result.get(timeout=60) == 5


def test_the_state_alone_says_it_too_and_an_outcome_that_is_there_stays(backend: SQLiteBackend) -> None:
    assert result_of(backend, 1.0).state == "REVOKED"
    backend.store_result("two", 5, "SUCCESS")
    done = LaneResult("two", backend=backend, app=backend.app)
    done.deadline = 1.0
    assert done.get(timeout=60) == 5
