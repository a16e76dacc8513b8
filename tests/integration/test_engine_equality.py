"""A request's answer does not depend on its neighbours: batched equals alone, and alone equals transformers' pipeline.

fp32 on the CPU. Scores and pooled vectors within 1e-5 + 1e-5·|x|, states of tokens within 1e-4 of the largest, labels,
spans and greedily generated texts identical.
"""

import base64
import io
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, pipeline

from models.runner import Runner
from models.warmup import load
from tests.support import tiny_models
from tests.support.engines import spec
from tests.support.tiny_models import TEXTS

CPU = torch.device("cpu")
torch.set_num_threads(1)  # tiny matrices: a second thread only waits for the first
Options = dict[str, Any]


def noise(seed: int) -> str:
    """A random photograph, as a caller sends it."""
    pixels = random.Random(seed)
    size = pixels.randint(20, 90), pixels.randint(20, 90)
    image = Image.frombytes("RGB", size, pixels.randbytes(size[0] * size[1] * 3))
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def picture(value: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(value)))


def masked(text: str) -> str:
    return f"{text} [MASK]"


LABELS: Options = {"candidate_labels": ["cat", "red house", "train"]}
CASES: list[tuple[str, Options, Callable[[Any], Any]]] = [
    ("feature-extraction", {}, str),
    ("text-classification", {"top_k": 3}, str),
    ("token-classification", {}, str),
    ("token-classification", {"aggregation_strategy": "none"}, str),
    ("zero-shot-classification", LABELS, str),
    ("zero-shot-classification", {**LABELS, "multi_label": True, "hypothesis_template": "a story of {}"}, str),
    ("fill-mask", {"top_k": 3}, masked),
    ("text-generation", {"max_new_tokens": 12}, str),
    ("image-classification", {"top_k": 4}, picture),
]


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Runner]:
    made: dict[Any, Runner] = {}

    def runner(task: str, **values: Any) -> Runner:
        key = (task, *sorted(values.items()))
        if key not in made:
            made[key] = load(spec(task, folder_of(task), **values), CPU)[0]
        return made[key]

    folders: dict[str, Path] = {}

    def folder_of(task: str) -> Path:
        if task not in folders:
            folders[task] = tiny_models.make(task, tmp_path_factory.mktemp(task))
        return folders[task]

    return runner


def results(answers: list[dict[str, Any]]) -> list[Any]:
    assert all("ok" in answer for answer in answers), answers
    return [answer["ok"] for answer in answers]


