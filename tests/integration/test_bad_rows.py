"""Lists with good and bad inputs of many kinds, through a real worker with real (tiny) models."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_inference import app, image_classification, infer, results_and_errors, text_classification
from celery_inference.errors import InputFailed, InvalidInput
from demo.stack import Stack
from tests.support import samples, tiny_models
from tests.support.client import client_of
from tests.support.equality import as_json, oracle, picture, same

SECONDS = 120  # against hangs
SECRET = "nightingale"
CATALOGUE = """
[texts]
task = "text-classification"
source = "{folder}/texts"
default = true
faults.fail = "raise"

[images]
task = "image-classification"
source = "{folder}/images"
default = true
"""


def save_models(folder: Path) -> None:
    """One of texts, whose weights of the word "train" are no numbers, and one of images."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tiny_models.make("image-classification", folder / "images")
    tiny_models.make("text-classification", folder / "texts")
    model = AutoModelForSequenceClassification.from_pretrained(folder / "texts")
    token = AutoTokenizer.from_pretrained(folder / "texts").convert_tokens_to_ids("train")
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = torch.nan
    model.save_pretrained(folder / "texts")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("rows")
    save_models(folder)
    catalogue = folder / "models.toml"
    catalogue.write_text(CATALOGUE.format(folder=folder))
    with Stack(folder / "stack", catalogue=catalogue) as stack, client_of(stack):
        stack.start_server()
        stack.start_worker("worker")
        yield stack


def source_of(stack: Stack, name: str) -> Path:
    return stack.folder.parent / name


def told(error: BaseException, *facts: str) -> tuple[Any, ...]:
    return (type(error), *(getattr(error, fact) for fact in ("index", *facts)))


def test_texts_of_every_kind_of_badness_fail_alone(stack: Stack) -> None:
    long = "cat " * 200
    texts = ["the cat sleeps", 5, "", long, f"{SECRET} raise", "a train waits", None, "the old bird sings"]
    results, errors = results_and_errors(text_classification.delay(texts, return_errors=True).get(timeout=SECONDS))
    by_name = app.send_task("celery_inference.text_classification", [texts], {"return_errors": True, "top_k": 1})
    answer = by_name.get(timeout=SECONDS)
    assert [sorted(each) for each in answer] == [["error" if i in errors else "result"] for i in range(len(texts))]
    pipe = oracle("text-classification", source_of(stack, "texts"))
    for index in (0, 7):
        same(results[index], as_json(pipe([texts[index]], top_k=1)[0]))
        assert answer[index]["result"] == results[index]
    assert {index: told(error, "field", "limit") for index, error in errors.items()} == {
        1: (InvalidInput, 1, "inputs[1]", None),
        2: (InvalidInput, 2, "inputs[2]", None),
        3: (InvalidInput, 3, "inputs[3]", 128),
        4: (InputFailed, 4, "inputs[4]", None),
        5: (InputFailed, 5, "inputs[5]", None),
        6: (InvalidInput, 6, "inputs[6]", None),
    }
    assert results_and_errors(answer)[1][3].limit == 128, "the device process has counted, where no sender did"
    assert "RuntimeError" in (errors[4].model_traceback or "")
    assert "not a number" in str(errors[5])
    assert SECRET not in json.dumps(answer), "inputs are withheld in results, too"
    log = (stack.folder / "worker.log").read_text()
    assert SECRET not in log
    assert f"request {by_name.id}: model texts failed on 2 of its 8 inputs" in log


def test_with_truncation_the_long_one_is_no_bad_one(stack: Stack) -> None:
    texts = ["the cat sleeps", "cat " * 200, ""]
    sent = infer.delay("texts", texts, truncation=True, top_k=3, return_errors=True)
    results, errors = results_and_errors(sent.get(timeout=SECONDS))
    assert list(errors) == [2]
    pipe = oracle("text-classification", source_of(stack, "texts"))
    for text, result in zip(texts[:2], results, strict=False):
        same(result, as_json(pipe([text], top_k=3, truncation=True)[0]), 1e-4)


def test_images_of_every_kind_of_badness_fail_alone(stack: Stack) -> None:
    good = samples.photograph(1)
    cut = base64.b64encode(base64.b64decode(good)[:-400]).decode()
    images = [good, "https://example.com/cat.png", cut, b"GIF89a and so on", samples.photograph(2)]
    sent = image_classification.delay(images, top_k=4, return_errors=True)
    results, errors = results_and_errors(sent.get(timeout=SECONDS))
    pipe = oracle("image-classification", source_of(stack, "images"))
    for index in (0, 4):
        same(results[index], as_json(pipe(picture(str(images[index])), top_k=4)))
    assert {index: told(error, "field") for index, error in errors.items()} == {
        index: (InvalidInput, index, f"inputs[{index}]") for index in (1, 2, 3)
    }
    assert "addresses and paths are not opened" in str(errors[1])
    assert "PNG" in (errors[3].allowed or ())


@pytest.mark.parametrize(
    ("task", "inputs", "error", "facts"),
    [
        ("text_classification", ["the cat", "cat " * 200], InvalidInput, (1, "inputs[1]", 128)),
        ("text_classification", ["cat " * 200], InvalidInput, (0, "inputs[0]", 128)),
        ("text_classification", "cat " * 200, InvalidInput, (None, "inputs", 128)),
        ("text_classification", ["the cat", "raise"], InputFailed, (1, "inputs[1]", None)),
        ("image_classification", [samples.photograph(1), 5], InvalidInput, (1, "inputs[1]", None)),
    ],
)
def test_without_it_the_error_that_get_raises_names_the_input(
    stack: Stack, task: str, inputs: Any, error: type[Exception], facts: tuple[Any, ...]
) -> None:
    sent = app.send_task(f"celery_inference.{task}", [inputs])
    with pytest.raises(error) as caught:
        sent.get(timeout=SECONDS)
    assert told(caught.value, "field", "limit")[1:] == facts
