"""The types of the face: the stub fits the table, and two type checkers find what a client's author got wrong.

The checkers see an environment as a client's, with the package among others in site-packages, once without types for
Celery and once with celery-types. mypy is `--strict`. pyright is PyPI's package with its extra `nodejs`: it brings
node and pyright itself, so that nothing is fetched when it runs. Where pyright is not installed, or celery-types cannot
be fetched, those tests are skipped, in one line; never in CI.
"""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import typing
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import celery_inference
from celery_inference import types
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from tests.support import face_stubs

ROOT = Path(__file__).resolve().parents[2]
IN_CI = "CI" in os.environ
BESIDE = ("celery", "kombu", "vine", "click")  # whose code a checker may look into

GOOD = """\
from celery_inference import errors, feature_extraction, image_classification, provenance, text_generation, upload
from celery_inference.types import LabelScore, Result

one: list[float] = feature_extraction.delay("a text").get(timeout=10)
many: list[list[float]] = feature_extraction.delay(["a text", "another"], model="minilm").get()
picture: Result[list[LabelScore]] = image_classification.apply_async((upload(b"png"),), {"top_k": 3}, dedup_key="a")
try:
    best: str = picture.get(timeout=1.5)[0]["label"]
except errors.InvalidInput as error:
    print(error.field, error.index, error.limit, error.allowed, provenance(picture))
chat = text_generation.delay([{"role": "user", "content": "hello"}], max_new_tokens=5, do_sample=True)
text: str = chat.get()[0]["generated_text"]
"""
# A mistake a line, each of which is to be found.
BAD = """\
from celery_inference import app, decision, feature_extraction, image_classification, infer, text_generation
from celery_inference import provenance, token_classification, upload, zero_shot_classification

text_generation.delay("a text", max_new_token=5)
vector: list[str] = feature_extraction.delay("a text").get()
vectors: list[float] = feature_extraction.delay(["a text"]).get()
number: int = feature_extraction.delay("a text")
token_classification.delay("a text", aggregation_strategy="sample")
text_generation.delay("a text", do_sample="yes")
zero_shot_classification.delay("a text")
zero_shot_classification.delay("a text", candidate_labels="label")
feature_extraction.delay(5)
image_classification.delay(b"", topk=3)
image_classification.apply_async((b"",), {"topk": 3})
image_classification.apply_async((b"",), {"top_k": "3"})
image_classification.apply_async((b"",), dedup="a")
image_classification.apply_async(kwargs={"inputs": b"", "top": 3})
image_classification.delay(b"").get()[0]["scores"]
image_classification.delay(b"").gte()
feature_extraction.s(texts="a text")
feature_extraction.delay_on_commit("a text", top_k=3)
decision.delay({"state": 1, "question": {}})
text_generation.delay([{"role": "robot", "content": "hello"}])
infer.delay(b"", 5)
image_classification.delay(b"", return_errors=True)
feature_extraction.delay(["a text"], return_errors=True).get()[0][0]
feature_extraction.delay(["a text"], return_errors=True).get()[0]["result"]
feature_extraction.delay(["a text"], return_error=True)
upload("a text")
provenance("an id")
"""
# Everything else that is sent in one way or another, and must pass.
WAYS = """\
from pathlib import Path

from celery_inference import (
    app,
    automatic_speech_recognition,
    configure,
    delete_upload,
    document_question_answering,
    feature_extraction,
    image_classification,
    image_text_to_text,
    infer,
    results_and_errors,
    text_classification,
    text_generation,
    upload,
    zero_shot_classification,
)
from celery_inference.types import Chat, ImagePart, LabelScore, LabelScores, Media, ChatMessage, Result, Signature
from celery_inference.types import Row, TextPart, Transcript, Upload

configure(broker="sqs://", keep_inputs=0, state=Path("state"))
kept: Upload = upload(b"png")
delete_upload(kept)
app.send_task("celery_inference.infer", args=["one", "a text"])

files: list[bytes] = [b"", b""]
mixed: list[Media] = [b"", "YQ==", kept]
both: list[list[LabelScore]] = image_classification.delay(files, top_k=1).get()
image_classification.delay(mixed)
image_classification.delay((b"", memoryview(b"")))
image_classification.delay([b"", "YQ=="])
message: ChatMessage = {"role": "user", "content": "hello"}
chat: Chat = [message]
chats = text_generation.delay([chat, "a text"]).get()
first: str = chats[0][0]["generated_text"]
labels: LabelScores = zero_shot_classification.delay("a text", candidate_labels=["a", "b"], multi_label=True).get()
zero_shot_classification.apply_async(("a text",), {"candidate_labels": ["a", "b"]}, countdown=5, tenant="shop")
heard: Transcript = automatic_speech_recognition.delay(b"", return_timestamps="word").get()
document_question_answering.delay({"image": b"", "question": "who"}, top_k=2).get()[0]["answer"]
document_question_answering.delay([{"image": b"", "question": "who", "word_boxes": [["a", [1, 2, 3, 4]]]}])
image_text_to_text.delay({"image": kept, "text": "what"})
content: list[TextPart | ImagePart] = [{"type": "image", "image": b""}, {"type": "text", "text": "a"}]
image_text_to_text.delay([{"role": "user", "content": content}])
image_text_to_text.delay([{"role": "user", "content": [{"type": "image", "image": b""}]}])
found: Result[list[list[LabelScore]]] = text_classification.apply_async([["a", "b"]], queue="inference-bulk")
found = text_classification.apply_async(kwargs={"inputs": ["a", "b"], "model": None})
text_classification.apply_async((), {"inputs": "a", "top_k": 2}).get()[0]["score"]
text_classification.apply_async(["a text"]).get()[0]["score"]
later: Signature[list[float]] = feature_extraction.s("a text")
waiting: Result[list[float]] = later.delay()
text_generation.s(max_new_tokens=3)
feature_extraction.si("a text").set(countdown=3).apply_async()
feature_extraction.delay_on_commit(["a text"], model="minilm")
feature_extraction.apply_async_on_commit(("a text",), dedup_key="a")
infer.delay("minilm", "a text", top_k=1).get()
feature_extraction.AsyncResult("an id").forget()
waiting.revoke(terminate=True)
texts = ["a", "b"]
each: Result[list[Row[list[LabelScore]]]] = text_classification.delay(texts, top_k=1, return_errors=True)
each = text_classification.apply_async((texts,), {"return_errors": True})
each = text_classification.apply_async(kwargs={"inputs": texts, "return_errors": True})
for row in each.get():
    print(row["error"]["message"] if "error" in row else row["result"][0]["label"])
scores, problems = results_and_errors(each.get())
print([score[0]["label"] for score in scores if score is not None], problems[0].index)
text_classification.delay(texts, return_errors=False).get()[0][0]["label"]
feature_extraction.s(return_errors=True)
infer.delay("minilm", texts, return_errors=True)
(waiting.id, waiting.state, waiting.ready(), waiting.successful(), waiting.failed())
"""
CANVAS = """\
from celery import chain, chord, group

from celery_inference import feature_extraction, text_generation

parts = group(feature_extraction.s(f"text {number}") for number in range(3))
parts.apply_async()
chord(text_generation.s(f"text {number}") for number in range(3))(feature_extraction.si("joined"))
chain(text_generation.s("a text", max_new_tokens=3), feature_extraction.si("b")).delay()
"""
ALWAYS = {"good.py": GOOD, "bad.py": BAD, "ways.py": WAYS}


