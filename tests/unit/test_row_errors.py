"""One bad input of a list fails alone where `return_errors` is given, and is named where it is not."""

import json
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import models.engine
from celery_inference import app, feature_extraction, infer, results_and_errors
from celery_inference.errors import InferenceError, InvalidInput, UnknownOption
from celery_inference.inputs.check import check_inputs, check_request
from celery_inference.inputs.rows import Rows, item
from celery_inference.specs.errors import DeviceCrash, InputFailed, rebuild
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.devices import discover
from tasks.commands import dlq_replay
from tasks.execution.engine_client import EngineClient
from tests.support import samples
from tests.support.fake_engine import write_catalogue

# What a data frame's column may hold, and what fits no pipeline task.
BAD: list[Any] = [None, float("nan"), 5, "", {"unknown": 1}, object()]
ADDRESSES = ["https://example.com/cat.png", "/etc/passwd", "aGVsbG8="]  # none of them is a medium


def spec_of(task: str, **limits: Any) -> ModelSpec:
    return ModelSpec(name="one", task=task, source="/one", options=PIPELINE_TASKS[task].options, **limits)


def required(one: ModelSpec) -> dict[str, Any]:
    return samples.LABELS if "candidate_labels" in one.options else {}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of what would have been sent, as JSON has them."""
    arguments: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "celery.Celery.send_task",
        lambda self, name, args, kwargs, *_, **__: arguments.append(json.loads(json.dumps(kwargs))),
    )
    return arguments


@pytest.mark.parametrize("task", PIPELINE_TASKS)
def test_each_input_of_each_pipeline_task_is_checked_alone_by_the_sender_and_again_by_the_worker(task: str) -> None:
    one = spec_of(task)
    good = [samples.value(task, seed) for seed in (1, 2)]
    bad = [*BAD, *(ADDRESSES if PIPELINE_TASKS[task].media in ("image", "audio", "video") else [])]
    rows, options = check_request(one, [good[0], *bad, good[1]], required(one), return_errors=True)
    assert list(rows.errors or {}) == list(range(1, len(bad) + 1))
    for index, error in (rows.errors or {}).items():
        assert type(error) is InvalidInput
        assert error.index == index
        assert (error.field or "").startswith(f"inputs[{index}]")
        assert str(error).startswith(f"inputs[{index}]")
    wanted = check_inputs(one, good, required(one))[0]
    assert [rows.values[0], rows.values[-1]] == wanted
    message = json.loads(json.dumps([rows.sent(), options]))
    again, _ = check_request(one, *message, return_errors=True)
    assert again.values == rows.values
    assert [item(error) for error in (again.errors or {}).values()] == [
        item(error) for error in (rows.errors or {}).values()
    ]


def test_a_bad_input_is_sent_as_its_error_and_nothing_of_it(sent: list[dict[str, Any]]) -> None:
    feature_extraction.delay(["fine", "secret" * 4_000, b"secret", "cat " * 600, "good"], return_errors=True)
    ((first, long, binary, many, last),) = (arguments["inputs"] for arguments in sent)
    assert (first, last) == ("fine", "good")
    assert sent[0]["return_errors"] is True
    assert long == {
        "error": {
            "type": "InvalidInput",
            "message": "inputs[1] has 24,000 characters; at most 20,000 are allowed",
            "fault": "caller",
            "field": "inputs[1]",
            "index": 1,
            "limit": 20_000,
        }
    }
    assert binary["error"]["message"] == "inputs[2] must be a text, not bytes"
    assert many["error"]["message"] == "inputs[3] has 602 tokens; at most 512 are allowed", "counted here"
    assert "secret" not in json.dumps(sent)


def test_a_text_that_is_to_be_cut_is_not_counted_by_its_sender(sent: list[dict[str, Any]]) -> None:
    long = "cat " * 600
    feature_extraction.delay(long, truncation=True)
    assert (sent[0]["inputs"], sent[0]["truncation"]) == (long, True)
    with pytest.raises(InvalidInput, match="inputs has 602 tokens; at most 512 are allowed"):
        feature_extraction.delay(long, truncation=False)


def test_what_is_not_asked_for_is_not_sent(sent: list[dict[str, Any]]) -> None:
    """Workers of an earlier version know no such argument."""
    feature_extraction.delay(["fine"])
    feature_extraction.delay(["fine"], return_errors=False)
    assert all("return_errors" not in arguments for arguments in sent)


@pytest.mark.parametrize("model", [None, "all-minilm-l6-v2"])
def test_a_request_all_of_whose_inputs_are_bad_is_sent(sent: list[dict[str, Any]], model: str | None) -> None:
    feature_extraction.delay(["", None], model=model, return_errors=True)
    assert [list(each) for each in sent[0]["inputs"]] == [["error"], ["error"]]


def test_the_general_task_has_it_too(sent: list[dict[str, Any]]) -> None:
    infer.delay("all-minilm-l6-v2", ["fine", ""], return_errors=True)
    assert sent[0]["inputs"][1]["error"]["index"] == 1


@pytest.mark.parametrize(
    ("inputs", "options", "error", "sentence"),
    [
        (["fine", ""], {}, InvalidInput, "inputs[1] is an empty text"),
        (["fine"] * 65, {"return_errors": True}, InvalidInput, "inputs has 65 inputs; at most 64 are allowed"),
        ([], {"return_errors": True}, InvalidInput, "inputs is an empty list"),
        (["fine"], {"return_errors": True, "top_k": 3}, UnknownOption, 'option "top_k" is not known'),
        (["fine"], {"return_error": True}, UnknownOption, 'Did you mean "return_errors"?'),
        (["fine"], {"return_errors": "yes"}, InvalidInput, "return_errors must be true or false, not str"),
        ("fine", {"return_errors": True}, InvalidInput, "return_errors is for a list of inputs"),
    ],
)
def test_what_is_the_request_s_own_error_is_raised_as_ever(
    sent: list[dict[str, Any]], inputs: Any, options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        feature_extraction.delay(inputs, **options)
    assert sentence in str(caught.value)
    assert sent == []


def test_inputs_that_are_too_large_together_are_the_request_s_own_error() -> None:
    with pytest.raises(InvalidInput, match=r"^inputs has .* bytes in a message; at most 80 are allowed") as caught:
        check_request(spec_of("feature-extraction", max_request_bytes=80), ["x" * 40, "", "y" * 40], return_errors=True)
    assert caught.value.index is None
    rows, _ = check_request(spec_of("feature-extraction", max_request_bytes=80), ["x" * 40, "", 5], return_errors=True)
    assert list(rows.errors or {}) == [1, 2], "what is not sent does not count"


@pytest.mark.parametrize(
    "said",
    [
        {"type": "InputFailed", "message": "it failed"},
        {"type": "InvalidInput", "message": 5},
        {"type": "InvalidInput", "message": "x" * 4_001},
        {"type": "InvalidInput", "message": "x", "field": "x" * 4_001},
        {"type": "InvalidInput", "message": "x", "allowed": ["x"] * 4_001},
        {"type": "InvalidInput"},
        "InvalidInput",
    ],
)
def test_an_error_that_no_sender_writes_is_a_bad_input(said: Any) -> None:
    rows, _ = check_request(spec_of("feature-extraction"), [{"error": said}], return_errors=True)
    assert str((rows.errors or {})[0]) == "inputs[0] must be a text, not dict"


def test_of_an_error_in_an_input_s_place_only_facts_are_taken_and_the_place_is_the_input_s() -> None:
    said = {
        "type": "InvalidInput",
        "message": "is no good",
        "index": 7,
        "limit": float("inf"),
        "args": [1],
        "fault": "x",
    }
    rows, _ = check_request(spec_of("feature-extraction"), ["fine", {"error": said}], return_errors=True)
    expected = {"type": "InvalidInput", "message": "is no good", "fault": "caller", "index": 1}
    assert [item(error) for error in (rows.errors or {}).values()] == [{"error": expected}]


def test_an_error_in_an_input_s_place_means_nothing_to_a_request_without_return_errors() -> None:
    said = item(InvalidInput("inputs[0] is empty"))
    with pytest.raises(InvalidInput, match=r"inputs\[0\] must be a text, not dict"):
        check_request(spec_of("feature-extraction"), [said])


class Engine:
    """One that answers at once."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def submit(self, *_: Any, **__: Any) -> "Future[list[Any]]":
        future: Future[list[Any]] = Future()
        if isinstance(self.outcome, Exception):
            future.set_exception(self.outcome)
        else:
            future.set_result(self.outcome)
        return future


