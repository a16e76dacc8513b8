"""What a caller is told of an error: every class stands in celery_inference.errors, and facts survive the store."""

import importlib
import inspect
import json
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.app.task import Context
from celery.backends.base import KeyValueStoreBackend
from celery.exceptions import TimeoutError as CeleryTimeoutError

import celery_inference
import tasks
from celery_inference import errors
from celery_inference.celery_settings import BACKENDS
from celery_inference.client.app import Application
from celery_inference.client.async_results.async_result import LaneResult
from celery_inference.errors import InferenceError, InvalidInput, UnknownOption
from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import rebuild
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from tests.support.stores import moto

__all__ = ["moto"]

# What no caller meets: who meets it instead.
NOT_FOR_CALLERS = {
    "celery_inference.specs.errors.DeviceError": "a worker that starts",
    "celery_inference.specs.errors.ModelLoadError": "a worker that starts",
    "celery_inference.setting_values.NearMissError": "a worker that starts",
    "celery_inference.sqs.lanes.UnknownLaneError": "the commands for dead letters",
    "celery_inference.sqs.dead_letters.queue.BusyError": "the commands for dead letters",
    "celery_inference.sqs.dead_letters.export_import.DeadLetterFileError": "the commands for dead letters",
    "celery_inference.sqs.dead_letters.resend.NotSendableError": "the commands for dead letters",
    "celery_inference.results.dead_letter_queues.NoIndexError": "the commands for dead letters",
    "celery_inference.results.dynamodb.table.Conflict": "the store itself, which tries again",
}
OF_CALLERS = ("client", "results", "inputs", "specs", "catalogue", "sqs", "settings", "setting_values", "errors")


def modules_of(package: ModuleType) -> list[ModuleType]:
    names = [package.__name__, *(each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))]
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def errors_in(modules: list[ModuleType]) -> list[type[Exception]]:
    return [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.__name__
    ]


def named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def library() -> list[ModuleType]:
    return [
        module
        for module in modules_of(celery_inference)
        if module.__name__.split(".")[1:2] in ([n] for n in OF_CALLERS)
    ]


def test_every_error_of_the_library_is_public_and_below_one_root() -> None:
    found = {named(kind): kind for kind in errors_in(library())}
    assert found.keys() >= NOT_FOR_CALLERS.keys(), "the list above names what is not there"
    for name, kind in found.items():
        if name not in NOT_FOR_CALLERS:
            assert getattr(errors, kind.__name__, None) is kind, f"{name} is not in celery_inference.errors"
            assert kind.__name__ in errors.__all__
            assert issubclass(kind, InferenceError), f"{name} is not below InferenceError"


def test_every_public_error_has_one_fault_which_its_branch_tells() -> None:
    branches = (errors.InvalidInput, errors.ModelFailed, errors.Transient, errors.DeploymentError)
    without = (errors.Expired, errors.Cancelled)
    for name in errors.__all__:
        kind = getattr(errors, name)
        if kind in (errors.Fault, errors.InferenceError, errors.SqsError):
            continue
        below = [branch for branch in (*branches, *without) if issubclass(kind, branch)]
        assert len(below) == 1, f"{name} is below {below}"
        assert kind.fault is below[0].fault
        assert (kind.http_status == 422) is (kind.fault == "caller"), name


def test_what_workers_store_can_be_rebuilt_by_senders_who_have_no_worker_code() -> None:
    of_workers = errors_in([*(m for m in modules_of(tasks) if not m.__name__.endswith("celery"))])
    assert [named(kind) for kind in of_workers if issubclass(kind, InferenceError)] == []


def test_every_public_error_is_documented() -> None:
    page = inspect.getdoc(errors) or ""
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert kind.__doc__, name
        assert name in page, f"{name} is not in the tree of celery_inference.errors"


