"""Requests of every kind go through SQS to a worker with real models, and each ends as it should."""

import io
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from celery import chord, group
from PIL import Image

from celery_inference import app, feature_extraction, image_classification, infer, provenance, text_generation
from celery_inference.specs.errors import DeviceCrash, InvalidInput, NotServedHere
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.lanes import LANES
from celery_inference.sqs.queues.depths import read_depths
from demo.processes import ROOT
from demo.stack import Stack
from demo.work import photographs
from tests.support.lanes import INFERENCE
from tests.support.peek import peek

pytestmark = pytest.mark.usefixtures("real_stack")
SECONDS = 90


def client(stack: Stack) -> Any:
    return make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")


def dead_letter_of(stack: Stack, task_id: str) -> DeadLetter:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        for letter in peek(client(stack), INFERENCE, 100):
            if letter.reason and letter.reason.task_id == task_id:
                return letter
        time.sleep(0.2)
    raise AssertionError(f"no dead letter of {task_id}")


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_embeddings_are_normalized_vectors_that_put_like_beside_like() -> None:
    parcel, delivery, soup = feature_extraction.delay(
        ["My parcel never arrived.", "The delivery is lost.", "The soup needs salt."]
    ).get(timeout=SECONDS)
    assert len(parcel) == 384
    assert math.isclose(cosine(parcel, parcel), 1.0, abs_tol=1e-5)
    assert cosine(parcel, delivery) > cosine(parcel, soup) + 0.2


def test_one_input_is_answered_by_one_result_and_a_list_by_a_list() -> None:
    alone = feature_extraction.delay("A single text.").get(timeout=SECONDS)
    (listed,) = feature_extraction.delay(["A single text."]).get(timeout=SECONDS)
    assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(alone, listed, strict=True))


def test_a_plain_python_program_needs_two_lines(real_stack: Stack) -> None:
    program = (
        "from celery_inference import feature_extraction\n"
        "print(len(feature_extraction.delay('Two lines.').get(timeout=60)))\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    environment = {"PATH": "", **real_stack.environment}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    assert (ended.stdout.strip(), ended.returncode) == ("384", 0), ended.stderr


def test_a_cat_is_seen_in_the_photograph() -> None:
    (photograph,) = [data for name, data in list(photographs())[:3] if name == "cat"]
    labels = image_classification.delay(photograph, top_k=3).get(timeout=SECONDS)
    assert len(labels) == 3
    assert "cat" in labels[0]["label"].lower()
    assert labels[0]["score"] > labels[1]["score"]


def test_a_photograph_larger_than_a_message_is_seen_as_well(real_stack: Stack) -> None:
    (photograph,) = [data for name, data in list(photographs())[:3] if name == "cat"]
    large = io.BytesIO()
    Image.open(io.BytesIO(photograph)).resize((900, 900)).save(large, "PNG")
    assert len(large.getvalue()) > 2 * INFERENCE.queue.max_message_bytes
    (labels,) = image_classification.delay([large.getvalue()], top_k=3).get(timeout=SECONDS)
    assert "cat" in labels[0]["label"].lower()
    until, claims = time.monotonic() + SECONDS, real_stack.folder / "claims"
    while list(claims.iterdir()):
        assert time.monotonic() < until, "the claimed payload is still there"
        time.sleep(0.05)


def test_generated_text_obeys_its_options_and_is_greedy_by_default() -> None:
    one, other = (text_generation.delay("What is the capital of France?", max_new_tokens=12) for _ in range(2))
    first = one.get(timeout=SECONDS)[0]["generated_text"]
    assert "Paris" in first
    assert other.get(timeout=SECONDS)[0]["generated_text"] == first


def test_infer_takes_any_model_by_name() -> None:
    assert len(infer.delay("all-minilm-l6-v2", "By name.").get(timeout=SECONDS)) == 384


def test_many_waiting_requests_run_as_batches(real_stack: Stack) -> None:
    results = group(feature_extraction.s(f"text number {number}") for number in range(64)).apply_async()
    vectors = results.get(timeout=SECONDS)
    assert len(vectors) == 64
    assert len({tuple(vector) for vector in vectors}) == 64


def test_a_chord_calls_back_when_its_parts_have_ended() -> None:
    parts = chord(text_generation.s(f"Name {thing}.", max_new_tokens=4) for thing in ("a fruit", "a colour"))
    joined = parts(feature_extraction.si("joined"))
    assert len(joined.get(timeout=SECONDS)) == 384


def test_bad_input_is_refused_before_anything_is_sent(real_stack: Stack) -> None:
    sqs = client(real_stack)
    before = read_depths(sqs, LANES)
    with pytest.raises(InvalidInput, match=r"inputs\[1\]"):
        feature_extraction.delay(["fine", ""])
    with pytest.raises(InvalidInput, match="not int"):
        feature_extraction.delay(5)
    with pytest.raises(InvalidInput, match="20,000"):
        feature_extraction.delay("x" * 20_001)
    with pytest.raises(InvalidInput, match="all-minilm-l6-v2"):
        feature_extraction.delay("text", model="all-minilm-l6-v3")
    with pytest.raises(InvalidInput, match="max_new_tokens"):
        text_generation.delay("text", max_new_token=5)
    with pytest.raises(InvalidInput, match="serves text-generation"):
        feature_extraction.delay("text", model="smollm2-135m-instruct")
    with pytest.raises(InvalidInput, match="paths are not opened"):
        image_classification.delay("/etc/hostname")
    with pytest.raises(TypeError):
        feature_extraction.delay()
    assert [depth.visible for depth in read_depths(sqs, LANES)] == [depth.visible for depth in before]


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ([{"not": "a text"}], {}, InvalidInput),
        ([""], {}, InvalidInput),
        (["text"], {"model": "unknown"}, NotServedHere),
        (["text"], {"nonsense": 1}, NotServedHere),
    ],
)
def test_the_worker_refuses_what_others_send_and_keeps_it_with_the_reason(
    real_stack: Stack, args: list[Any], kwargs: dict[str, Any], error: type[Exception]
) -> None:
    sent = app.send_task("celery_inference.feature_extraction", args=args, kwargs=kwargs)
    with pytest.raises(error):
        sent.get(timeout=SECONDS)
    assert sent.state == "FAILURE"
    letter = dead_letter_of(real_stack, sent.id)
    assert letter.reason is not None
    assert letter.reason.attempts == 0, "the model was never asked"
    assert letter.reason.message == str(sent.result)


