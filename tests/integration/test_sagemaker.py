"""A container with tiny models as a process, and an engine whose model lives there, over SageMaker's runtime API."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from celery_inference.specs.errors import DeviceCrash, DeviceLost, InputFailed, InvalidInput, ModelLoadError, ModelOut
from celery_inference.specs.model_spec import ModelSpec
from demo.processes import Process, free_port
from models.engine import Engine
from tests.support import tiny_models
from tests.support.engines import running, send, spec, wait_for
from tests.support.sagemaker_runtime import SageMakerRuntime

SECONDS = 180
PROGRAM = "deploy.sagemaker.forwarder"
TEXTS = tiny_models.TEXTS
CATALOGUE = """
[tiny]
task = "text-classification"
source = "{folder}"
max_tokens = 128
endpoint = "tiny-endpoint"

[tiny.faults]
kill = "kill me"
fail = "raise me"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make("text-classification", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def container(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("container")
    (home / "catalogue.toml").write_text(CATALOGUE.format(folder=folder))
    environment = {
        "CELERY_INFERENCE_CATALOGUE": str(home / "catalogue.toml"),
        "CELERY_INFERENCE_STATE": str(home / "state"),
    }
    port = free_port()
    command = [sys.executable, "-m", "deploy.sagemaker.container", "--port", str(port), "serve"]
    process = Process("container", command, home / "log", environment)
    try:
        process.wait_until(lambda text: "listening" in text, SECONDS)
        seen = {status(f"http://127.0.0.1:{port}/ping")}
        process.wait_until(lambda text: "serving tiny" in text, 2 * SECONDS)
        assert seen <= {200, 503}
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()
    assert process.wait(1) == 0, process.text()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    client.create_bucket(Bucket="objects")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def runtime(container: str, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMakerRuntime]:
    with SageMakerRuntime({"tiny-endpoint": container}, s3=s3) as runtime:
        for name, value in runtime.environment().items():
            monkeypatch.setenv(name, value)
        yield runtime


@pytest.fixture
def there(folder: Path) -> ModelSpec:
    return spec("text-classification", folder, name="tiny", endpoint="tiny-endpoint", time_limit_seconds=120.0)


@pytest.fixture
def engine(there: ModelSpec, runtime: SageMakerRuntime) -> Iterator[Engine]:
    with running(there, endpoint_program=PROGRAM) as engine:
        runtime.bodies.clear()
        yield engine


def ask(url: str, content: Any, **headers: str) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(url, data=body, method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# The container by itself.


def test_a_container_is_asked_like_those_of_hugging_face(container: str) -> None:
    assert status(f"{container}/ping") == 200
    code, one = ask(f"{container}/invocations", {"inputs": "the cat sleeps", "parameters": {"top_k": 2}})
    assert (code, len(one)) == (200, 2)
    code, several = ask(f"{container}/invocations", {"inputs": ["the cat sleeps", "a dog"], "parameters": {"top_k": 2}})
    assert (code, len(several)) == (200, 2)
    assert [label["label"] for label in several[0]] == [label["label"] for label in one]
    assert [label["score"] for label in several[0]] == pytest.approx([label["score"] for label in one], abs=1e-4)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"{", 400, "no JSON"),
        ([1], 400, "the body must be"),
        ({"inputs": "a cat", "params": {}}, 400, "'params'"),
        ({"inputs": {"not": "a text"}}, 422, "unknown part"),
        ({"inputs": "a cat", "parameters": {"top_kk": 1}}, 422, "top_k"),
        ({"inputs": "raise me"}, 500, "made the model raise"),
    ],
)
def test_a_container_says_what_is_wrong(container: str, content: Any, code: int, words: str) -> None:
    answered, said = ask(f"{container}/invocations", content)
    assert answered == code
    assert words in said["error"]


def test_each_input_of_a_forwarders_batch_is_answered_by_itself(container: str) -> None:
    mark = {"X-Amzn-SageMaker-Custom-Attributes": "celery-inference; model=tiny; seconds=240"}
    inputs = ["a cat", "kill me", "", "raise me", "a dog"]
    code, said = ask(f"{container}/invocations", {"inputs": inputs, "parameters": {}}, **mark)
    assert code == 200
    assert [answer.get("error") for answer in said["answers"]] == [
        None,
        "DeviceCrash",
        "InvalidInput",
        "InputFailed",
        None,
    ]
    assert "torch" in said["versions"]


def test_what_is_no_path_no_body_or_too_much_of_one_is_refused(container: str) -> None:
    assert status(f"{container}/elsewhere") == 404
    assert ask(f"{container}/elsewhere", {})[0] == 404
    request = urllib.request.Request(f"{container}/invocations", method="POST", headers={"Content-Length": str(10**9)})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=SECONDS)
    with refused.value as answer:
        assert answer.code == 413


# The engine, through the runtime, to the container.


