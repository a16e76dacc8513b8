"""The same messages to a worker, to the Lambda function and to a worker that forwards to a SageMaker endpoint.

What becomes of each, for its caller and in the dead-letter queue, is the same whoever consumed it.
"""

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from celery_inference import app, image_classification, text_classification, upload
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.messages.reason import Cause
from celery_inference.sqs.queues.depths import read_depths
from demo.processes import free_port
from demo.stack import Stack
from tests.support import samples, tiny_models
from tests.support.client import client_of
from tests.support.lambda_service import LambdaService
from tests.support.lanes import BULK, INFERENCE, LAMBDA
from tests.support.peek import peek
from tests.support.sagemaker_runtime import SageMakerRuntime

SECONDS = 900  # a bound against hangs, not a figure
pytestmark = pytest.mark.timeout(3 * SECONDS)
CONSUMERS = {"worker": INFERENCE, "function": LAMBDA, "endpoint": BULK}
SETTINGS = {
    "CELERY_INFERENCE_LEASE_SECONDS": "30",
    "CELERY_INFERENCE_RETRY_BASE_SECONDS": "0.1",
    "CELERY_INFERENCE_RETRY_CAP_SECONDS": "0.5",
    "CELERY_INFERENCE_UNKNOWN_TASK_GRACE_SECONDS": "0",
}
# The fault's words are those of a failing GPU, which is nobody's input's fault, and costs all of a batch an attempt.
CATALOGUE = """
[tiny]
task = "text-classification"
source = "{folder}/tiny"
max_tokens = 64
batch_size = 1
{endpoint}

[tiny.faults]
kill = "kill me"
fail = "cuda error"

[eye]
task = "image-classification"
source = "{folder}/eye"
batch_size = 1
example = "{picture}"
{endpoint}
"""


@dataclass(frozen=True)
class Ending:
    """State and error class of a request, and error type, cause and attempts (None: all) of its letter."""

    state: str
    error: str | None = None
    letter: tuple[str, Cause] | None = None
    attempts: int | None = 1


@dataclass(frozen=True)
class Case:
    """One request, sent past the sender's checks, and how it ends. Inputs may be made when they are sent."""

    ending: Ending
    inputs: Any
    options: dict[str, Any] | None = None
    task: str = "celery_inference.text_classification"
    expires: float | None = None


