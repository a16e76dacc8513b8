"""What stands beside a request's arguments is in force, or refused before anything is sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chain, chord, group

from celery_inference.client.app import Application
from celery_inference.client.send_options import refuse_unused
from celery_inference.errors import InvalidInput, UnknownOption


def add(*numbers: int) -> int:
    return sum(numbers)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of what would have been sent."""
    options: list[dict[str, Any]] = []
    monkeypatch.setattr("celery.Celery.send_task", lambda self, *args, **given: options.append(given))
    return options


@pytest.fixture
def app(sent: list[dict[str, Any]]) -> Application:
    made = Application("shop", task_cls="celery_inference.client.task:LaneTask")
    made.task(add, name="sum_up", shared=False)
    return made


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        ({"expire": 3}, "expires"),
        ({"priorty": 3}, None),
        ({"webhook": "https://example.com"}, None),
        ({"MessageGroupID": "shop"}, "MessageGroupId"),
        ({"count_down": 5}, "countdown"),
        ({"stamped_headers": ["shop"], "shop": 1, "shpo": 2}, None),
    ],
)
def test_a_keyword_that_nobody_reads_is_refused_with_the_nearest(
    app: Application, sent: list[dict[str, Any]], options: dict[str, Any], nearest: str | None
) -> None:
    task = app.tasks["sum_up"]
    for send in (
        lambda: task.apply_async((1, 2), **options),
        lambda: task.s(1, 2).set(**options).apply_async(),
        lambda: task.s(1, 2).apply_async(**options),
        lambda: app.send_task("sum_up", (1, 2), **options),
        lambda: app.send_task("of.another", (1, 2), **options),
    ):
        with pytest.raises(UnknownOption, match=r"apply_async\(\)'s keyword .* is not known") as caught:
            send()
        if nearest is not None:
            assert caught.value.nearest == nearest
    assert sent == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"serializer": "yaml"}, 'serializer is "yaml"; messages are JSON alone'),
        ({"serializer": "pickle"}, 'serializer is "pickle"; messages are JSON alone'),
        ({"priority": 9}, "priority is not in force, as SQS has no priorities"),
        ({"time_limit": 2}, "time_limit is not in force"),
        ({"soft_time_limit": 2}, "soft_time_limit is not in force"),
        ({"exchange": "amq.direct", "routing_key": "inference-bulk"}, "exchange leads to no lane"),
        ({"routing_key": "inference-bulk"}, "routing_key leads to no lane"),
    ],
)
def test_what_celery_knows_and_we_cannot_do_is_refused(
    app: Application, sent: list[dict[str, Any]], options: dict[str, Any], sentence: str
) -> None:
    task = app.tasks["sum_up"]
    for send in (
        lambda: task.apply_async((1, 2), **options),
        lambda: task.s(1, 2).set(**options).delay(),
        lambda: app.send_task("sum_up", (1, 2), **options),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            send()
    assert sent == []


def test_a_serializer_of_the_task_or_of_the_settings_is_refused_too(app: Application, sent: list[Any]) -> None:
    of_task = app.task(add, name="of.task", serializer="pickle", shared=False)
    with pytest.raises(InvalidInput, match='serializer is "pickle"'):
        of_task.delay()
    app.conf.task_serializer = "yaml"
    with pytest.raises(InvalidInput, match='serializer is "yaml"'):
        app.tasks["sum_up"].delay(1, 2)
    assert sent == []


def test_what_is_in_force_is_sent(app: Application, sent: list[dict[str, Any]]) -> None:
    options: dict[str, Any] = {
        "countdown": 5,
        "expires": 60,
        "headers": {"x": 1},
        "ignore_result": True,
        "link": app.tasks["sum_up"].s(1),
        "MessageGroupId": "shop",
        "queue": "inference-bulk",
        "retry": False,
        "serializer": "json",
        "compression": "gzip",
        "task_id": "given",
        "priority": None,
        "periodic_task_name": "of django-celery-beat",
        "stamped_headers": ["customer"],
        "customer": "shop",
    }
    app.tasks["sum_up"].apply_async((1, 2), **options)
    assert sent[0]["MessageGroupId"] == "shop"
    assert sent[0]["customer"] == "shop"


def test_every_keyword_of_celery_s_own_calls_is_known() -> None:
    """What this version of Celery and kombu calls a parameter; another one may have more."""
    import inspect

    from celery import Celery, Task
    from kombu import Producer

    amqp = Celery("any", broker="memory://").amqp
    for call in (Celery.send_task, Task.apply_async, amqp.send_task_message, Producer.publish):
        named = [
            name
            for name, each in inspect.signature(call).parameters.items()
            if each.kind is not inspect.Parameter.VAR_KEYWORD and name not in ("self", "name", "message", "body")
        ]
        refuse_unused(dict.fromkeys(named), "json")
    refuse_unused({"countdown": 3, "eta": datetime.now(UTC) + timedelta(1)}, "json")


@pytest.mark.parametrize("place", ["link", "link_error", "chain", "chord", "body"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"queue": "inference-blk"},
            '"inference-blk", where sum_up is to follow, is no lane. Did you mean "inference-bulk"',
        ),
        ({"serializer": "pickle"}, "messages are JSON alone"),
        ({"expire": 3}, 'Did you mean "expires"'),
    ],
)
def test_what_is_to_follow_is_checked_before_anything_is_sent(
    app: Application, sent: list[Any], place: str, options: dict[str, Any], sentence: str
) -> None:
    task = app.tasks["sum_up"]
    following = task.s(3).set(**options)
    canvas = {
        "link": task.s(1).set(link=[following]),
        "link_error": task.s(1).set(link_error=[following]),
        "chain": chain(task.s(1), task.s(2), following),
        "chord": chain(task.s(1), chord([task.s(1), following], task.s(2))),
        "body": chord([task.s(1), task.s(2)], following),
    }[place]
    with pytest.raises(InvalidInput, match=sentence):
        canvas.apply_async()
    assert sent == []


def test_canvases_pass(app: Application, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(app.backend), "apply_chord", lambda *args, **kwargs: None, raising=False)
    task = app.tasks["sum_up"]
    group(task.s(1), task.s(2)).apply_async(countdown=1)
    chain(task.s(1), task.s(2)).apply_async(expires=60)
    chord([task.s(1), task.s(2)], task.s(3)).apply_async()
    assert len(sent) >= 5
