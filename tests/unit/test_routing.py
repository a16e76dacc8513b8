"""Which lane a task goes to."""

from typing import Any

import pytest
from celery import Task

from celery_inference import app, feature_extraction, infer, text_generation
from celery_inference.client.lanes import kept_apart
from tests.support.lanes import BULK, GENERAL, INFERENCE


def queue_of(task: "Task[Any, Any]", kwargs: dict[str, Any], **options: Any) -> str:
    routed = app.amqp.router.route(dict(options), task.name, (), kwargs, task_type=task)
    return str(routed["queue"].name)


def test_requests_go_to_the_lane_of_their_model() -> None:
    assert queue_of(feature_extraction, {"inputs": "x"}) == INFERENCE.name
    assert queue_of(text_generation, {"inputs": "x", "model": "smollm2-135m-instruct"}) == INFERENCE.name


def test_a_queue_that_the_caller_names_goes_first() -> None:
    assert queue_of(feature_extraction, {"inputs": "x"}, queue=BULK.name) == BULK.name


@pytest.mark.parametrize("model", ["nobody-knows-it", None, ["a", "list"], 5])
def test_a_model_that_is_not_known_here_is_left_to_the_worker(model: Any) -> None:
    assert queue_of(infer, {"inputs": "x", "model": model}) == INFERENCE.name


def test_a_request_sent_by_name_goes_where_others_do() -> None:
    routed = app.amqp.router.route({}, "celery_inference.feature_extraction", (), {"inputs": "x"})
    assert routed["queue"].name == INFERENCE.name


@pytest.mark.parametrize("name", ["celery.chord_unlock", "celery.backend_cleanup", "celery.group", "shop.tasks.mail"])
def test_everything_else_goes_to_the_lane_with_slots_of_its_own(name: str) -> None:
    assert app.amqp.router.route({}, name, (), {})["queue"].name == GENERAL.name


def test_what_is_not_inference_is_kept_off_the_engine_s_lanes() -> None:
    assert kept_apart(app.conf, INFERENCE.name) == GENERAL.name
    assert kept_apart(app.conf, app.amqp.queues[BULK.name]) == GENERAL.name
    assert kept_apart(app.conf, "of-somebody-else") == "of-somebody-else"
    assert kept_apart(app.conf, None) is None


def test_a_chord_s_unlock_does_not_follow_its_body_onto_the_engine_s_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda *args, **options: sent.append(options["queue"]))
    monkeypatch.setattr(Task, "apply_async", lambda self, args, kwargs, **options: sent.append(options["queue"]))
    app.tasks["celery.chord_unlock"].apply_async(("id", None), {}, queue=INFERENCE.name)
    assert sent == [GENERAL.name]
