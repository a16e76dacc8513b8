"""A request's answer does not depend on its neighbours: batched equals alone, and alone equals transformers' pipeline.

fp32 on the CPU: scores and pooled vectors within 1e-5 + 1e-5 |x|, states of tokens and logits within 1e-4 of the
largest, labels, spans and greedily generated texts identical. Half precision: see HALF.
"""

import base64
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from celery_inference.specs.errors import ModelLoadError
from models.device_process.runner import Runner
from models.device_process.warmup import load
from models.handlers.base import Handler
from models.handlers.common.continuous_generation import ContinuousGeneration
from tests.support import samples, tiny_models
from tests.support.engines import spec
from tests.support.equality import ask, oracle, same
from tests.support.tiny_models import TEXTS

CPU = torch.device("cpu")
torch.set_num_threads(1)  # tiny matrices: a second thread only waits for the first
Options = dict[str, Any]

SPEECH = "automatic-speech-recognition"
LABELS: Options = samples.LABELS
TEMPLATE = {"multi_label": True, "hypothesis_template": "a story of {}"}
# Task, options, and how the tiny model is made.
CASES: list[tuple[str, Options, Options]] = [
    ("feature-extraction", {}, {}),
    ("text-classification", {"top_k": 3}, {}),
    ("text-classification", {"top_k": 3}, {"problem_type": "multi_label_classification"}),
    ("token-classification", {}, {}),
    *(("token-classification", {"aggregation_strategy": how}, {}) for how in ("none", "first", "average", "max")),
    ("zero-shot-classification", LABELS, {}),
    ("zero-shot-classification", {**LABELS, **TEMPLATE}, {}),
    ("fill-mask", {"top_k": 3}, {}),
    ("text-generation", {"max_new_tokens": 12}, {}),
    ("text-generation", {"max_new_tokens": 12, "repetition_penalty": 1.5}, {"pads": False}),
    ("image-classification", {"top_k": 4}, {}),
    (SPEECH, {}, {}),
    (SPEECH, {"return_timestamps": "word"}, {}),
    (SPEECH, {"return_timestamps": "char"}, {"feat_extract_norm": "group"}),
    (SPEECH, {}, {"whisper": True}),
    (SPEECH, {"return_timestamps": "segment"}, {"whisper": True}),
]
NAMES = [f"{task}-{i}" for i, (task, *_) in enumerate(CASES)]
COUNTS = {SPEECH: 12, "image-classification": 20}  # of inputs; 40 of the others