@pytest.fixture(params=["sqlite:///{}/results.sqlite", "dynamodb", "file://{}", "cache+memory://"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Application:
    app = Application("facts-test")
    app.loader.override_backends = BACKENDS
    url = request.getfixturevalue("moto").url("facts") if request.param == "dynamodb" else request.param
    app.conf.update(result_backend=url.format(tmp_path), result_serializer="json", accept_content=["json"])
    return app


def spec_of(task: str, **limits: Any) -> ModelSpec:
    return ModelSpec(name="one", task=task, source="one", options=PIPELINE_TASKS[task].options, **limits)


def raised(spec: ModelSpec, inputs: Any, **options: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        check_inputs(spec, inputs, options)
    return caught.value


def stored(app: Application, error: BaseException, state: str = "FAILURE", **headers: Any) -> Any:
    task_id = uuid4().hex
    app.backend.store_result(task_id, error, state, request=Context({"id": task_id, **headers}))
    return app.AsyncResult(task_id)


CASES = [
    (("feature-extraction", ["fine", "x" * 20_001], {}), ("inputs[1]", 1, 20_000, None, None)),
    (("feature-extraction", "x" * 20_001, {}), ("inputs", None, 20_000, None, None)),
    (("feature-extraction", [""], {}), ("inputs[0]", 0, None, None, None)),
    (
        ("text-generation", [{"role": "robot", "content": "hello"}], {}),
        ("inputs[0] role", None, None, ("assistant", "system", "user"), None),
    ),
    (
        ("text-classification", "text", {"topk": 3}),
        ("option", None, None, ("inputs", "model", "return_errors", "top_k", "truncation"), "top_k"),
    ),
    (("text-classification", "text", {"top_k": 1_001}), ("option top_k", None, 1_000, None, None)),
    (("text-classification", "text", {"top_k": 0}), ("option top_k", None, 1, None, None)),
    (
        ("token-classification", "text", {"aggregation_strategy": "sample"}),
        ("option aggregation_strategy", None, None, ("none", "simple", "first", "average", "max"), None),
    ),
]


@pytest.mark.parametrize(("asked", "facts"), CASES)
def test_facts_are_the_same_at_delay_and_at_get(app: Application, asked: Any, facts: Any) -> None:
    task, inputs, options = asked
    error = raised(spec_of(task), inputs, **options)
    assert (error.field, error.index, error.limit, error.allowed, error.nearest) == facts
    with pytest.raises(type(error)) as caught:
        stored(app, error).get(timeout=5)
    read = caught.value
    assert str(read) == str(error)
    assert (read.field, read.index, read.limit, read.allowed, read.nearest) == facts


def test_a_worker_that_tries_again_reads_them_too(app: Application) -> None:
    error = UnknownOption.unknown("option", "topk", ["top_k"])
    assert stored(app, error, "RETRY").result.nearest == "top_k"


def test_other_errors_are_read_as_ever(app: Application) -> None:
    with pytest.raises(ValueError, match="plain") as caught:
        stored(app, ValueError("plain")).get(timeout=5)
    assert type(caught.value) is ValueError


def test_errors_whose_constructors_take_facts_keep_class_and_sentence(app: Application) -> None:
    error = errors.QueueMissingError("SendMessage", "inference")
    with pytest.raises(errors.QueueMissingError, match="'inference' does not exist"):
        stored(app, error).get(timeout=5)


def test_an_entry_that_was_stored_without_facts_is_read(app: Application) -> None:
    entry = {
        "exc_type": "InvalidInput",
        "exc_message": ["inputs is empty"],
        "exc_module": "celery_inference.specs.errors",
    }
    read = app.backend.exception_to_python(entry)
    assert type(read) is InvalidInput
    assert (read.args, read.field, read.index) == (("inputs is empty",), None, None)


def test_who_knows_nothing_of_facts_reads_an_entry_that_has_them(app: Application, tmp_path: Path) -> None:
    entry = app.backend.prepare_exception(InvalidInput.too_large("inputs", 2, 1, "bytes"), "json")
    read = KeyValueStoreBackend(app=Celery("other", set_as_current=False)).exception_to_python(entry)
    assert (type(read), str(read)) == (InvalidInput, "inputs has 2 bytes; at most 1 are allowed")


@pytest.mark.parametrize(
    "forged",
    [
        {"field": 1, "index": -1, "limit": [], "allowed": "all", "nearest": {}},
        {"index": True, "limit": False, "allowed": [1]},
        {"args": ["other"], "__class__": "x", "transient": True, "because": "x"},
        ["field"],
        "field",
        7,
    ],
)
def test_what_is_of_another_type_in_the_store_is_left_out(app: Application, forged: Any) -> None:
    entry = app.backend.prepare_exception(InvalidInput("a sentence"), "json")
    read = app.backend.exception_to_python({**json.loads(json.dumps(entry)), "inference_facts": forged})
    assert vars(read) == {}
    assert str(read) == "a sentence"


def test_a_message_cannot_say_them(app: Application) -> None:
    facts = {"field": "forged"}
    read = stored(app, InvalidInput("a sentence"), inference_facts=facts, inference=facts).result
    assert (read.field, str(read)) == (None, "a sentence")
    plain = stored(app, ValueError({"inference_facts": facts})).result
    assert not hasattr(plain, "field")


def test_they_come_from_a_device_process_as_well() -> None:
    error = rebuild("InvalidInput", "inputs has 9 tokens", {"field": "inputs", "limit": 8, "other": 1})
    assert isinstance(error, InvalidInput)
    assert (error.field, error.limit) == ("inputs", 8)


def test_a_wait_that_is_too_long_is_an_error_of_ours_and_celerys(app: Application) -> None:
    with pytest.raises(errors.ResultTimeout, match=r"no outcome of request nothing within 0\.1 s") as caught:
        app.AsyncResult("nothing").get(timeout=0.1)
    assert isinstance(caught.value, CeleryTimeoutError)


def test_a_request_that_ended_in_celerys_timeout_is_not_mistaken_for_one(app: Application) -> None:
    app.backend.store_result("ended", CeleryTimeoutError("of its own"), "FAILURE")
    with pytest.raises(CeleryTimeoutError, match="of its own") as caught:
        LaneResult("ended", app=app).get(timeout=5)
    assert not isinstance(caught.value, errors.ResultTimeout)
