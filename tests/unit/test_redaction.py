"""What logs, events, dead letters and pages may show of an error while inputs are withheld."""

import json
import logging
from typing import Any

import pytest
from celery.app.trace import LOG_FAILURE
from celery.app.trace import logger as tracer

from celery_inference.errors import DeviceCrash, InvalidInput
from celery_inference.redaction import TextFilter, told, traceback_of
from celery_inference.sqs.messages.reason import Reason
from tasks.patches.celery_trace_log import withhold_error

SECRET = "SECRET-7f3a9c"


class Odd(Exception):
    """An error that quotes in every way that Python has."""

    def __str__(self) -> str:
        return f"str {SECRET}"

    def __repr__(self) -> str:
        return f"Odd({SECRET})"


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        try:
            raise LookupError(f"before, {SECRET}")
        except LookupError:
            raise error from cause
    except BaseException as caught:
        return caught


def errors() -> list[BaseException]:
    noted = ValueError(SECRET)
    noted.add_note(SECRET)
    grouped = ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])
    cycle = raised(ValueError(SECRET))
    cycle.__context__ = cycle
    return [
        raised(ValueError(SECRET)),
        raised(noted),
        raised(Odd(), raised(KeyError(SECRET))),
        raised(grouped),
        raised(FileNotFoundError(2, "no such file", SECRET)),
        raised(UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET)),
        raised(SyntaxError(SECRET, (SECRET, 1, 1, SECRET))),
        raised(InvalidInput("inputs is an empty text"), ValueError(SECRET)),
        cycle,
    ]


@pytest.mark.parametrize("error", errors(), ids=lambda each: type(each).__name__)
def test_class_and_frames_are_told_and_no_text_of_others(error: BaseException) -> None:
    text = traceback_of(error, 0)
    assert type(error).__name__ in text
    assert "in raised" in text
    shown = told(error, 0)
    for said in (text, str(shown), repr(shown), str(vars(shown)), str(shown.args)):
        assert SECRET not in said
    assert told(error, 100) is error


def test_our_own_sentences_and_the_systems_are_told() -> None:
    assert str(told(InvalidInput("inputs is an empty text"), 0)) == "inputs is an empty text"
    assert str(told(FileNotFoundError(2, SECRET), 0)) == "No such file or directory"
    crash = DeviceCrash("inputs ended the device process")
    crash.take_facts({"model_traceback": "its frames"})
    assert "its frames" in traceback_of(crash, 0)


def test_a_log_line_tells_errors_as_they_may_be_told(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tests.redaction")
    caplog.handler.addFilter(TextFilter(0))
    try:
        for error in errors():
            log.error("it failed: %r, %s", error, error, exc_info=error)
        logging.getLogger("botocore.endpoint").debug("body %s", SECRET)
    finally:
        caplog.handler.filters.clear()
    assert caplog.text.count("Traceback") >= len(errors())
    assert SECRET not in caplog.text
    assert all(SECRET not in str(vars(record)) for record in caplog.records)


def test_errors_are_told_wherever_a_log_line_has_them(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tests.redaction")
    deep: list[Any] = [ValueError(SECRET)]
    for _ in range(20):
        deep = [deep]
    caplog.handler.addFilter(TextFilter(0))
    try:
        for error in errors():
            log.error(error)
            log.error("it failed: %(error)s", {"error": error})
            log.error("they failed: %r, %r", [error, ("a part", {"of": error})], {error})
            log.error("it failed", extra={"why": error, "all": [error]})
        log.error("they failed: %r, %s", deep, ("no error", {"number": 5}))
    finally:
        caplog.handler.filters.clear()
    assert SECRET not in caplog.text
    assert all(SECRET not in str(vars(record)) for record in caplog.records)
    assert caplog.messages[-1].endswith("('no error', {'number': 5})")


def test_a_chain_of_any_length_and_the_parts_of_a_group_are_told() -> None:
    chained: Exception = ValueError(SECRET)
    for _ in range(3_000):
        after = ValueError(SECRET)
        after.__context__ = chained
        chained = after
    assert traceback_of(chained, 0).count("ValueError: (withheld)") == 51
    group = BaseExceptionGroup(
        SECRET, [raised(KeyError(SECRET)), BaseExceptionGroup(SECRET, [raised(OSError(2, SECRET))])]
    )
    text = traceback_of(group, 0)
    assert SECRET not in text
    assert "KeyError: '(withheld)'" in text or "KeyError: (withheld)" in text
    assert "No such file or directory" in text
    assert text.count("in raised") >= 2


def test_what_celerys_tracer_says_of_an_error_is_no_text_of_a_tasks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[logging.LogRecord] = []
    monkeypatch.setattr(tracer, "handle", seen.append)
    for error, exc_info in ((raised(Odd()), True), (Odd(), False), (InvalidInput("a sentence"), False)):
        said = {"name": "task", "id": "1", "description": "raised", "exc": repr(error), "traceback": SECRET}
        tracer.error(LOG_FAILURE, said, exc_info=error if exc_info else None, extra={"data": {"args": SECRET}})
    lines = []
    for record in seen:
        assert withhold_error(record, 0)
        assert TextFilter(0).filter(record)
        lines.append(logging.Formatter().format(record))
        assert SECRET not in lines[-1] + str(vars(record))
    assert "Odd('(withheld)')" in lines[0]
    assert "Odd('(withheld)')" in lines[1]
    assert "InvalidInput('a sentence')" in lines[2]


@pytest.mark.parametrize("limit", [400, 1_000, 3_000])
def test_a_reason_keeps_the_end_of_a_traceback_as_far_as_there_is_room(limit: int) -> None:
    frames = "".join(f"  File {number}\n" for number in range(500))
    value = Reason("DeviceCrash", "a sentence", 1, traceback=frames).to_json(limit)
    assert len(value) <= limit
    read: dict[str, Any] = json.loads(value)
    assert read["message"] == "a sentence"
    assert frames.endswith(read["traceback"])
    long = Reason("DeviceCrash", "x" * 5_000, 1, traceback=frames)
    assert 100 < len(Reason.from_json(long.to_json(limit)).message) < limit
