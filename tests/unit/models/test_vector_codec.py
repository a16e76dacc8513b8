"""Vectors come out of their bytes as they went in."""

import json
import math
from array import array
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.ipc.answers import LEAST, packed, unpacked


def sent(answer: dict[str, Any]) -> Any:
    return unpacked(json.loads(json.dumps(packed(answer))))


@given(st.lists(st.floats(allow_nan=False), min_size=LEAST, max_size=40))
def test_any_floats_come_back_exactly(numbers: list[float]) -> None:
    back = sent({"ok": numbers, "bytes": 7})
    assert back == {"ok": numbers, "bytes": 7}
    assert [math.copysign(1.0, number) for number in back["ok"]] == [math.copysign(1.0, number) for number in numbers]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=LEAST, max_size=40))
def test_what_float32_says_exactly_takes_four_bytes_a_number(numbers: list[float]) -> None:
    answer = packed({"ok": numbers})
    assert "float32" in answer
    assert sent({"ok": numbers})["ok"] == numbers


def test_an_embedding_is_a_quarter_of_its_json() -> None:
    vector = array("f", [math.sin(number) / 20 for number in range(384)]).tolist()
    assert len(json.dumps(packed({"ok": vector}))) * 3.5 < len(json.dumps({"ok": vector}))


def test_everything_else_stays_as_it_is() -> None:
    for result in (
        [1] * 40,
        [0.5] * 3,
        [[0.5] * 40],
        [True] * 40,
        ["a"] * 40,
        [0.5] * 39 + [1],
        {"label": "a"},
        "text",
    ):
        assert packed({"ok": result}) == {"ok": result} == sent({"ok": result})
    failure = {"error": "InputFailed", "sentence": "inputs failed"}
    assert packed(failure) == failure == unpacked(failure)


def test_numbers_that_are_none_keep_their_kind() -> None:
    back = sent({"ok": [math.nan, math.inf, -math.inf] + [0.1] * LEAST})["ok"]
    assert math.isnan(back[0])
    assert back[1:3] == [math.inf, -math.inf]
