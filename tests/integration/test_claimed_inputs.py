"""Media that are kept once and used by many requests, with a real worker, on a folder and on a bucket of S3 (moto)."""

import base64
import hashlib
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from kombu.exceptions import OperationalError
from PIL import Image

import celery_inference
from celery_inference import app, delete_upload, upload
from celery_inference.errors import RequestCancelled
from celery_inference.results.access import store_of
from celery_inference.specs.errors import InvalidInput
from celery_inference.sqs.api.client_factory import make_client
from celery_inference.sqs.dead_letters.letter import DeadLetter
from celery_inference.sqs.messages.reason import Cause
from celery_inference.sqs.queues.depths import read_depths
from demo.stack import Stack
from tests.support import samples, tiny_models
from tests.support.client import client_of
from tests.support.engines import wait_for
from tests.support.kept import Kept, bucket, folder_in
from tests.support.lanes import BULK, INFERENCE
from tests.support.peek import peek

SECONDS = 90
PICTURE, OTHER = (base64.b64decode(samples.photograph(seed)) for seed in (1, 2))
# One a batch: how a batch is composed shows in the eighth digit.
CATALOGUE = """
[seeing]
task = "image-classification"
source = "{folder}/seeing"
batch_size = 1

[hearing]
task = "audio-classification"
source = "{folder}/hearing"
batch_size = 1

[talking]
task = "image-text-to-text"
source = "{folder}/talking"
max_tokens = 128
"""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_models.make("image-classification", folder / "seeing")
    tiny_models.make("audio-classification", folder / "hearing")
    tiny_models.make("image-text-to-text", folder / "talking", chat=True)
    (folder / "catalogue.toml").write_text(CATALOGUE.format(folder=folder))
    return folder / "catalogue.toml"


