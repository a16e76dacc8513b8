"""What operators ask for that cannot be had: each is a sentence, and what can be had is given."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.app.control import Control as CeleryControl
from celery.worker.control import Panel
from click.testing import CliRunner

from celery_inference.celery_settings import BACKENDS
from celery_inference.client.control import Control
from celery_inference.commands.dlq.group import dlq
from celery_inference.results.access import store_of
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.errors import DeniedError, NotAskedError, SqsError
from celery_inference.sqs.lanes import LANES
from tasks.worker import remote_commands  # noqa: F401 - its commands take the place of Celery's


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("pool_grow", {"n": 2}, "--concurrency"),
        ("pool_shrink", {}, "--concurrency"),
        ("autoscale", {"max": 4, "min": 1}, "--concurrency"),
        ("pool_restart", {"modules": ["x"]}, "restart the worker"),
        ("time_limit", {"task_name": "x", "hard": 1.0}, "not interrupted"),
    ],
)
def test_commands_for_pools_of_processes_are_answered_by_one_sentence(
    command: str, arguments: dict[str, Any], words: str
) -> None:
    answer = Panel.data[command](SimpleNamespace(), **arguments)
    assert set(answer) == {"error"}
    assert words in answer["error"]


@pytest.fixture
def app(tmp_path: Path) -> Celery:
    """Without a server at its broker's port."""
    made = Celery("people", set_as_current=False, broker="sqs://local:local@127.0.0.1:1//")
    made.loader.override_backends = BACKENDS
    made.conf.update(
        broker_transport="celery_inference.sqs.transport.connection:Transport",
        broker_transport_options={"lanes": LANES, "call_timeout_seconds": 1.0},
        result_backend=f"sqlite:///{tmp_path / 'results.sqlite'}",
    )
    return made


def test_dead_letters_are_listed_while_sqs_is_away_and_the_depths_are_unknown(app: Celery) -> None:
    said = CliRunner().invoke(dlq, ["list"], obj=SimpleNamespace(app=app))
    assert said.exit_code == 0, said.output
    assert "no dead letters" in said.stdout
    assert f"{LANES[0].name}: how many the queue holds is not known: " in said.stderr
    told = json.loads(CliRunner().invoke(dlq, ["list", "--json"], obj=SimpleNamespace(app=app)).stdout)
    assert {lane["in_queue"] for lane in told["lanes"]} == {None}
    assert all("Could not connect" in lane["trouble"] for lane in told["lanes"])


@pytest.mark.parametrize("error", [DeniedError("ListQueues", "celery-broadcast-*", "no policy allows it")])
def test_a_sender_that_may_not_tell_the_workers_revokes_by_the_record_alone(
    app: Celery, monkeypatch: pytest.MonkeyPatch, error: SqsError
) -> None:
    """As under the producer policy of deploy/infra, which names no queue of the broadcast."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(CeleryControl, "broadcast", refuse)
    control, store = Control(app), store_of(app)
    assert store is not None
    assert control.revoke("abc") is None
    assert store.cancelled(["abc"]) == {"abc"}
    with pytest.raises(DeniedError):
        control.ping()


def test_a_revoke_that_is_recorded_nowhere_says_so(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DeniedError("ListQueues", "celery-broadcast-*", "no policy allows it")

    def away(*_: Any) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(CeleryControl, "broadcast", refuse)
    monkeypatch.setattr(store_of(app), "cancel", away)
    with pytest.raises(StoreUnavailable):
        Control(app).revoke("abc")


def test_workers_that_cannot_be_asked_now_are_told_apart_from_those_that_may_not(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise NotAskedError("SQS is away")

    monkeypatch.setattr(CeleryControl, "broadcast", away)
    with pytest.raises(NotAskedError):
        Control(app).revoke("abc")
