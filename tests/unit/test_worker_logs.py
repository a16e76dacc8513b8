"""What a worker's log shows without `-l`, and its JSON lines; the names of its events are a closed list."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from celery.app import trace

from celery_inference.log_events import EVENTS, event
from tasks.worker.logs import log_setup
from tasks.worker.logs.json_lines import JsonFormatter

ROOT = Path(__file__).resolve().parents[2]
FAILURE = {"id": "abc", "name": "inference.x", "exc": "InvalidInput('too long')", "description": "raised expected"}


def line(message: str, *args: Any, name: str = "tasks.worker", extra: dict[str, Any] | None = None) -> dict[str, Any]:
    logger = logging.getLogger(name)
    record = logger.makeRecord(name, logging.ERROR, "file", 1, message, args, None, extra=extra)
    written = JsonFormatter().format(record)
    assert "\n" not in written
    told: dict[str, Any] = json.loads(written)
    return told


def test_a_line_is_one_json_object_with_its_event_and_its_facts() -> None:
    told = line("lane %s is paused\nfor a reason", "bulk", extra=event("lane_paused", lane="bulk", cause="why"))
    assert told.items() >= {"event": "lane_paused", "lane": "bulk", "cause": "why", "level": "ERROR"}.items()
    assert told["message"] == "lane bulk is paused\nfor a reason"
    assert line("anything")["event"] == "log"
    assert line("odd", extra={"facts": {"odd": object}})["odd"], "what JSON cannot hold is shown"


def test_a_failed_request_has_its_id_task_and_cause() -> None:
    told = line(trace.LOG_FAILURE, FAILURE, name=trace.logger.name)
    assert (
        told.items()
        >= {
            "event": "request_failed",
            "request_id": "abc",
            "task": "inference.x",
            "cause": "InvalidInput",
        }.items()
    )


def test_an_error_s_traceback_is_in_its_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("tasks", logging.ERROR, "file", 1, "failed", (), sys.exc_info())
    told = json.loads(JsonFormatter().format(record))
    assert told["cause"] == "ValueError"
    assert told["traceback"].endswith("ValueError: no")


@pytest.fixture
def untouched() -> Iterator[None]:
    """Levels and filters of the process's loggers are as before afterwards."""
    loggers = [trace.logger, *map(logging.getLogger, log_setup.OURS)]
    before = [(logger, logger.level, list(logger.filters)) for logger in loggers]
    yield
    for logger, level, filters in before:
        logger.setLevel(level)
        logger.filters = filters


@click.command()
@click.option("-l", "--loglevel", default="WARNING")
def worker(loglevel: str) -> None:
    log_setup.show_what_matters(getattr(logging, loglevel))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("options", "shown"), [([], True), (["-l", "WARNING"], False), (["-l", "ERROR"], False)])
def test_ready_and_failures_are_shown_unless_the_operator_names_a_level(options: list[str], shown: bool) -> None:
    for name in (trace.logger.name, *log_setup.OURS):
        logging.getLogger(name).setLevel(logging.WARNING)
    worker.main(options, standalone_mode=False)
    for name in (trace.logger.name, *log_setup.OURS):
        assert logging.getLogger(name).isEnabledFor(logging.INFO) == shown
    failed, succeeded = (
        logging.LogRecord(trace.logger.name, logging.INFO, "file", 1, message, (), None)
        for message in (trace.LOG_FAILURE, trace.LOG_SUCCESS)
    )
    assert trace.logger.filter(failed)
    assert bool(trace.logger.filter(succeeded)) != shown, "successes are many"


def test_every_event_is_on_the_list_and_on_the_page_and_is_used() -> None:
    used = set()
    for room in ("celery_inference", "models", "tasks"):
        for path in (ROOT / room).rglob("*.py"):
            used |= set(re.findall(r'\bevent\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    formatter = (ROOT / "tasks" / "worker" / "logs" / "json_lines.py").read_text(encoding="utf-8")
    used |= set(re.findall(r'"(request_\w+)",\n', formatter)) - {"request_id"}
    assert used == set(EVENTS)
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)) == EVENTS