def test_the_stub_is_what_the_table_of_tasks_gives() -> None:
    assert face_stubs.STUB.read_text() == face_stubs.stub(), "run python -m tests.support.face_stubs --write"


def test_the_stub_offers_what_the_module_does() -> None:
    (public,) = re.findall(r"__all__ = \[(.*?)\]", face_stubs.STUB.read_text(), re.DOTALL)
    assert sorted(re.findall(r'"(\w+)"', public)) == sorted(celery_inference.__all__)


def test_inputs_of_several_parts_have_the_parts_of_the_table() -> None:
    for task, kind in PIPELINE_TASKS.items():
        if kind.media == "fields":
            shape = getattr(types, face_stubs.INPUTS[task].split(" | ")[0])
            parts = {name.rstrip("?"): not name.endswith("?") for name in kind.fields}
            assert {name: name in shape.__required_keys__ for name in shape.__annotations__} == parts, task


def test_answers_have_the_members_that_the_page_names() -> None:
    rows = [row.split("|")[1:5] for row in (ROOT / "docs/pipeline-tasks.md").read_text().splitlines() if "|" in row]
    said = {row[0].strip().strip("`"): row[3] for row in rows if len(row) == 4}
    for task, answer in face_stubs.ANSWERS.items():
        shape = getattr(types, answer.removeprefix("list[").removesuffix("]"), None)
        if shape is not None:
            assert set(re.findall(r'"(\w+)"', said[task])) <= _members(shape), task