def answered(outcome: Any, rows: Rows) -> Any:
    client = EngineClient(Engine(outcome))  # type: ignore[arg-type]
    try:
        return rows.answer(client.run("one", rows, {}, request_id="r", deadline=None))
    finally:
        assert client.held_requests() == 0


@pytest.mark.parametrize("error", [InvalidInput("inputs has 9 tokens"), InputFailed("inputs made the model raise")])
def test_the_one_input_of_a_list_is_named_as_one_of_several_is(error: InferenceError) -> None:
    with pytest.raises(type(error), match=r"^inputs\[0\] ") as caught:
        answered(error, Rows(["x"], many=True))
    assert (caught.value.field, caught.value.index) == ("inputs[0]", 0)


def test_one_input_that_is_no_list_has_no_place() -> None:
    with pytest.raises(InvalidInput, match=r"^inputs has 9 tokens") as caught:
        answered(InvalidInput("inputs has 9 tokens"), Rows(["x"], many=False))
    assert caught.value.index is None


def test_the_answer_is_results_and_errors_by_index() -> None:
    crash = DeviceCrash("inputs[2] ended the device process")
    crash.field, crash.index, crash.model_traceback = "inputs[2]", 2, "its own frames"
    refused = InvalidInput.because("inputs[1]", "is no good", limit=3, allowed=["a", "b"])
    refused.index = 1
    given = Rows(["a", None, "c", "d"], many=True, errors={1: refused})
    answer = json.loads(json.dumps(answered([[0.5], refused, crash, None], given)))
    assert [*map(list, answer)] == [["result"], ["error"], ["error"], ["result"]]
    assert answer[2]["error"] == {
        "type": "DeviceCrash",
        "message": "inputs[2] ended the device process",
        "fault": "model",
        "field": "inputs[2]",
        "index": 2,
        "model_traceback": "its own frames",
    }
    results, errors = results_and_errors(answer)
    assert results == [[0.5], None, None, None]
    assert [(index, type(error)) for index, error in errors.items()] == [(1, InvalidInput), (2, DeviceCrash)]
    for error, expected in zip(errors.values(), (refused, crash), strict=True):
        assert str(error) == str(expected)
        assert error.facts() == expected.facts()