def refused(task: str, *args: Any, **kwargs: Any) -> InvalidInput | NotServedHere:
    """What a request that no check of the sender has seen ends with."""
    with pytest.raises((InvalidInput, NotServedHere)) as caught:
        app.send_task(f"celery_inference.{task}", args=args, kwargs=kwargs).get(timeout=SECONDS)
    return caught.value


def test_what_the_worker_refuses_says_field_place_limit_and_what_is_allowed() -> None:
    long = refused("feature_extraction", ["fine", "x" * 20_001])
    assert (long.field, long.index, long.limit) == ("inputs[1]", 1, 20_000)
    option = refused("image_classification", "", topk=3)
    assert (option.field, option.allowed, option.nearest) == (
        "option",
        ("inputs", "model", "return_errors", "top_k"),
        "top_k",
    )
    model = refused("feature_extraction", "text", model="all-minilm-l6-v3")
    assert (model.field, model.nearest) == ("model", "all-minilm-l6-v2")
    assert "fragile" in (model.allowed or ())


def test_what_a_device_process_refuses_says_so_too() -> None:
    # Fewer characters than are allowed, and more tokens.
    long = refused("feature_extraction", ["fine", "a b " * 4_000])
    assert (long.field, long.index) == ("inputs[1]", 1)
    assert isinstance(long.limit, int)
    assert f"at most {long.limit:,} are allowed" in str(long)


def test_a_request_that_crashes_its_device_process_fails_alone(real_stack: Stack) -> None:
    crashing = infer.delay("fragile", "please divide by zero")
    neighbours = [infer.delay("fragile", f"innocent {number}") for number in range(12)]
    assert [len(neighbour.get(timeout=SECONDS)) for neighbour in neighbours] == [384] * 12
    with pytest.raises(DeviceCrash):
        crashing.get(timeout=SECONDS)
    letter = dead_letter_of(real_stack, crashing.id)
    assert letter.reason is not None
    assert letter.reason.error_type == "DeviceCrash"


def test_a_result_says_with_what_it_was_made_and_so_does_a_failure() -> None:
    done = feature_extraction.delay("A text.")
    done.get(timeout=SECONDS)
    facts = provenance(done)
    assert facts is not None
    assert (facts["model"], facts["source"], facts["dtype"]) == ("all-minilm-l6-v2", "all-minilm-l6-v2", "float32")
    assert facts["versions"].keys() >= {"torch", "transformers", "tokenizers", "safetensors"}
    failed = infer.delay("fragile", "please divide by zero")
    with pytest.raises(DeviceCrash):
        failed.get(timeout=SECONDS)
    failure = provenance(failed)
    assert failure is not None
    assert failure["model"] == "fragile"


def test_no_work_is_left_behind(real_stack: Stack) -> None:
    until = time.monotonic() + 30
    sqs = client(real_stack)
    while time.monotonic() < until:
        lane, _ = read_depths(sqs, [INFERENCE])
        if lane.total == 0:
            break
        time.sleep(0.2)
    assert lane.total == 0


def test_commands_see_the_queues(real_stack: Stack) -> None:
    def run(*command: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "celery_inference", "queues", *command],
            cwd=ROOT,
            env={"PATH": "", **real_stack.environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    assert "inference-dlq" in run("create")
    assert "as declared" in run("check")
    assert "inference-dlq" in run("list")


def test_the_worker_says_what_it_serves(real_stack: Stack) -> None:
    log = Path(real_stack.folder / "worker.log").read_text()
    assert "models: all-minilm-l6-v2 (feature-extraction)" in log
    assert "devices: " in log
    assert "queues: inference" in log