def _members(shape: Any) -> set[str]:
    names = set(shape.__annotations__)
    inner = [typing.get_args(hint) or (hint,) for hint in typing.get_type_hints(shape).values()]
    return names.union(*(_members(part) for parts in inner for part in parts if typing.is_typeddict(part)))


def test_names_for_annotations_are_there_at_run_time() -> None:
    for name in types.__all__:
        assert getattr(types, name) is not None
    assert types.Result[list[float]]
    assert types.Signature[list[float]]


def test_what_is_sent_is_of_the_types_that_are_annotated() -> None:
    from celery_inference import feature_extraction

    assert isinstance(feature_extraction.AsyncResult("an id"), types.Result)
    assert isinstance(celery_inference.app.AsyncResult("an id"), types.Result)
    assert isinstance(feature_extraction.s("a text"), types.Signature)
    for name in ("delay", "apply_async", "s", "si", "delay_on_commit", "apply_async_on_commit", "AsyncResult"):
        assert callable(getattr(feature_extraction, name))
    public = [name for name, _ in inspect.getmembers(feature_extraction.AsyncResult("an id").__class__)]
    assert {"get", "ready", "successful", "failed", "revoke", "forget", "state", "deadline"} <= set(public)


@pytest.fixture(scope="module")
def celery_types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """celery-types, apart from what is installed: it would change what this project's own sources are checked by."""
    folder = tmp_path_factory.mktemp("celery-types")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    fetched = subprocess.run(
        [*pip, "--constraint", ROOT / "constraints.txt", "--target", folder, "celery-types"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if fetched.returncode and not IN_CI:
        pytest.skip("celery-types cannot be fetched here")
    assert fetched.returncode == 0, fetched.stderr
    return folder


@pytest.fixture(scope="module", params=["without celery-types", "with celery-types"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client's folder: its sources, and an environment in which the package is installed."""
    folder = tmp_path_factory.mktemp("client")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=60)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    shutil.copytree(ROOT / "celery_inference", site / "celery_inference", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        (site / name).symlink_to(Path(sysconfig.get_path("purelib")) / name)
    sources = dict(ALWAYS)
    if request.param == "with celery-types":
        for stubs in request.getfixturevalue("celery_types").glob("*-stubs"):
            (site / stubs.name).symlink_to(stubs)
        sources["canvas.py"] = CANVAS
    for name, text in sources.items():
        (folder / name).write_text(text)
    return folder


def expected(found: list[tuple[str, int, str]]) -> None:
    """Every line of bad.py from the fourth on has a mistake, and nothing else has."""
    lines = Counter(line for name, line, _ in found if name == "bad.py")
    wanted = {number for number, line in enumerate(BAD.splitlines(), 1) if number > 3 and line}
    assert [each for each in found if each[0] != "bad.py"] == []
    assert set(lines) == wanted, f"not found: {[BAD.splitlines()[n - 1] for n in wanted - set(lines)]}; {found}"


def test_mypy_finds_every_mistake_and_nothing_else(client: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="]
    python = ["--python-executable", client / "venv/bin/python", "--cache-dir", client / "cache"]
    ran = subprocess.run(
        [*command, *python, *(path.name for path in sorted(client.glob("*.py")))],
        cwd=client,
        env={**os.environ, "MYPYPATH": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert not ran.stderr
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", ran.stdout, re.MULTILINE)
    expected([(name, int(line), text) for name, line, text in found])


@pytest.mark.skipif(find_spec("pyright") is None and not IN_CI, reason="no pyright here: it is in the extra `dev`")
def test_pyright_finds_every_mistake_and_nothing_else(client: Path) -> None:
    (client / "pyrightconfig.json").write_text(json.dumps({"include": ["*.py"], "typeCheckingMode": "standard"}))
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", client / "venv/bin/python"],
        cwd=client,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    found = [each for each in json.loads(ran.stdout)["generalDiagnostics"] if each["severity"] == "error"]
    places = [(Path(each["file"]).name, each["range"]["start"]["line"] + 1, each["message"]) for each in found]
    expected(places)
