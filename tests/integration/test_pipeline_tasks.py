"""Every pipeline task that is served runs end to end, answers as its pipeline does, and opens nothing that it is told.

One engine with a tiny random model of each kind. Its device process notes every file that it opens and every address
that it connects to; a server listens and a file lies ready, in case that anything follows what an input says.
"""

import base64
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from celery_inference.catalogue.catalogue import load
from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import CatalogueError, InvalidInput, ModelLoadError
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import NOT_SERVED, PIPELINE_TASKS
from demo.stack import Stack
from models.engine import Engine
from tests.support import samples, tiny_models
from tests.support.client import client_of
from tests.support.engines import SECONDS, running, send, spec
from tests.support.equality import ask, oracle, same

# Notes what a Python process opens and connects to.
WATCH = """
import sys
def note(event, arguments):
    if event == "open":
        what = str(arguments[0])
    elif event in ("socket.connect", "socket.getaddrinfo"):
        what = str(arguments[1] if event == "socket.connect" else arguments[0])
    else:
        return
    if "bait" in what or (event != "open" and what[:1] != "/"):
        with open({log!r}, "a") as log:
            log.write(f"{{event}} {{what}}\\n")
sys.addaudithook(note)
"""
MEDIA = ("image", "audio", "video", "fields")


class Bait:
    """An address that somebody listens on and a file that can be read; `taken` is what was opened of them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "bait.png"
        self.file.write_bytes(base64.b64decode(samples.photograph(1)))
        os.utime(self.file, (1, 2))  # read before it was written: the next read shows, wherever it is made
        self.log = folder / "noted"
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/bait.png"
        self.callers: list[Any] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, caller = self._server.accept()
            except OSError:
                return
            self.callers.append(caller)
            connection.close()

    def close(self) -> None:
        self._server.close()

    @property
    def texts(self) -> list[str]:
        """What a careless program would open."""
        return [self.url, str(self.file), f"file://{self.file}", f"data:image/png;base64,{self.url}"]

    @property
    def taken(self) -> list[Any]:
        noted = self.log.read_text().splitlines() if self.log.exists() else []
        read = [f"{self.file} was read"] if self.file.stat().st_atime > 1 else []
        return [*self.callers, *noted, *read]


@pytest.fixture(scope="module")
def bait(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bait]:
    made = Bait(tmp_path_factory.mktemp("bait"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    folders = {task: tiny_models.make(task, tmp_path_factory.mktemp(task)) for task in PIPELINE_TASKS}
    room = {"decision": {"max_tokens": 250}}
    return {task: spec(task, folder, **room.get(task, {})) for task, folder in folders.items()}


@pytest.fixture(scope="module")
def engine(specs: dict[str, ModelSpec], bait: Bait, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    watch = tmp_path_factory.mktemp("watch")
    (watch / "sitecustomize.py").write_text(WATCH.format(log=str(bait.log)))
    with ExitStack() as ending:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", f"{watch}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
            started = ending.enter_context(running(*specs.values()))
        yield started


def test_every_pipeline_task_of_transformers_is_served_or_listed_with_the_reason() -> None:
    from transformers.pipelines import get_supported_tasks

    aliases = {"ner", "sentiment-analysis", "text-to-speech"}
    assert {*PIPELINE_TASKS, *NOT_SERVED} == set(get_supported_tasks()) - aliases
    assert len(PIPELINE_TASKS) == 23


@pytest.mark.parametrize("task", NOT_SERVED)
def test_a_task_that_is_not_served_is_refused_with_the_reason(tmp_path: Path, task: str) -> None:
    (tmp_path / "models.toml").write_text(f"[one]\ntask = '{task}'\nsource = './one'\n")
    with pytest.raises(CatalogueError, match=f'task: "{task}" is not served: its pipeline needs torchvision'):
        load(tmp_path / "models.toml")


@pytest.mark.parametrize("task", PIPELINE_TASKS)
def test_a_served_task_answers_as_its_pipeline_does(engine: Engine, specs: dict[str, ModelSpec], task: str) -> None:
    options = samples.OPTIONS.get(task, {})
    values = [samples.value(task, seed) for seed in range(3)]
    results = send(engine, specs[task], values, **options).result(SECONDS)
    pipe = oracle(task, Path(specs[task].source))
    for value, result in zip(values, results, strict=True):
        same(result, ask(pipe, task, value, options))


def bad_for_the_device(task: str) -> Any:
    """What only the device process finds bad: too many tokens, half a medium."""
    good = samples.value(task, 1)
    if task == "table-question-answering":
        return {**good, "table": {"number": ["7"] * 300}}
    if task == "decision":
        return {**good, "state": "cat " * 300}
    if PIPELINE_TASKS[task].media in ("text", "chat"):
        return "cat " * 300
    part = good["image"] if isinstance(good, dict) else good
    cut = base64.b64encode(base64.b64decode(part)[:200]).decode()
    return {**good, "image": cut} if isinstance(good, dict) else cut


@pytest.mark.parametrize("task", PIPELINE_TASKS)
def test_an_input_that_the_device_process_refuses_fails_alone_between_good_ones(
    engine: Engine, specs: dict[str, ModelSpec], task: str
) -> None:
    options = samples.OPTIONS.get(task, {})
    good = [samples.value(task, seed) for seed in (1, 2)]
    expected = [send(engine, specs[task], value, **options).result(SECONDS)[0] for value in good]
    asked = [good[0], bad_for_the_device(task), good[1]]
    first, error, last = engine.submit(task, asked, options, errors={}).result(SECONDS)
    same([first, last], expected)
    assert isinstance(error, InvalidInput)
    assert error.index == 1
    assert (error.field or "").startswith("inputs[1]")
    assert str(error).startswith("inputs[1]")


def wrong_media(task: str, text: Any) -> list[Any]:
    """Inputs of the kind that hold it where a medium should be, in every place where one may stand."""
    if PIPELINE_TASKS[task].media != "fields":
        return [text]
    good = samples.value(task, 0)
    wrong: list[Any] = [{**good, name: text} for name, what in PIPELINE_TASKS[task].fields.items() if what == "image"]
    if PIPELINE_TASKS[task].chats:
        parts = [
            {"type": "image", "url": text},
            {"type": "image", "path": text},
            {"type": "image", "image": text},
            {"type": "image_url", "image_url": {"url": text}},
            {"type": "video", "video": text},
            {"type": "image", "image": good["image"], "url": text},
        ]
        wrong += [[{"role": "user", "content": [{"type": "text", "text": "the cat"}, part]}] for part in parts]
    if task == "decision":
        wrong.append({**good, "assets": {"cat": text}})
    return wrong


@pytest.mark.parametrize("task", [task for task, kind in PIPELINE_TASKS.items() if kind.media in MEDIA])
def test_no_text_and_no_object_reaches_a_media_argument(
    engine: Engine, specs: dict[str, ModelSpec], bait: Bait, task: str
) -> None:
    options = samples.OPTIONS.get(task, {})
    claims = [{"claim": {"key": text, "size_bytes": 9, "sha256": "0" * 64}} for text in bait.texts]
    for text in (*bait.texts, *claims, {"claim": {"url": bait.url}}, {"url": bait.url}):
        for value in wrong_media(task, text):
            with pytest.raises(InvalidInput):
                check_inputs(specs[task], value, options)
            if not isinstance(value, list) and not (isinstance(value, dict) and "assets" in value):
                # As if the check had let it pass: the device process opens nothing, either.
                with pytest.raises(InvalidInput, match="can be decoded"):
                    engine.submit(task, [value], options).result(SECONDS)
    assert bait.taken == []


@pytest.mark.parametrize("task", [task for task, kind in PIPELINE_TASKS.items() if kind.media not in MEDIA])
def test_a_text_that_is_an_address_is_a_text(
    engine: Engine, specs: dict[str, ModelSpec], bait: Bait, task: str
) -> None:
    options = samples.OPTIONS.get(task, {})
    tail = " [MASK]" if task == "fill-mask" else ""
    for text in bait.texts[:3]:
        send(engine, specs[task], text + tail, **options).result(SECONDS)
    chat = [{"role": "user", "content": [{"type": "image", "url": bait.url}]}]
    with pytest.raises(InvalidInput):
        check_inputs(specs[task], [chat], options)
    assert bait.taken == []


@pytest.mark.parametrize("task", ["decision", "table-question-answering", "document-question-answering"])
def test_texts_beside_media_are_not_opened(engine: Engine, specs: dict[str, ModelSpec], bait: Bait, task: str) -> None:
    value = samples.value(task, 1)
    for text in bait.texts[:3]:
        offered = {
            "decision": {**value, "state": {"img": text}},
            "table-question-answering": {"table": {text: [text, "1"]}, "query": text},
            "document-question-answering": {**value, "question": text[:30], "word_boxes": [[text, [0, 0, 9, 9]]]},
        }[task]
        send(engine, specs[task], offered, **samples.OPTIONS.get(task, {})).result(SECONDS)
    assert bait.taken == []


def test_the_bait_would_be_taken_by_the_pipeline_itself(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    """A control: this is what must not happen, and the bait shows it."""
    tempting = Bait(tmp_path)
    pipe = oracle("image-classification", Path(specs["image-classification"].source))
    pipe(str(tempting.file))
    assert tempting.taken == [f"{tempting.file} was read"]
    with pytest.raises(Exception, match=r"disconnected|closed|reset"):
        pipe(tempting.url)
    tempting.close()
    assert len(tempting.callers) == 1


SEMANTIC: list[tuple[dict[str, Any], str]] = [
    ({"threshold": 0.2}, "option threshold means nothing to this model"),
    ({"overlap_mask_area_threshold": 0.5}, "option overlap_mask_area_threshold means nothing to this model"),
    ({"subtask": "panoptic"}, "option subtask of this model is semantic"),
]


@pytest.mark.parametrize(("options", "sentence"), SEMANTIC, ids=[next(iter(options)) for options, _ in SEMANTIC])
def test_what_a_model_of_semantic_segmentation_would_not_use_is_refused(
    engine: Engine, specs: dict[str, ModelSpec], options: dict[str, Any], sentence: str
) -> None:
    request = send(engine, specs["image-segmentation"], samples.photograph(0), **options)
    with pytest.raises(InvalidInput, match=sentence):
        request.result(SECONDS)


def test_a_document_without_words_is_refused_because_no_text_is_recognized(
    engine: Engine, specs: dict[str, ModelSpec]
) -> None:
    task = "document-question-answering"
    value = {"image": samples.photograph(0), "question": "what"}
    with pytest.raises(InvalidInput, match="must have word_boxes for this model"):
        send(engine, specs[task], value).result(SECONDS)


def test_a_chat_with_an_image_is_answered(tmp_path: Path) -> None:
    task = "image-text-to-text"
    one = spec(task, tiny_models.make(task, tmp_path, chat=True))
    image = {"type": "image", "image": base64.b64decode(samples.photograph(3))}
    chat = [{"role": "user", "content": [image, {"type": "text", "text": "the cat"}]}]
    with running(one) as engine:
        (answer,) = send(engine, one, chat, max_new_tokens=5).result(SECONDS)
        (parts,) = send(engine, one, {"image": image["image"], "text": "the cat"}, max_new_tokens=5).result(SECONDS)
    assert answer == parts
    assert len(answer[0]["generated_text"].split()) > 1


def test_a_missing_package_is_named_when_the_model_is_loaded(
    specs: dict[str, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from models.device_process import warmup
    from models.handlers import pipeline

    monkeypatch.setattr(pipeline, "find_spec", lambda package: None)
    with pytest.raises(ModelLoadError, match='table-question-answering needs the package "pandas"'):
        warmup.load(specs["table-question-answering"], torch.device("cpu"))


THROUGH_A_WORKER = ("automatic-speech-recognition", "image-segmentation", "decision", "text-to-audio")


def test_a_worker_answers_media_with_media(specs: dict[str, ModelSpec], engine: Engine, tmp_path: Path) -> None:
    import celery_inference

    served = [
        f"[{task}]\ntask = '{task}'\nsource = '{specs[task].source}'\nmax_tokens = {specs[task].max_tokens}\n"
        for task in THROUGH_A_WORKER
    ]
    (tmp_path / "models.toml").write_text("\n".join(served))
    with Stack(tmp_path / "stack", catalogue=tmp_path / "models.toml", CELERY_INFERENCE_DEVICES="cpu") as stack:
        stack.start_server()
        stack.start_worker()
        with client_of(stack):
            for task in THROUGH_A_WORKER:
                value, options = samples.value(task, 2), samples.OPTIONS.get(task, {})
                sent = base64.b64decode(value) if PIPELINE_TASKS[task].media in ("image", "audio") else value
                result = getattr(celery_inference, task.replace("-", "_")).delay(sent, **options).get(timeout=SECONDS)
                same(result, send(engine, specs[task], value, **options).result(SECONDS)[0])