@pytest.mark.parametrize("answer", [[[0.5]], [{"result": 1, "error": {}}], [{"label": "a"}], ["text"]])
def test_another_answer_is_no_list_of_results_and_errors(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"answer\[0\] is neither a result nor an error: was return_errors=True given"):
        results_and_errors(answer)


def test_tracebacks_leave_room_for_the_results() -> None:
    errors = [InputFailed("inputs made the model raise") for _ in range(64)]
    for error in errors:
        error.model_traceback = "x" * 8_000
    answer = Rows([None] * 64, many=True, errors={}).answer(errors)
    assert [("model_traceback" in each["error"]) for each in answer] == [True] * 4 + [False] * 60
    assert answer[63]["error"]["message"] == "inputs[63] made the model raise"


def test_a_request_that_is_replayed_from_its_letter_is_answered_as_a_worker_answers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dlq_replay, "Engine", partial(models.engine.Engine, program="tests.support.fake_device"))
    monkeypatch.setattr(dlq_replay, "devices", lambda _: discover("cpu"))
    monkeypatch.setitem(app.conf, "inference_catalogue", str(write_catalogue(tmp_path)))
    inputs = ["fine", "", "faulty"]
    answer = dlq_replay._infer(app, feature_extraction, [inputs], {"return_errors": True})
    results, errors = results_and_errors(answer)
    assert results == ["FINE", None, None]
    assert [(index, type(error)) for index, error in errors.items()] == [(1, InvalidInput), (2, InputFailed)]
    with pytest.raises(InvalidInput, match=r"inputs\[1\] is an empty text"):
        dlq_replay._infer(app, feature_extraction, [inputs], {})


def test_failed_inputs_are_counted_and_those_of_the_model_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    first = rebuild("InputFailed", "inputs made the model raise", {"model_traceback": "its own frames"})
    outcome = [[1.0], InvalidInput("inputs is refused"), first, InputFailed("inputs")]
    client = EngineClient(Engine(outcome))  # type: ignore[arg-type]
    client.run("one", Rows([""] * 4, many=True, errors={}), {}, request_id="r-1", deadline=None)
    assert client.totals() == {"one": {"invalid_inputs": 1, "failed_inputs": 2}}
    (record,) = caplog.records
    assert record.getMessage().startswith("request r-1: model one failed on 2 of its 4 inputs")
    assert (record.levelname, vars(record)["event"]) == ("WARNING", "inputs_failed")
    assert "its own frames" in caplog.text
    assert "is refused" not in caplog.text, "of what callers get wrong the counter is enough"
