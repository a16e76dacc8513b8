"""Whatever a caller hands over is either checked for good, as plain JSON, or refused with a short sentence, soon."""

import json
import math
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import InferenceError, InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from celery_inference.sqs.errors import SqsError

LARGE = "x" * (64 * 1024 * 1024)


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()


class Number(int):
    """A number of a class of its own, that shows itself as something else."""

    def __str__(self) -> str:
        return "not a number"


def spec(task: str, **values: Any) -> ModelSpec:
    return ModelSpec(name="one", task=task, source="/one", options=PIPELINE_TASKS[task].options, **values)


SPECS = [spec(task) for task in PIPELINE_TASKS]
NAMES = sorted(
    {name for kind in PIPELINE_TASKS.values() for name in (*kind.options, *kind.fields, "role", "content", "type")}
)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def laughs() -> Any:
    """A thousand million million items that take no memory."""
    value: Any = ["ha"] * 1000
    for _ in range(4):
        value = [value] * 1000
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63), 10**30, Number(5), Text("a text"), math.nan, math.inf, -math.inf, 1e308]),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\ud800", "a\x00b", "\x00", "\u202e", "", " ", "[MASK]", "user", "iVBORw0KGgo="]),
    st.binary(max_size=20),
    st.builds(object),
    st.builds(bytearray, st.binary(max_size=8)),
    st.builds(memoryview, st.binary(max_size=8)),
)
claims = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(["0" * 32, "A" * 32, "../secret", Text("1" * 32)]) | scalars,
        "size_bytes": st.sampled_from([1, True, Number(5), 10**30]) | scalars,
        "sha256": st.sampled_from(["0" * 64, "f" * 63]) | scalars,
        "url": scalars,
    },
).map(lambda claim: {"claim": claim})
keys = st.sampled_from(NAMES) | st.text(string.printable, max_size=5) | st.integers() | st.none() | st.just("\ud800")
values = st.recursive(
    scalars | claims,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(st.integers(), max_size=2),
    ),
    max_leaves=12,
)
options = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), values, max_size=3)


def is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(is_plain(item) for item in value)
    if type(value) is dict:
        return all(type(name) is str and is_plain(item) for name, item in value.items())
    return value is None or type(value) in (str, int, float, bool)


def refused_or_checked(one: ModelSpec, value: object, given_options: dict[str, Any]) -> bool:
    """Whether it was checked for good; fails when it was neither that nor refused as it should be."""
    try:
        checked = check_inputs(one, value, given_options)
    except InvalidInput as error:
        (sentence,) = error.args
        assert type(sentence) is str
        assert len(sentence) < 800
        sentence.encode()
        assert "\n" not in sentence
        return False
    assert is_plain(checked)
    assert check_inputs(one, *json.loads(json.dumps(checked, allow_nan=False))) == checked
    return True


@settings(max_examples=150)
@given(value=values, given_options=options)
def test_anything_is_checked_for_good_or_refused_in_a_short_sentence(value: Any, given_options: dict[str, Any]) -> None:
    for one in SPECS:
        refused_or_checked(one, value, given_options)


@pytest.mark.parametrize(
    "hostile",
    [
        lambda: (nested(5000), {}),
        lambda: (endless(), {}),
        lambda: ({"state": endless(), "questions": {}}, {}),
        lambda: ({"state": laughs(), "questions": laughs()}, {}),
        lambda: ({10**5000: 1}, {}),
        lambda: ([{"role": 10**5000, "content": "x"}], {}),
        lambda: ([{"role": np.array(["user", "system"]), "content": "x"}], {}),
        lambda: ([{"role": "user", "content": "x"}] * 100_000, {}),
        lambda: (LARGE, {}),
        lambda: (" " * len(LARGE), {}),
        lambda: (LARGE.encode(), {}),
        lambda: (["x"] * 1_000_000, {}),
        lambda: ("x", {LARGE: 1}),
        lambda: ("x", {"candidate_labels": [LARGE]}),
        lambda: ("x", {"candidate_labels": ["x"] * 1_000_000}),
        lambda: ("x", {"top_k": 10**5000, "temperature": 10**5000}),
        lambda: ("x", {"hypothesis_template": LARGE, "aggregation_strategy": LARGE, "task": LARGE}),
        lambda: ([Text("a text")], {"top_k": Number(5), "candidate_labels": [Text("a")]}),
    ],
    ids=range(18),
)
def test_what_is_made_to_hurt_is_answered_for_as_well(hostile: Callable[[], tuple[Any, dict[str, Any]]]) -> None:
    value, given_options = hostile()
    for one in SPECS:
        refused_or_checked(one, value, given_options)


def test_texts_and_numbers_of_other_classes_become_plain() -> None:
    rows, checked = check_inputs(spec("text-classification"), Text("a text"), {"top_k": Number(5)})
    assert (rows, checked) == (["a text"], {"top_k": 5})
    assert (type(rows[0]), type(checked["top_k"])) == (str, int)


def test_a_null_byte_is_a_character_like_others() -> None:
    assert check_inputs(spec("text-classification"), "a\x00b")[0] == ["a\x00b"]


@pytest.mark.parametrize("name", ["modle", "inptus", LARGE])
def test_a_misspelt_argument_is_named_with_the_nearest(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not known") as caught:
        check_inputs(spec("text-classification"), "a text", {name: "x"})
    assert len(str(caught.value)) < 400
    assert caught.value.nearest == {"modle": "model", "inptus": "inputs"}.get(name)


def test_every_error_shows_at_most_a_hundred_characters_of_a_name() -> None:
    for error in (InvalidInput, *InvalidInput.__subclasses__(), *InferenceError.__subclasses__()):
        if issubclass(error, InvalidInput) and not issubclass(error, SqsError):
            assert len(str(error.unknown("model", LARGE, ["one", "two"]))) < 200