INVALID = Cause.INVALID_INPUT
PICTURE = base64.b64decode(samples.photograph(1))
NOTHING = {"claim": {"key": "0" * 32, "size_bytes": 1, "sha256": "0" * 64}}
EYE = {"model": "eye"}
CASES = {
    "good": Case(Ending("SUCCESS"), "the cat sleeps under the tree", {"top_k": 3}),
    "several": Case(Ending("SUCCESS"), ["the cat", "a dog runs over the river", "rain"], {"top_k": 3}),
    "claimed": Case(
        Ending("SUCCESS"), lambda: upload(PICTURE), {"top_k": 3, **EYE}, task="celery_inference.image_classification"
    ),
    "claim of nothing": Case(
        Ending("FAILURE", "InvalidInput", ("InvalidInput", INVALID), 0),
        NOTHING,
        EYE,
        task="celery_inference.image_classification",
    ),
    "wrong type": Case(Ending("FAILURE", "InvalidInput", ("InvalidInput", INVALID), 0), {"not": "a text"}),
    "one of several": Case(Ending("FAILURE", "InvalidInput", ("InvalidInput", INVALID), 0), ["a cat", ""]),
    "too long": Case(Ending("FAILURE", "InvalidInput", ("InvalidInput", INVALID)), "cat " * 200),
    "unknown option": Case(
        Ending("FAILURE", "NotServedHere", ("NotServedHere", Cause.UNKNOWN_TASK), 0), "a cat", {"top_kk": 1}
    ),
    "unknown model": Case(
        Ending("FAILURE", "NotServedHere", ("NotServedHere", Cause.UNKNOWN_TASK), 0), "a cat", {"model": "none"}
    ),
    "unknown task": Case(
        Ending("FAILURE", "NotRegistered", ("UnknownTask", Cause.UNKNOWN_TASK), 0), "a cat", task="tasks.nobody"
    ),
    "crashing": Case(Ending("FAILURE", "DeviceCrash", ("DeviceCrash", Cause.CRASH)), "please kill me"),
    "transient": Case(
        Ending("FAILURE", "DeviceLost", ("DeviceLost", Cause.ATTEMPTS_USED_UP), None), "a cuda error, please"
    ),
    "expired": Case(Ending("REVOKED", "RequestExpired"), "a cat", expires=-5),
}
POISON = (
    "\u2603 no message of Celery's",
    '{"properties": 5}',
    '{"body": "e30=", "headers": {"task": 5}, "properties": {}}',
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server and all three consumers."""
    folder = tmp_path_factory.mktemp("conformance")
    model = folder / "models"
    tiny_models.make("text-classification", model / "tiny")
    tiny_models.make("image-classification", model / "eye")
    picture = base64.b64encode(PICTURE).decode()
    here, there = folder / "here.toml", folder / "there.toml"
    here.write_text(CATALOGUE.format(folder=model, picture=picture, endpoint=""))
    there.write_text(CATALOGUE.format(folder=model, picture=picture, endpoint='endpoint = "tiny-endpoint"'))
    settings = SETTINGS | {"CELERY_INFERENCE_STATE": str(folder / "state")}
    with Stack(folder / "stack", catalogue=here, **settings) as stack, client_of(stack):
        stack.start_server()
        assert stack.start("create", "celery_inference", "queues", "create").wait(60) == 0
        port = free_port()
        container = stack.start("container", "deploy.sagemaker.container", "--port", str(port))
        with (
            SageMakerRuntime({"tiny-endpoint": f"http://127.0.0.1:{port}"}) as runtime,
            LambdaService(folder, stack.environment, stack.endpoint, timeout_seconds=60.0) as function,
        ):
            function.process.wait_until(lambda text: "loaded tiny" in text and "loaded eye" in text, 120)
            function.map(LAMBDA.name)
            stack.start_worker("worker", "-Q", INFERENCE.name)
            container.wait_until(lambda text: "serving" in text and "tiny" in text and "eye" in text, 120)
            stack.environment |= {"CELERY_INFERENCE_CATALOGUE": str(there), **runtime.environment()}
            stack.start_worker("endpoint", "-Q", BULK.name)
            yield stack
            assert runtime.bodies, "the endpoint was asked"
            assert function.invocations, "the function was invoked"


@pytest.fixture(scope="module")
def sqs(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


@dataclass
class Seen:
    """What became of all cases at one consumer."""

    results: dict[str, Any]
    letters: dict[str, DeadLetter]
    poison: list[DeadLetter]


@pytest.fixture(scope="module")
def seen(stack: Stack, sqs: Any) -> dict[str, Seen]:
    results = {
        consumer: {name: send(case, lane.name) for name, case in CASES.items()} for consumer, lane in CONSUMERS.items()
    }
    for lane in CONSUMERS.values():
        url = sqs.get_queue_url(QueueName=lane.name)["QueueUrl"]
        for body in POISON:
            sqs.send_message(QueueUrl=url, MessageBody=body)
    until = time.monotonic() + SECONDS
    pulse: list[Any] = []
    while waiting := [r for found in results.values() for r in found.values() if not r.ready()]:
        assert time.monotonic() < until, f"{len(waiting)} requests have no outcome: {[r.state for r in waiting]}"
        # A device that does nothing but fail is given up; others' requests go on meanwhile, as they would anywhere.
        pulse += [text_classification.apply_async(("a bird sings",), queue=lane.name) for lane in CONSUMERS.values()]
        time.sleep(1.0)
    assert all(one.get(timeout=60) for one in pulse)
    lanes, until = list(CONSUMERS.values()), time.monotonic() + SECONDS
    while any(depth.total for depth in read_depths(sqs, lanes) if not depth.dead_letter_queue):
        assert time.monotonic() < until, "something is left on a lane"
        time.sleep(0.2)
    found: dict[str, Seen] = {}
    for consumer, lane in CONSUMERS.items():
        letters = peek(sqs, lane, 100)
        named = {letter.reason.task_id: letter for letter in letters if letter.reason and letter.reason.task_id}
        mine = {name: named.pop(result.id) for name, result in results[consumer].items() if result.id in named}
        assert not named, "letters of nobody"
        rest = [letter for letter in letters if not (letter.reason and letter.reason.task_id)]
        found[consumer] = Seen(results[consumer], mine, rest)
    return found


def send(case: Case, queue: str) -> Any:
    made = case.inputs() if callable(case.inputs) else case.inputs
    kwargs = {"inputs": made, "model": "tiny", **(case.options or {})}
    result = app.send_task(case.task, (), kwargs, queue=queue, expires=case.expires)
    return text_classification.AsyncResult(result.id)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_request_ends_the_same_wherever_it_is_consumed(seen: dict[str, Seen], consumer: str, name: str) -> None:
    expected, result = CASES[name].ending, seen[consumer].results[name]
    assert result.state == expected.state
    error = result.result if isinstance(result.result, BaseException) else None
    assert (type(error).__name__ if error else None) == expected.error
    letter = seen[consumer].letters.get(name)
    reason = letter.reason if letter else None
    assert ((reason.error_type, reason.cause) if reason else None) == expected.letter
    if reason is not None:
        attempts = CONSUMERS[consumer].max_receive_count if expected.attempts is None else expected.attempts
        assert reason.attempts == attempts
        assert reason.lane == CONSUMERS[consumer].name
        by_worker = seen["worker"].letters[name].reason
        assert by_worker is not None
        assert (reason.message, reason.model) == (by_worker.message, by_worker.model)


@pytest.mark.parametrize("name", ["good", "several", "claimed"])
def test_results_are_the_same_wherever_they_are_made(seen: dict[str, Seen], name: str) -> None:
    def flat(consumer: str) -> tuple[list[str], list[float]]:
        answers = seen[consumer].results[name].get(timeout=60)
        labels = [label for answer in (answers if name == "several" else [answers]) for label in answer]
        return [label["label"] for label in labels], [label["score"] for label in labels]

    labels, scores = flat("worker")
    if name == "claimed":
        inline = image_classification.delay(PICTURE, top_k=3).get(timeout=60)
        assert [(one["label"], one["score"]) for one in inline] == list(zip(labels, scores, strict=True))
    assert len(labels) == (9 if name == "several" else 3)
    for consumer in CONSUMERS:
        assert flat(consumer)[0] == labels
        assert flat(consumer)[1] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_bad_bytes_are_dead_letters_byte_for_byte_wherever_they_are_met(seen: dict[str, Seen], consumer: str) -> None:
    poison = seen[consumer].poison
    assert sorted(letter.body for letter in poison) == sorted(POISON)
    assert {letter.reason.error_type for letter in poison if letter.reason} == {"UndecodableMessage"}
    assert all(letter.reason is not None for letter in poison)
