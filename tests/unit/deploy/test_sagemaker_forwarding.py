"""Each row of the forwarder's table, with an endpoint of Python and a clock that only sleeping moves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celery_inference.specs.errors import InvalidInput, ModelLoadError
from deploy.sagemaker import wire
from deploy.sagemaker.forwarding import BatchSuspected, EndpointFailed, Forwarding
from deploy.sagemaker.runtime import Busy, ModelFault, Refused
from tests.support.engines import spec

SPEC = spec("text-classification", Path("/nowhere"), endpoint="there", example="an example", time_limit_seconds=100)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Endpoint:
    """Answers each text by its length, unless `meets` raises for the texts of a call."""

    max_body_bytes = 1_000
    longest_seconds = 55.0

    def __init__(self, clock: Clock, meets: Callable[[list[str]], None] = lambda _: None) -> None:
        self.clock, self.meets = clock, meets
        self.calls: list[list[str]] = []

    def invoke(self, body: bytes, attributes: str, seconds: float) -> bytes:
        texts = json.loads(body)["inputs"]
        self.calls.append(texts)
        assert wire.read_attributes(attributes).model == SPEC.name
        self.meets(texts)
        return wire.answer([{"ok": len(text)} for text in texts], {"torch": "there"})


def forward(
    meets: Callable[[list[str]], None], values: list[str], options: list[dict[str, Any]] | None = None
) -> tuple[Any, Endpoint]:
    clock = Clock()
    endpoint = Endpoint(clock, meets)
    forwarding = Forwarding(SPEC, endpoint, clock=clock, sleep=clock.sleep)
    return forwarding.run(values, options or [{}] * len(values)), endpoint


def on(text: str, error: Exception) -> Callable[[list[str]], None]:
    def meets(texts: list[str]) -> None:
        if text in texts:
            raise error

    return meets


def always(error: Exception) -> Callable[[list[str]], None]:
    def meets(_: list[str]) -> None:
        raise error

    return meets


def first(count: int, error: Exception) -> Callable[[list[str]], None]:
    left = [error] * count

    def meets(_: list[str]) -> None:
        if left:
            raise left.pop()

    return meets


def test_a_batch_is_one_call_and_its_answers_keep_their_order() -> None:
    answers, endpoint = forward(lambda _: None, ["three", "a"])
    assert [answer["ok"] for answer in answers] == [5, 1]
    assert endpoint.calls == [["three", "a"]]


def test_inputs_of_other_options_go_in_a_call_of_their_own() -> None:
    answers, endpoint = forward(lambda _: None, ["one", "two!", "three"], [{"top_k": 1}, {}, {"top_k": 1}])
    assert [answer["ok"] for answer in answers] == [3, 4, 5]
    assert sorted(endpoint.calls) == [["one", "three"], ["two!"]]


def test_a_throttle_is_waited_for() -> None:
    answers, endpoint = forward(first(3, Busy("throttled")), ["one"])
    assert answers[0]["ok"] == 3
    assert len(endpoint.calls) == 4


def test_a_throttle_without_end_fails_nobodys_input_and_within_the_batchs_time() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, always(Busy("throttled")))
    with pytest.raises(EndpointFailed, match=r"throttled, \d+ times"):
        Forwarding(SPEC, endpoint, clock=clock, sleep=clock.sleep).run(["one"], [{}])
    assert clock.now < SPEC.time_limit_seconds
    assert len(endpoint.calls) > 10


def test_what_we_are_set_up_wrong_for_fails_nobodys_input() -> None:
    with pytest.raises(EndpointFailed, match="no such endpoint"):
        forward(always(Refused("no such endpoint")), ["one"])


def test_an_input_that_the_container_refuses_fails_alone() -> None:
    values = ["good", "bad", "better", "best"]
    answers, endpoint = forward(on("bad", ModelFault("the container answered 400: no", 400)), values)
    assert [answer.get("ok") for answer in answers] == [4, None, 6, 4]
    assert answers[1]["error"] == "InputFailed"
    assert "the container answered 400" in answers[1]["sentence"]
    assert ["an example"] in endpoint.calls


def test_a_container_that_refuses_its_example_too_blames_nobody() -> None:
    with pytest.raises(EndpointFailed, match="nor does it answer its example"):
        forward(always(ModelFault("the container answered 400: no", 400)), ["one", "two"])


@pytest.mark.parametrize("status", [500, 0])
def test_a_batch_that_fails_the_container_is_suspected_if_the_example_is_answered(status: int) -> None:
    with pytest.raises(BatchSuspected, match="answers its example"):
        forward(on("bad", ModelFault("it died", status)), ["good", "bad"])


@pytest.mark.parametrize("status", [500, 0])
def test_a_container_that_fails_its_example_too_blames_nobody(status: int) -> None:
    with pytest.raises(EndpointFailed):
        forward(always(ModelFault("it died", status)), ["good", "bad"])


def test_what_is_too_large_together_is_halved_and_alone_the_callers_fault() -> None:
    answers, endpoint = forward(lambda _: None, ["x" * 600, "y" * 600, "z" * 2_000])
    assert [answer.get("ok") for answer in answers] == [600, 600, None]
    assert answers[2]["error"] == InvalidInput.__name__
    assert "bytes" in answers[2]["sentence"]
    assert all(len(call) == 1 for call in endpoint.calls)


@pytest.mark.parametrize(
    ("said", "here"),
    [
        ("InvalidInput", "InvalidInput"),
        ("DeviceCrash", "DeviceCrash"),
        ("UnknownOption", "UnknownOption"),
        ("DeviceLost", "DeviceLost"),
        ("EngineStopped", "DeviceLost"),
        ("ModelOut", "DeviceLost"),
        ("Expired", "DeviceLost"),
        ("SystemExit", "DeviceLost"),
    ],
)
def test_what_a_container_says_of_an_input_keeps_its_class_or_is_transient(said: str, here: str) -> None:
    clock = Clock()

    class Saying(Endpoint):
        def invoke(self, body: bytes, attributes: str, seconds: float) -> bytes:
            return wire.answer([{"error": said, "sentence": "so it was"}, {"ok": 1}], {})

    answers = Forwarding(SPEC, Saying(clock), clock=clock, sleep=clock.sleep).run(["one", "two"], [{}, {}])
    assert answers[0] == {"error": here, "sentence": "so it was", "facts": None}
    assert answers[1]["ok"] == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"5", b"[1]", b'{"answers": [1, 2]}', b'{"celery-inference": 1, "answers": [1, 2]}', b"[" * 9_999],
)
def test_a_wrong_answer_is_the_containers_fault(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.read_answer(body, 2)


def test_a_container_of_another_make_answers_a_list() -> None:
    assert wire.read_answer(b'[{"label": "a"}, null]', 2).answers == [{"ok": {"label": "a"}}, {"ok": None}]


def test_attributes_say_again_what_was_said() -> None:
    assert wire.read_attributes(wire.attributes("a-model", 54.6)) == wire.Ask("a-model", True, 55.0)
    for text in ("", "trace=5", "celery-inferenc; model=x"):
        assert wire.read_attributes(text) == wire.Ask()
    assert wire.read_attributes("celery-inference; seconds=soon") == wire.Ask(None, True, None)


@pytest.mark.parametrize("error", [Refused("no such endpoint"), ModelFault("it died", 500), Busy("throttled")])
def test_an_endpoint_that_does_not_answer_its_example_is_not_loaded(error: Exception) -> None:
    clock = Clock()
    with pytest.raises(ModelLoadError, match="endpoint there"):
        Forwarding(SPEC, Endpoint(clock, always(error)), clock=clock, sleep=clock.sleep).probe()


def test_a_model_of_images_needs_an_example() -> None:
    clock = Clock()
    images = spec("image-classification", Path("/nowhere"), endpoint="there")
    with pytest.raises(ModelLoadError, match="needs an example"):
        Forwarding(images, Endpoint(clock)).probe()
