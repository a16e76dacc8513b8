"""Errors say whose turn it is, options are checked, faults are logged rarely, delays are SQS's."""

import logging
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError
from kombu.exceptions import OperationalError

from celery_inference.sqs.api import backoff
from celery_inference.sqs.api.fault_log import FaultLog
from celery_inference.sqs.errors import (
    DeniedError,
    MessageTooLargeError,
    OptionError,
    QueueMissingError,
    RefusedError,
    SqsError,
    UnavailableError,
    classify,
)
from celery_inference.sqs.lanes import LANES, DeclaredQueue, Lane, lane_of
from celery_inference.sqs.messages import delays
from celery_inference.sqs.options import TransportOptions, read_options


def answer(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "X")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (answer("AWS.SimpleQueueService.NonExistentQueue"), QueueMissingError),
        (answer("QueueDoesNotExist"), QueueMissingError),
        (answer("AccessDenied", 403), DeniedError),
        (answer("KMS.AccessDeniedException"), DeniedError),
        (answer("ExpiredToken", 403), UnavailableError),
        (answer("SignatureDoesNotMatch", 403), UnavailableError),
        (answer("RequestThrottled", 403), UnavailableError),
        (answer("InternalFailure", 500), UnavailableError),
        (answer("anything", 502), UnavailableError),
        (answer("429", 429), UnavailableError),
        (answer("", 404), UnavailableError),
        (answer("InvalidParameterValue"), RefusedError),
        (answer("KMS.DisabledException"), RefusedError),
        (NoCredentialsError(), UnavailableError),
        (ConnectTimeoutError(endpoint_url="x"), UnavailableError),
        (ConnectionResetError(), UnavailableError),
        (KeyError("a parser stumbled"), UnavailableError),
    ],
)
def test_what_botocore_raises_is_an_error_of_ours(raised: Exception, expected: type[SqsError]) -> None:
    error = classify(raised, "SendMessage", "work")
    assert type(error) is expected
    assert isinstance(error, OperationalError)
    assert "SendMessage" in str(error)
    assert "work" in str(error)


def test_errors_survive_pickling() -> None:
    for error in (UnavailableError("SendMessage", "work", "x"), MessageTooLargeError("work", 5, 4)):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"wait_time_second": 1}, "did you mean 'wait_time_seconds'"),
        ({"zzz": 1}, "known are broadcast_prefix, call_timeout_seconds"),
        ({"wait_time_seconds": 21}, "allowed are 0 to 20"),
        ({"lease_seconds": "30"}, "allowed are 2 to 43200"),
        ({"lease_seconds": True}, "allowed are"),
        ({"weights": {"work": 0}}, "weights\\['work'\\]"),
    ],
)
def test_wrong_options_are_refused_with_what_is_right(given: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        read_options(given)


def test_kombu_s_own_options_are_let_through() -> None:
    assert read_options({"max_retries": 3, "interval_start": 0, "region": None}) == TransportOptions()


def test_a_fault_is_logged_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    faults = FaultLog(repeat_seconds=60)
    with caplog.at_level(logging.INFO, "sqs"):
        faults.succeeded("x")
        for _ in range(100):
            faults.failed("x", "boom")
        faults.succeeded("x")
        faults.succeeded("x")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "after 100 faults" in caplog.text


def test_a_long_fault_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    faults = FaultLog(repeat_seconds=0)
    for _ in range(3):
        faults.failed("x", "boom")
    assert "x has failed 3 times" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-5, 0), (0, 0), (0.4, 1), (5, 5), (899.5, 900), (900, 900), (5_000, 900)]
)
def test_an_eta_is_a_delay_of_sqs(seconds: float, expected: int) -> None:
    now = datetime.now(UTC)
    headers = {"eta": (now + timedelta(seconds=seconds)).isoformat()}
    assert delays.delay_seconds(delays.seconds_left(headers, now)) == expected


@pytest.mark.parametrize("eta", [None, 5, "", "tomorrow", "2999"])
def test_an_eta_that_cannot_be_read_is_none(eta: object) -> None:
    assert delays.seconds_left({"eta": eta}) == 0


def test_a_naive_eta_is_utc() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert delays.seconds_left({"eta": "2026-01-01T00:01:00"}, now) == 60


def test_backoff_grows_to_its_cap_and_never_beyond() -> None:
    draws = [backoff.full_jitter(tries, base_seconds=1, cap_seconds=60) for tries in range(1, 200)]
    assert all(0 <= draw <= 60 for draw in draws)
    assert max(draws[:1]) <= 1
    assert max(draws[20:]) > 30
    assert all(0 <= backoff.release_delay(count) <= 300 for count in range(1, 50))


def test_a_lane_is_found_by_either_queue() -> None:
    (lane,) = LANES[:1]
    assert lane_of(lane.queue.name) is lane
    assert lane_of(lane.dead_letter_queue.name) is lane
    assert lane_of("elsewhere") is None
    assert Lane(DeclaredQueue("a.fifo"), DeclaredQueue("b.fifo")).queue.attributes()["FifoQueue"] == "true"
