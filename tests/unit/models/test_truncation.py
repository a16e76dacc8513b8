"""With `truncation=True` a text that is too long is cut and answered as the pipeline does it, and not refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, pipeline

from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import InvalidInput, UnknownOption
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.device_process.runner import Runner
from models.device_process.warmup import load
from models.handlers.common import tokenization
from tests.support import samples, tiny_models
from tests.support.engines import spec
from tests.support.equality import as_json, same
from tests.support.tiny_models import WORDS

CPU = torch.device("cpu")
CUT: dict[str, Any] = {"truncation": True}
MOST = 128  # tokens that the tiny tokenizers say their models take
LABELS = samples.LABELS["candidate_labels"]


def text(words: int, seed: int) -> str:
    return " ".join(WORDS[(7 * i * seed + 3 * i + seed) % len(WORDS)] for i in range(words))


LONG = text(300, 1)
TEXTS = [LONG, text(5, 2), text(200, 3), text(126, 4), text(127, 5), text(60, 6)]
PAIRS = [
    {"text": text(200, 1), "text_pair": text(90, 2)},
    {"text": text(10, 3), "text_pair": LONG},
    "the cat",
    {"text": "the cat", "text_pair": "a dog"},
]
GENERATION = {"max_new_tokens": 8}
# Each task's inputs, its options, and the pipeline's answer to one of them alone. Token classification and zero-shot
# classification are cut by their pipelines unasked.
CASES: list[tuple[str, list[Any], dict[str, Any], Callable[[Any, Any], Any]]] = [
    ("feature-extraction", TEXTS, {}, lambda pipe, value: np.array(pipe(value, **CUT)[0]).mean(0)),
    ("text-classification", TEXTS, {"top_k": 3}, lambda pipe, value: pipe([value], top_k=3, **CUT)[0]),
    ("text-classification", PAIRS, {"top_k": 3}, lambda pipe, value: pipe([value], top_k=3, **CUT)[0]),
    ("token-classification", TEXTS, {}, lambda pipe, value: pipe(value, aggregation_strategy="simple")),
    ("zero-shot-classification", TEXTS, samples.LABELS, lambda pipe, value: pipe(value, candidate_labels=LABELS)),
    (
        "fill-mask",
        [f"the [MASK] {each}" for each in TEXTS],
        {"top_k": 3},
        lambda pipe, value: pipe(value, top_k=3, tokenizer_kwargs=CUT),
    ),
    (
        "text-generation",
        TEXTS,
        GENERATION,
        lambda pipe, value: pipe(value, do_sample=False, return_full_text=False, **GENERATION, **CUT),
    ),
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Runner, Path]]:
    made: dict[str, tuple[Runner, Path]] = {}

    def of(task: str) -> tuple[Runner, Path]:
        if task not in made:
            folder = tiny_models.make(task, tmp_path_factory.mktemp(task))
            made[task] = load(spec(task, folder), CPU)[0], folder
        return made[task]

    return of


@pytest.mark.parametrize(
    ("task", "inputs", "options", "ask"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_a_batch_with_cut_texts_equals_the_pipeline_on_each_alone(
    loaded: Any, task: str, inputs: list[Any], options: dict[str, Any], ask: Callable[[Any, Any], Any]
) -> None:
    runner, folder = loaded(task)
    pipe = pipeline(task, model=str(folder), device="cpu")
    answers = runner.run(inputs, [{**options, **CUT}] * len(inputs))
    assert runner.stats["longest"] == MOST * (len(LABELS) if task == "zero-shot-classification" else 1)
    for value, answer in zip(inputs, answers, strict=True):
        same(answer.get("ok", answer), as_json(ask(pipe, value)), 1e-4)
    alone = [runner.run([value], [{**options, **CUT}])[0] for value in inputs]
    same([answer["ok"] for answer in alone], [answer["ok"] for answer in answers])
    refused = runner.run(inputs[:1], [options])[0]
    assert "tokens; at most 128 are allowed" in refused["sentence"], "as ever without it"


def table(rows: int, columns: int = 2, cell: str = "cat") -> dict[str, Any]:
    cells = {f"column {i}": [f"dog {row}" if row % 3 else cell for row in range(rows)] for i in range(columns)}
    return {"table": cells, "query": "red number"}


TABLES = [
    (table(300), "inputs table has too many rows for this model"),
    (table(100), "inputs has 460 tokens; at most 128 are allowed"),
    (table(1, 1, "cat dog " * 100), "inputs has 206 tokens; at most 128 are allowed"),
    (table(2), None),
]


@pytest.mark.parametrize(("value", "refused"), TABLES)
def test_a_table_is_answered_from_its_first_rows_where_that_is_asked_for_alone(
    loaded: Any, value: dict[str, Any], refused: str | None
) -> None:
    runner, folder = loaded("table-question-answering")
    cut, whole = runner.run([value] * 2, [CUT, {}])
    same(cut["ok"], as_json(pipeline("table-question-answering", model=str(folder))(**value)))
    if refused is None:
        assert whole["ok"] == cut["ok"]
    else:
        assert (whole["error"], whole["sentence"]) == ("InvalidInput", refused)


def test_a_table_that_cannot_be_cut_to_fit_is_refused(loaded: Any) -> None:
    runner, _ = loaded("table-question-answering")
    wide, long = table(1, 200), {**table(1), "query": "cat " * 200}
    sentences = [answer["sentence"] for answer in runner.run([wide, long], [CUT] * 2)]
    assert sentences == [
        "inputs table has too many columns for this model",
        "inputs has 204 tokens; at most 128 are allowed",
    ]


def test_a_request_that_cuts_shares_its_batch_with_one_that_does_not(loaded: Any) -> None:
    runner, _ = loaded("text-classification")
    cut, refused, short = runner.run([LONG, LONG, "the cat"], [CUT, {}, {"truncation": False}])
    assert ["ok" in answer for answer in (cut, refused, short)] == [True, False, True]
    assert not PIPELINE_TASKS["text-classification"].options["truncation"].shapes_batch


def test_a_spec_of_fewer_tokens_cuts_there(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    runner, _, _ = load(spec("text-classification", folder, max_tokens=20), CPU)
    (answer,) = runner.run([LONG], [CUT])
    expected = pipeline("text-classification", model=str(folder))(LONG, max_length=20, **CUT)
    same(answer["ok"], as_json(expected), 1e-4)


def test_a_tokenizer_that_knows_no_most_is_cut_at_the_model_s_positions(tmp_path: Path) -> None:
    folder = tiny_models.make("text-classification", tmp_path)
    words = AutoTokenizer.from_pretrained(folder)
    words.model_max_length = int(1e30)
    words.save_pretrained(folder)
    runner, _, _ = load(spec("text-classification", folder, max_tokens=512, default_tokens=True), CPU)
    assert "ok" in runner.run([LONG], [CUT])[0]
    assert runner.stats["longest"] == MOST


def test_a_mask_that_is_cut_off_is_refused(loaded: Any) -> None:
    (answer,) = loaded("fill-mask")[0].run([f"{LONG} [MASK]"], [CUT])
    assert answer["sentence"] == "inputs has no [MASK] to fill in the 128 tokens that are left of it"


def test_labels_that_leave_no_room_for_the_text_are_refused_and_not_cut(loaded: Any) -> None:
    long = {"candidate_labels": [text(140, 7)], **CUT}
    (answer,) = loaded("zero-shot-classification")[0].run(["the cat"], [long])
    assert answer["error"] == "InvalidInput"
    assert "tokens; at most 128 are allowed" in answer["sentence"]


def test_a_chat_s_end_is_not_cut_off_where_the_model_s_answer_would_begin(tmp_path: Path) -> None:
    folder = tiny_models.make("text-generation", tmp_path, chat=True)
    runner, _, _ = load(spec("text-generation", folder), CPU)
    (answer,) = runner.run(["the cat"], [CUT])
    assert answer["sentence"] == "option truncation means nothing to this model"


def test_a_cut_prompt_still_leaves_positions_for_the_new_text(tmp_path: Path) -> None:
    folder = tiny_models.make("text-generation", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 130}))
    runner, _, _ = load(spec("text-generation", folder), CPU)
    (answer,) = runner.run([LONG], [{**CUT, "max_new_tokens": 3}])
    assert answer["sentence"] == "inputs has 131 tokens, max_new_tokens included; at most 130 are allowed"


@pytest.mark.parametrize("task", PIPELINE_TASKS)
def test_where_the_pipeline_cuts_nothing_the_option_is_refused(task: str) -> None:
    one = spec(task, Path("/one"))
    value, options = (
        samples.value(task, 1),
        samples.LABELS if "candidate_labels" in PIPELINE_TASKS[task].options else {},
    )
    if task in {case[0] for case in CASES} | {"table-question-answering"}:
        assert check_inputs(one, value, {**options, **CUT})[1]["truncation"] is True
        with pytest.raises(InvalidInput, match="option truncation must be true or false, not str"):
            check_inputs(one, value, {**options, "truncation": "longest_first"})
    else:
        with pytest.raises(UnknownOption, match='option "truncation" is not known'):
            check_inputs(one, value, {**options, **CUT})


def test_a_catalogue_may_cut_by_default(tmp_path: Path) -> None:
    option = replace(PIPELINE_TASKS["text-classification"].options["truncation"], default=True)
    options = {**PIPELINE_TASKS["text-classification"].options, "truncation": option}
    folder = tiny_models.make("text-classification", tmp_path)
    runner, _, _ = load(spec("text-classification", folder, options=options), CPU)
    cut, refused = runner.run([LONG, LONG], [{}, {"truncation": False}])
    assert ("ok" in cut, "ok" in refused) == (True, False)


def test_the_characters_and_bytes_of_a_text_are_bounded_as_ever() -> None:
    with pytest.raises(InvalidInput, match="has 20,001 characters"):
        check_inputs(spec("text-classification", Path("/one")), "x" * 20_001, CUT)


def test_another_error_of_the_tokenizer_is_not_taken_for_a_text_too_short() -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("it is broken")

    broken.model_max_length = 8  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="it is broken"):
        tokenization.encode(spec("text-classification", Path("/one")), broken, "text", cut=True)