@pytest.fixture(scope="module", params=["folder", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with nullcontext(folder_in(tmp_path_factory.mktemp("kept"))) if request.param == "folder" else bucket() as kept:
        yield kept


@pytest.fixture(scope="module")
def stack(kept: Kept, catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = kept.environment | {
        "CELERY_INFERENCE_LEASE_SECONDS": "5",
        "CELERY_INFERENCE_RETRY_BASE_SECONDS": "0.1",
        "CELERY_INFERENCE_RETRY_CAP_SECONDS": "0.5",
        "CELERY_INFERENCE_UNKNOWN_TASK_GRACE_SECONDS": "0",
        "CELERY_INFERENCE_DEAD_LETTER_SHARE": "1",
    }
    folder = tmp_path_factory.mktemp("stack")
    settings["CELERY_INFERENCE_STATE"] = str(folder / "state")
    with Stack(folder, catalogue=catalogue, **settings) as stack, client_of(stack):
        stack.start_server()
        stack.start_worker("worker", "-Q", INFERENCE.name)
        yield stack


def letter_of(stack: Stack, result: Any, lane: Any = INFERENCE) -> DeadLetter:
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    until = time.monotonic() + SECONDS
    while True:
        for letter in peek(client, lane, 100):
            if letter.reason is not None and letter.reason.task_id == result.id:
                return letter
        assert time.monotonic() < until, "no dead letter"
        time.sleep(0.1)


def cause_of(letter: DeadLetter) -> tuple[str, Cause, int]:
    assert letter.reason is not None
    return letter.reason.error_type, letter.reason.cause, letter.reason.attempts


def command(stack: Stack, *words: str) -> str:
    asked = [sys.executable, "-m", "celery_inference", *words]
    environment = os.environ | stack.environment
    answer = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def chat(picture: Any) -> list[dict[str, Any]]:
    parts = [{"type": "image", "image": picture}, {"type": "text", "text": "the cat"}]
    return [{"role": "user", "content": parts}]


def test_one_object_serves_many_requests_and_models_with_the_answers_of_its_bytes(stack: Stack, kept: Kept) -> None:
    before = len(kept.keys())
    picture, sound = upload(PICTURE), upload(memoryview(base64.b64decode(samples.recording(1))))
    assert len(kept.keys()) == before + 2
    asked: list[tuple[Any, Callable[..., Any]]] = [
        (celery_inference.image_classification, lambda here, _: here),
        (celery_inference.image_classification, lambda here, _: [OTHER, here, base64.b64encode(OTHER).decode(), here]),
        (celery_inference.audio_classification, lambda _, heard: heard),
        (celery_inference.image_text_to_text, lambda here, _: {"image": here, "text": "the cat"}),
        (celery_inference.image_text_to_text, lambda here, _: chat(here)),
        (celery_inference.image_text_to_text, lambda here, _: [chat(here), chat(OTHER)]),
    ]
    claimed = [task.delay(made(picture, sound)) for task, made in asked]
    inline = [task.delay(made(PICTURE, base64.b64decode(samples.recording(1)))) for task, made in asked]
    answers = [result.get(timeout=SECONDS) for result in claimed]
    assert answers == [result.get(timeout=SECONDS) for result in inline]
    assert answers[1][1] == answers[1][3] == answers[0]
    assert answers[1][0] == answers[1][2] != answers[0], "each has its own picture's answer"
    assert len(kept.keys()) == before + 2, "what many may claim is not removed with one message"
    for one in (picture, sound):
        delete_upload(one)
        delete_upload(one)
    assert len(kept.keys()) == before


def test_what_is_gone_is_the_callers_fault_until_it_is_there_again(stack: Stack, kept: Kept) -> None:
    picture = upload(PICTURE)
    delete_upload(picture)
    result = celery_inference.image_classification.delay([OTHER, picture])
    with pytest.raises(InvalidInput, match=rf"inputs\[1\] claims {picture['claim']['key']}, which is not in"):
        result.get(timeout=SECONDS)
    letter = letter_of(stack, result)
    assert cause_of(letter) == ("InvalidInput", Cause.INVALID_INPUT, 0)
    kept.overwrite(kept.place_of(picture["claim"]["key"]), PICTURE)
    expected = celery_inference.image_classification.delay([OTHER, PICTURE]).get(timeout=SECONDS)
    if kept.folder is not None:  # a command of its own loads a model, which need not be shown twice
        assert command(stack, "dlq", "replay", result.id).strip()
    command(stack, "dlq", "redrive", result.id)
    until = time.monotonic() + SECONDS
    while (again := celery_inference.image_classification.AsyncResult(result.id)).state != "SUCCESS":
        assert time.monotonic() < until, again.state
        time.sleep(0.1)
    assert again.get(timeout=SECONDS) == expected


@pytest.mark.parametrize("other", [OTHER, PICTURE + b"x", PICTURE[:-1], b""], ids=["another", "more", "less", "none"])
def test_other_bytes_than_were_kept_reach_no_model(stack: Stack, kept: Kept, other: bytes) -> None:
    picture = upload(PICTURE)
    kept.overwrite(kept.place_of(picture["claim"]["key"]), other)
    result = celery_inference.image_classification.delay(picture)
    with pytest.raises(InvalidInput, match=r"inputs has a claim that cannot be redeemed: .* not the one that was"):
        result.get(timeout=SECONDS)
    assert cause_of(letter_of(stack, result)) == ("InvalidInput", Cause.INVALID_INPUT, 0)


def test_one_key_under_two_digests_proves_only_one_of_them(stack: Stack) -> None:
    picture = upload(PICTURE)
    forged = {"claim": picture["claim"] | {"sha256": hashlib.sha256(b"x").hexdigest()}}
    with pytest.raises(InvalidInput, match=r"inputs\[1\] has a claim that cannot be redeemed"):
        celery_inference.image_classification.delay([picture, forged]).get(timeout=SECONDS)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"no picture at all", "inputs is none of PNG, JPEG and WebP"),
        (PICTURE[:200], "inputs is no image that can be decoded"),
    ],
)
def test_what_holds_for_bytes_holds_for_what_was_kept(stack: Stack, data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        celery_inference.image_classification.delay(upload(data)).get(timeout=SECONDS)


def test_a_store_that_is_away_costs_no_attempt_and_is_waited_for(stack: Stack, kept: Kept) -> None:
    picture = upload(PICTURE)
    with kept.away():
        result = celery_inference.image_classification.delay(picture)
        given_back = f"request {result.id}: before its attempt failed: ClaimStoreAway"
        until, log = time.monotonic() + SECONDS, stack.folder / "worker.log"
        while log.read_text().count(given_back) <= INFERENCE.max_receive_count:
            assert time.monotonic() < until, result.state
            time.sleep(0.1)
        assert result.state == "RETRY"
        assert "the claim-check store" in str(result.result)
        assert store_of(app).attempts([(result.id, 0)]) == {}, "nothing was tried"
        if kept.folder is None:  # a folder that is not there is made
            with pytest.raises(OperationalError, match="claim-check store"):
                upload(PICTURE)
        others = celery_inference.image_classification.delay(OTHER)
        assert others.get(timeout=SECONDS), "who claims nothing is not held up"
    assert result.get(timeout=SECONDS) == celery_inference.image_classification.delay(PICTURE).get(timeout=SECONDS)


def test_a_store_that_hangs_holds_up_no_other_and_no_stop(stack: Stack, kept: Kept) -> None:
    pictures = [upload(PICTURE) for _ in range(20)]  # more than are fetched at once
    worker = stack.start_worker("patient", "-Q", BULK.name, "--concurrency", "32")
    client = make_client(endpoint_url=stack.endpoint, region="us-east-1", access_key="local", secret_key="local")
    with kept.hanging():
        results = [
            celery_inference.image_classification.apply_async((picture,), queue=BULK.name) for picture in pictures
        ]
        expected = celery_inference.image_classification.apply_async((PICTURE,), queue=BULK.name).get(timeout=SECONDS)
        wait_for(lambda: depth_of(client).in_flight == 20, "all are held")
        revoked = results.pop()
        revoked.revoke()
        wait_for(lambda: depth_of(client).in_flight == 19, "what is revoked waits no longer")
        with pytest.raises(RequestCancelled):
            revoked.get(timeout=SECONDS)
        worker.stop(SECONDS)
        assert worker.wait(1) == 0, "it ended by itself"
        assert depth_of(client).visible == 19, worker.text()
    worker = stack.start_worker("ready", "-Q", BULK.name)
    assert [result.get(timeout=SECONDS) for result in results] == [expected] * len(results)
    worker.stop()


def test_what_large_inputs_took_is_given_back_to_the_system(stack: Stack) -> None:
    noise = Image.frombytes("RGB", (1600, 1600), random.Random(1).randbytes(1600 * 1600 * 3))
    data = io.BytesIO()
    noise.save(data, "PNG", compress_level=0)
    picture = upload(data.getvalue())
    worker = stack.start_worker("roomy", "-Q", BULK.name)
    before = memory_of(worker.pid)
    asked = [celery_inference.image_classification.apply_async(([picture] * 2,), queue=BULK.name) for _ in range(16)]
    assert len([result.get(timeout=SECONDS) for result in asked]) == 16, "of 330 MB as base64"
    wait_for(lambda: memory_of(worker.pid) < before + 100 * 2**20, "it gives the memory back")
    worker.stop()


def memory_of(pid: int) -> int:
    """A process's resident bytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def depth_of(client: Any) -> Any:
    (depth,) = (depth for depth in read_depths(client, [BULK]) if not depth.dead_letter_queue)
    return depth


def test_a_worker_without_a_store_says_what_it_lacks(stack: Stack) -> None:
    lacking = {"CELERY_INFERENCE_CLAIM_CHECK": "off"}
    before, stack.environment = stack.environment, stack.environment | lacking
    worker = stack.start_worker("lacking", "-Q", BULK.name)
    stack.environment = before
    result = celery_inference.image_classification.apply_async((upload(PICTURE),), queue=BULK.name)
    with pytest.raises(Exception, match="no claim-check store here: set CELERY_INFERENCE_CLAIM_CHECK"):
        result.get(timeout=SECONDS)
    assert cause_of(letter_of(stack, result, BULK))[0] == "NotServedHere"
    worker.stop()


def test_an_application_is_told_at_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for data, sentence in (("cat.jpg", "data must be a file's bytes, not str"), (b"", "data is empty")):
        with pytest.raises(InvalidInput, match=sentence):
            upload(data)  # type: ignore[arg-type]
    with monkeypatch.context() as small:
        small.setattr("celery_inference.client.uploads.MAX_PAYLOAD_BYTES", 10)
        with pytest.raises(InvalidInput, match="data has 11 bytes; at most 10 are allowed"):
            upload(b"x" * 11)
    with pytest.raises(InvalidInput, match="kept must be as keep"):
        delete_upload({"key": "0" * 32})
    claim = {"key": "0" * 32, "size_bytes": 8_000_001, "sha256": "0" * 64}
    with pytest.raises(InvalidInput, match="at most 8,000,000 are allowed"):
        celery_inference.image_classification.delay({"claim": claim})
    monkeypatch.setitem(app.conf.broker_transport_options, "claim_check", None)
    with pytest.raises(OperationalError, match="no store is configured here; CELERY_INFERENCE_CLAIM_CHECK names one"):
        upload(PICTURE)