class Models:
    """Runners of tiny models, each made and loaded once."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._made: dict[Any, Path] = {}
        self._loaded: dict[Any, tuple[Runner, dict[str, Any]]] = {}

    def load(self, task: str, made: Options | None = None, **values: Any) -> tuple[Runner, dict[str, Any]]:
        key = (task, *sorted((made or {}).items()))
        if key not in self._made:
            self._made[key] = tiny_models.make(task, self._folders.mktemp(task), **(made or {}))
        whole = (key, *sorted(values.items()))
        if whole not in self._loaded:
            self._loaded[whole] = load(spec(task, self._made[key], **values), CPU)[::2]
        return self._loaded[whole]

    def __call__(self, task: str, made: Options | None = None, **values: Any) -> Runner:
        return self.load(task, made, **values)[0]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory)


def results(answers: list[dict[str, Any]]) -> list[Any]:
    assert all("ok" in answer for answer in answers), answers
    return [answer["ok"] for answer in answers]


def values_for(task: str, count: int) -> list[Any]:
    return [samples.value(task, seed) for seed in range(count)]


def in_random_batches(count: int, turns: int) -> list[list[int]]:
    """Each input once a turn, in batches of random sizes and members."""
    shuffle, batches = random.Random(11), []
    for _ in range(turns):
        order = list(range(count))
        shuffle.shuffle(order)
        while order:
            part, order = order[: (size := shuffle.randint(1, 16))], order[size:]
            batches.append(part)
    return batches


@pytest.mark.parametrize(("task", "options", "made"), CASES, ids=NAMES)
def test_batched_equals_alone(models: Models, task: str, options: Options, made: Options) -> None:
    runner = models(task, made)
    values = values_for(task, 6 if made.get("whisper") else COUNTS.get(task, 40))
    alone = [results(runner.run([value], [options]))[0] for value in values]
    assert len({str(answer) for answer in alone}) > len(values) // 2
    for part in in_random_batches(len(values), 1 if made.get("whisper") else 3):
        batched = results(runner.run([values[i] for i in part], [options] * len(part)))
        for i, result in zip(part, batched, strict=True):
            same(result, alone[i])


@pytest.mark.parametrize(("task", "options", "made"), CASES, ids=NAMES)
def test_alone_equals_the_pipeline(models: Models, task: str, options: Options, made: Options) -> None:
    runner = models(task, made)
    pipe = oracle(task, Path(runner.spec.source))
    for value in values_for(task, 3 if made.get("whisper") else 8):
        same(results(runner.run([value], [options]))[0], ask(pipe, task, value, options))


@pytest.mark.parametrize(
    ("task", "made"), [("token-classification", {}), (SPEECH, {}), (SPEECH, {"feat_extract_norm": "group"})]
)
def test_logits_of_tokens_are_those_of_the_input_alone(models: Models, task: str, made: Options) -> None:
    runner = models(task, made)
    outputs: dict[str, list[torch.Tensor]] = {"alone": [], "batched": []}
    handler: Handler = runner.handler
    finish = handler.finish

    def keep(output: Any, item: Any) -> Any:
        outputs[now].append(output)
        return finish(output, item)

    values = values_for(task, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler, "finish", keep)
        now = "alone"
        for value in values:
            runner.run([value], [{}])
        now = "batched"
        runner.run(values, [{}] * len(values))
    by_shape = {output.shape: output for output in outputs["alone"]}
    assert len(by_shape) == len(values)  # so that each is known by its length
    for output in outputs["batched"]:
        alone = by_shape[output.shape]
        assert (output - alone).abs().max() <= 1e-4 * alone.abs().max()


@pytest.mark.parametrize("pooling", ["mean", "cls", "none"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("task", ["feature-extraction", "image-feature-extraction"])
def test_pooling_and_normalizing_are_the_specs(models: Models, task: str, pooling: str, normalize: bool) -> None:
    values = values_for(task, 8)
    every_state = results(models(task, pooling="none").run(values, [{}] * 8))
    runner = models(task, pooling=pooling, normalize=normalize)
    for of_tokens, result in zip(every_state, results(runner.run(values, [{}] * 8)), strict=True):
        expected = torch.tensor(of_tokens)
        if pooling != "none":
            expected = expected.mean(0) if pooling == "mean" else expected[0]
        if normalize:
            expected = torch.nn.functional.normalize(expected, dim=-1)
        torch.testing.assert_close(torch.tensor(result), expected, rtol=1e-4, atol=1e-5)


def test_no_padding_row_leaks_into_the_states_of_tokens(models: Models) -> None:
    runner = models("feature-extraction", pooling="none")
    pipe = oracle("feature-extraction", Path(runner.spec.source))
    for text, states in zip(TEXTS[:16], results(runner.run(TEXTS[:16], [{}] * 16)), strict=True):
        expected = torch.tensor(pipe(text)[0])
        assert (torch.tensor(states) - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("made", "equal_lengths"),
    [({}, False), ({"feat_extract_norm": "group"}, True), ({"whisper": True}, False)],
    ids=["layer normalization", "group normalization", "whisper"],
)
def test_a_model_that_padding_changes_is_found_when_it_is_loaded(
    models: Models, made: Options, equal_lengths: bool, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(models(SPEECH, made).spec.source)
    runner, _, facts = load(spec(SPEECH, folder), CPU)
    assert runner.equal_lengths is facts["equal_lengths"] is equal_lengths
    assert (facts["padding_changes_by"] > 0.1) is equal_lengths
    assert ("padding changes its results" in caplog.text) is equal_lengths


def test_equal_lengths_still_share_a_pass_where_padding_matters(models: Models) -> None:
    runner = models(SPEECH, {"feat_extract_norm": "group"})
    short, other, long = (samples.recording(seed) for seed in (0, 0, 1))
    assert short != long
    runner.run([short, long, other], [{}] * 3)
    assert (runner.stats["passes"], runner.stats["rows"]) == (2, 3)
    runner = models(SPEECH)
    runner.run([short, long, other], [{}] * 3)
    assert runner.stats["passes"] == 1


@pytest.mark.parametrize(
    "task", ["feature-extraction", "text-classification", "token-classification", "text-generation"]
)
def test_models_that_heed_their_mask_are_left_to_pad(models: Models, task: str) -> None:
    _, facts = models.load(task)
    assert 0 <= facts["padding_changes_by"] < 1e-4
    assert facts["equal_lengths"] is False


def test_a_recording_longer_than_the_window_is_heard_to_its_end(models: Models) -> None:
    from models.media import audio

    runner = models(SPEECH, {"whisper": True})
    long, short = audio.sample(40), samples.recording(1)
    (alone,) = results(runner.run([long], [{}]))
    both = results(runner.run([short, long], [{}] * 2))
    assert both[1] == alone
    assert both[0] == results(runner.run([short], [{}]))[0]


def test_a_language_may_be_given_by_its_code_or_its_name(models: Models) -> None:
    runner = models(SPEECH, {"whisper": True})
    heard = [runner.run([samples.recording(1)], [{"language": name}])[0] for name in ("de", "german", "German")]
    assert "ok" in heard[0]
    assert heard[1:] == heard[:1] * 2
    (unknown,) = runner.run([samples.recording(1)], [{"language": "french"}])
    assert unknown["error"] == "InvalidInput"


def test_greedy_texts_are_those_of_generate(models: Models) -> None:
    """Identical; where one is not, the two best tokens were less than 1e-3 apart when they parted."""
    runner = models("text-generation")
    handler: Any = runner.handler
    options = runner.with_defaults({"max_new_tokens": 24})
    items = [handler.prepare(row, text, options) for row, text in enumerate(TEXTS[:24])]
    batched = handler.forward(items)
    alone = [handler.forward([item])[0] for item in items]
    for item, one, other in zip(items, alone, batched, strict=True):
        assert gap_where_they_part(handler.model, item.value["input_ids"], one, other) < 1e-3


def written_together(handler: Any, items: list[Any], mode: str) -> list[list[int]]:
    """What each item adds when it joins the others while they are written, one after another."""
    loop, written = handler.continuous(mode), dict[str, list[int]]()
    try:
        for number, item in enumerate(items):
            loop.join(str(number), item.value["input_ids"], item.options)
            time.sleep(0.002)
        for one in loop.written():
            assert one.error is None
            written[one.key] = one.tokens
            if len(written) == len(items):
                break
    finally:
        loop.stop()
    return [handler._own(written[str(number)]) for number in range(len(items))]


def test_greedy_texts_that_join_each_other_are_those_of_generate(models: Models) -> None:
    """Identical; where one is not, the two best tokens were less than 1e-3 apart when they parted."""
    runner = models("text-generation")
    handler: Any = runner.handler
    prompts = [runner.with_defaults({"max_new_tokens": 8 + number % 20}) for number in range(24)]
    items = [handler.prepare(row, TEXTS[row], options) for row, options in enumerate(prompts)]
    together = written_together(handler, items, "greedy")
    for item, other in zip(items, together, strict=True):
        one = handler.forward([item])[0]
        assert gap_where_they_part(handler.model, item.value["input_ids"], one, other) < 1e-3


def test_the_cache_is_sized_by_the_budget_and_one_that_is_too_small_is_refused(models: Models) -> None:
    handler: Any = models("text-generation").handler
    tokens = {}
    for budget in (40_000_000, 30_000_000):
        loop = ContinuousGeneration(
            replace(handler.spec, memory_bytes=budget, batch_size=200), handler.model, [3], "greedy"
        )
        tokens[budget] = loop.cache_tokens
        loop.stop()
    assert 1_000 < tokens[30_000_000] < tokens[40_000_000] < 200 * 768
    for budget, sentence in ((1, "the weights alone take"), (1_000_000, "leaves no room for a cache")):
        with pytest.raises(ModelLoadError, match=sentence):
            ContinuousGeneration(replace(handler.spec, memory_bytes=budget), handler.model, [3], "greedy")


def gap_where_they_part(model: Any, prompt: list[int], one: list[int], other: list[int]) -> float:
    """How far the two likeliest tokens are apart where two texts part; 0 where they do not."""
    if one == other:
        return 0.0
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + one[:at]])).logits[0, -1]
    best, second = logits.topk(2).values.tolist()
    return float(best - second)


def test_texts_that_part_without_need_would_be_seen(models: Models) -> None:
    handler: Any = models("text-generation").handler
    assert gap_where_they_part(handler.model, [7, 8], [9, 10, 11], [9, 10, 12]) > 1e-3


def test_a_seed_gives_the_same_text_alone_and_beside_others(models: Models) -> None:
    runner = models("text-generation")
    sampled = {"do_sample": True, "max_new_tokens": 12}
    prompts = TEXTS[:6]
    seeded = [{**sampled, "seed": 5}] * len(prompts)
    alone = [results(runner.run([prompt], seeded[:1]))[0] for prompt in prompts]
    assert results(runner.run(prompts, seeded)) == alone
    assert results(runner.run(prompts[::-1], seeded)) == alone[::-1]
    others = {str(results(runner.run(["the cat"], [{**sampled, "seed": seed}]))) for seed in range(5)}
    assert len(others) > 1


# Batched against alone, and alone against float32: parts of the largest number, of 1 for scores. Half precision keeps
# 8 (bfloat16) and 11 bits, so that where a row stands in a matrix is seen in the result.
HALF = {"bfloat16": (0.03, 0.15), "float16": (0.01, 0.02)}


def numbers(answer: Any) -> torch.Tensor:
    """A vector's numbers, or an answer's scores in the order of their labels."""
    if isinstance(answer, dict):
        return torch.tensor([score for _, score in sorted(zip(answer["labels"], answer["scores"], strict=True))])
    if isinstance(answer[0], dict):
        return torch.tensor([entry["score"] for entry in sorted(answer, key=lambda entry: entry["label"])])
    return torch.tensor(answer)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    ("task", "options"),
    [("feature-extraction", {}), ("text-classification", {"top_k": 3}), ("zero-shot-classification", LABELS)],
)
def test_half_precision_stays_within_its_tolerance(models: Models, task: str, options: Options, dtype: str) -> None:
    half, whole = models(task, dtype=dtype), models(task)
    values = values_for(task, 24)
    batched = results(half.run(values, [options] * len(values)))
    for value, beside in zip(values, batched, strict=True):
        alone = numbers(results(half.run([value], [options]))[0])
        exact = numbers(results(whole.run([value], [options]))[0])
        largest = max(1.0, exact.abs().max().item())  # scores are parts of one
        assert (numbers(beside) - alone).abs().max() <= HALF[dtype][0] * largest
        assert (alone - exact).abs().max() <= HALF[dtype][1] * largest


def test_a_chat_model_answers_its_chat_and_a_plain_one_refuses_it(models: Models) -> None:
    chat = [{"role": "user", "content": "the cat"}]
    chatting = models("text-generation", {"chat": True})
    options = {"max_new_tokens": 8}
    assert results(chatting.run([chat], [options])) == results(chatting.run(["the cat"], [options]))
    (refused,) = models("text-generation").run([chat], [options])
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
        ("image-classification", base64.b64encode(b"\x89PNG\r\n\x1a\n no").decode(), {}, "no image that can be"),
        ("image-classification", samples.photograph(1)[:400], {}, "no image that can be"),
        (SPEECH, samples.recording(1)[:4000], {}, "is cut off"),
        (SPEECH, samples.recording(1), {"language": "en"}, "option language means nothing to this model"),
        (SPEECH, samples.recording(1), {"return_timestamps": "segment"}, "of this model is char or word"),
    ],
)
def test_what_only_the_device_process_can_see_is_the_callers_fault_too(
    models: Models, task: str, value: str, options: Options, sentence: str
) -> None:
    good = samples.value(task, 1)
    fine = {"zero-shot-classification": LABELS, "text-generation": {"max_new_tokens": 5}}.get(task, {})
    before, bad, after = models(task).run([good, value, good], [fine, options, fine])
    assert bad["error"] == "InvalidInput"
    assert sentence in bad["sentence"]
    same(results([before]), results([after]))


def test_a_recording_too_short_for_one_step_is_refused(models: Models) -> None:
    from models.media import audio

    (answer,) = models(SPEECH).run([audio.sample(0.0005)], [{}])
    assert answer["sentence"] == "inputs is too short to be heard"