def test_results_are_those_of_the_model_at_home_and_batches_are_kept(
    engine: Engine, there: ModelSpec, runtime: SageMakerRuntime
) -> None:
    futures = [send(engine, there, text, top_k=3) for text in TEXTS[:64]]
    elsewhere = [future.result(SECONDS)[0] for future in futures]
    assert len(runtime.bodies) <= 24, "64 inputs in batches of up to 16, four at once"
    assert engine.describe("tiny")["versions"]["endpoint"] == "tiny-endpoint"
    assert "torch" in engine.describe("tiny")["versions"]
    with running(replace(there, endpoint=None)) as at_home:
        here = [send(at_home, there, text, top_k=3).result(SECONDS)[0] for text in TEXTS[:8]]
    for mine, theirs in zip(here, elsewhere, strict=False):
        assert [each["label"] for each in mine] == [each["label"] for each in theirs]
        assert [each["score"] for each in mine] == pytest.approx([each["score"] for each in theirs], abs=1e-4)


@pytest.mark.parametrize("fault", ["throttle", "too many", "not ready", "unavailable", "failure", "dependency"])
def test_what_passes_is_waited_for(engine: Engine, there: ModelSpec, runtime: SageMakerRuntime, fault: str) -> None:
    runtime.faults.extend([fault] * 2)
    assert send(engine, there, "a cat", top_k=1).result(SECONDS)
    assert len(runtime.bodies) == 3


def test_a_bad_input_fails_alone(engine: Engine, there: ModelSpec) -> None:
    good = [send(engine, there, text) for text in TEXTS[:6]]
    bad = [engine.submit("tiny", [value], {}) for value in ("kill me", "raise me", "")]
    for future, error in zip(bad, (DeviceCrash, InputFailed, InvalidInput), strict=True):
        with pytest.raises(error):
            future.result(SECONDS)
    assert all(future.result(SECONDS) for future in good)
    # Its own input of a list, with the facts that the container knows.
    one, too_long = engine.submit("tiny", ["a cat", "cat " * 200], {}, errors={}).result(SECONDS)
    assert (one[0].keys(), too_long.index, too_long.field) == ({"label", "score"}, 1, "inputs[1]")
    assert (type(too_long), too_long.limit) == (InvalidInput, 128)
    with pytest.raises(InvalidInput) as caught:
        engine.submit("tiny", ["a cat"], {"top_k": 0}, errors={}).result(SECONDS)
    assert (caught.value.field, caught.value.index, caught.value.limit) == ("option top_k", None, 1)


def test_an_input_that_hangs_the_container_fails_alone(
    engine: Engine, there: ModelSpec, runtime: SageMakerRuntime
) -> None:
    runtime.poison = lambda body: "model timeout" if b"dreadful" in body else None
    bad = send(engine, there, "a dreadful cat")
    good = [send(engine, there, text) for text in TEXTS[:6]]
    with pytest.raises(DeviceCrash, match="answers its example"):
        bad.result(SECONDS)
    assert all(future.result(SECONDS) for future in good)


@pytest.mark.parametrize("fault", ["denied", "validation", "model 500"])
def test_an_endpoint_that_is_away_takes_its_model_out_and_comes_back(
    engine: Engine, there: ModelSpec, runtime: SageMakerRuntime, fault: str
) -> None:
    runtime.poison = lambda _: fault
    with pytest.raises(DeviceLost):
        send(engine, there, "a cat").result(SECONDS)
    wait_for(lambda: engine.stats()["out"] == ["tiny"], "the model is out")
    with pytest.raises(ModelOut, match="cannot be reached"):
        send(engine, there, "a cat").result(SECONDS)
    runtime.poison = lambda _: None
    wait_for(lambda: engine.stats()["out"] == [], "the model is back")
    assert send(engine, there, "a cat").result(SECONDS)


def test_an_endpoint_that_does_not_exist_is_a_sentence_at_the_start(
    there: ModelSpec, runtime: SageMakerRuntime
) -> None:
    nowhere = running(replace(there, endpoint="nowhere"), endpoint_program=PROGRAM)
    with pytest.raises(ModelLoadError, match="Endpoint nowhere of account 0 not found"), nowhere:
        pass
    with pytest.raises(ModelLoadError, match="nothing here reaches it"), running(there):
        pass


def test_a_batch_goes_by_way_of_objects(there: ModelSpec, runtime: SageMakerRuntime, s3: str) -> None:
    by_objects = replace(there, endpoint_objects="s3://objects/batches")
    with running(by_objects, endpoint_program=PROGRAM) as engine:
        futures = [send(engine, there, text) for text in TEXTS[:20]]
        assert all(future.result(SECONDS) for future in futures)
        with pytest.raises(DeviceCrash):
            engine.submit("tiny", ["kill me"], {}).result(SECONDS)
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    assert client.list_objects_v2(Bucket="objects").get("KeyCount") == 0, "what was sent and answered is deleted"