def same(one: Any, other: Any) -> None:
    """Equal, but for numbers, which may differ by rounding."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for item, counterpart in zip(one, other, strict=True):
            same(item, counterpart)
    elif isinstance(one, float):
        assert math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5), (one, other)
    else:
        assert one == other


def values_for(task: str, count: int = 40) -> list[Any]:
    if task == "image-classification":
        return [noise(seed) for seed in range(count)]
    texts = TEXTS[:count]
    return [masked(text) for text in texts] if task == "fill-mask" else texts


@pytest.mark.parametrize(("task", "options", "_"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_batched_equals_alone(runners: Callable[..., Runner], task: str, options: Options, _: Any) -> None:
    runner, values = runners(task), values_for(task)
    alone = [results(runner.run([value], [options]))[0] for value in values]
    shuffle = random.Random(11)
    for _turn in range(3):
        order = list(range(len(values)))
        shuffle.shuffle(order)
        while order:
            part, order = order[: (size := shuffle.randint(1, 16))], order[size:]
            batched = results(runner.run([values[i] for i in part], [options] * len(part)))
            for i, result in zip(part, batched, strict=True):
                same(result, alone[i])


@pytest.mark.parametrize(("task", "options", "prepare"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_alone_equals_the_pipeline(
    runners: Callable[..., Runner], task: str, options: Options, prepare: Callable[[Any], Any]
) -> None:
    values = values_for(task, 12)
    runner = runners(task)
    folder = runner.spec.source
    extras = {"image_processor": AutoImageProcessor.from_pretrained(folder, backend="pil")} if "image" in task else {}
    oracle = pipeline(task, model=folder, device="cpu", **extras)
    for value in values:
        expected = oracle_answer(oracle, task, prepare(value) if task != "fill-mask" else value, options)
        same(results(runner.run([value], [options]))[0], expected)


def oracle_answer(oracle: Any, task: str, value: Any, options: Options) -> Any:
    """What the pipeline says to one input alone, then the spec's pooling; numbers as Python's."""
    if task == "feature-extraction":
        states = torch.tensor(oracle(value)[0])
        return states.mean(0).tolist()
    if task == "text-generation":
        return oracle(value, return_full_text=False, do_sample=False, **options)
    if task == "token-classification":
        options = {"aggregation_strategy": "simple", **options}
    answer = oracle(value, **options)
    return (
        [{key: float(item) if key == "score" else item for key, item in entry.items()} for entry in answer]
        if isinstance(answer, list)
        else answer
    )


@pytest.mark.parametrize("pooling", ["mean", "cls", "none"])
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling_and_normalizing_are_the_specs(runners: Callable[..., Runner], pooling: str, normalize: bool) -> None:
    states = runners("feature-extraction", pooling="none")
    runner = runners("feature-extraction", pooling=pooling, normalize=normalize)
    every_state = results(states.run(TEXTS[:16], [{}] * 16))
    for of_tokens, result in zip(every_state, results(runner.run(TEXTS[:16], [{}] * 16)), strict=True):
        expected = torch.tensor(of_tokens)
        if pooling != "none":
            expected = expected.mean(0) if pooling == "mean" else expected[0]
        if normalize:
            expected = torch.nn.functional.normalize(expected, dim=-1)
        torch.testing.assert_close(torch.tensor(result), expected, rtol=1e-4, atol=1e-5)


def test_no_padding_row_leaks_into_the_states_of_tokens(runners: Callable[..., Runner]) -> None:
    runner = runners("feature-extraction", pooling="none")
    counts = [len(states) for states in results(runner.run(TEXTS[:16], [{}] * 16))]
    assert counts == [len(results(runner.run([text], [{}]))[0]) for text in TEXTS[:16]]
    assert len(set(counts)) == 8


def test_a_seed_promises_the_same_text_again(runners: Callable[..., Runner]) -> None:
    runner = runners("text-generation")
    sampled = {"do_sample": True, "max_new_tokens": 20, "temperature": 1.5}

    def text(**options: Any) -> str:
        return str(results(runner.run(["the cat"], [{**sampled, **options}]))[0])

    assert text(seed=1) == text(seed=1)
    assert len({text(seed=seed) for seed in range(5)}) > 1


def test_a_chat_model_answers_its_chat_and_a_plain_one_refuses_it(
    runners: Callable[..., Runner], tmp_path: Path
) -> None:
    chat = [{"role": "user", "content": "the cat"}]
    chatting, _ = load(spec("text-generation", tiny_models.make("text-generation", tmp_path, chat=True)), CPU)
    options = {"max_new_tokens": 8}
    assert results(chatting.run([chat], [options])) == results(chatting.run(["the cat"], [options]))
    (refused,) = runners("text-generation").run([chat], [options])
    assert refused["sentence"] == "inputs is a chat, and this model has no chat template; give a text"


@pytest.mark.parametrize(
    ("task", "value", "options", "sentence"),
    [
        ("fill-mask", "nothing to fill", {}, "inputs has no [MASK] to fill"),
        ("feature-extraction", "cat " * 300, {}, "inputs has 302 tokens; at most 128 are allowed"),
        (
            "text-generation",
            "cat " * 100,
            {"max_new_tokens": 200},
            "has 302 tokens, max_new_tokens included; at most 256",
        ),
        ("zero-shot-classification", "cat", {**LABELS, "hypothesis_template": "x"}, "must have {} where the label"),
        ("image-classification", base64.b64encode(b"\x89PNG\r\n\x1a\n no").decode(), {}, "no image that can be"),
        ("image-classification", noise(1)[:400], {}, "no image that can be"),
    ],
)
def test_what_only_the_device_process_can_see_is_the_callers_fault_too(
    runners: Callable[..., Runner], task: str, value: str, options: Options, sentence: str
) -> None:
    good = values_for(task, 1)[0]
    fine = {"zero-shot-classification": LABELS, "text-generation": {"max_new_tokens": 5}}.get(task, {})
    before, bad, after = runners(task).run([good, value, good], [fine, options, fine])
    assert bad["error"] == "InvalidInput"
    assert sentence in bad["sentence"]
    same(results([before]), results([after]))


def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(runners: Callable[..., Runner]) -> None:
    data = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG")
    bomb = base64.b64encode(data.getvalue()).decode()
    assert len(bomb) < 100_000
    (answer,) = runners("image-classification").run([bomb], [{}])
    assert answer["sentence"] == "inputs has 400,000,000 pixels; at most 40,000,000 are allowed"
