"""What is stored reads as if kombu had written all of it."""

import datetime
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.json import dumps, loads

from celery_inference.results import encoding
from celery_inference.results.encoding import encoded

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.uuids(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def state(result: Any) -> dict[str, Any]:
    return {"status": "SUCCESS", "result": result, "traceback": None, "children": [], "task_id": "a}b"}


@given(ANY | st.lists(FINITE) | st.lists(st.lists(FINITE, max_size=3), max_size=3))
def test_a_state_reads_as_kombu_s_own(result: Any) -> None:
    assert loads(encoded(state(result), dumps)) == loads(dumps(state(result)))


@pytest.mark.parametrize("result", [[0.1, 1e-7, -0.0, 1e300], [[0.5], [1.5, 2.5]], [[[0.25]]]])
def test_numbers_are_not_kombu_s_to_write(result: Any) -> None:
    seen: list[Any] = []

    def encode(value: Any) -> str:
        seen.append(value)
        return str(dumps(value))

    assert json.loads(encoded(state(result), encode)) == state(result)
    assert not seen
    dated = state(result) | {"date_done": datetime.datetime(2026, 1, 2, 3, 4, 5, 6)}  # noqa: DTZ001 - as kombu has it
    assert loads(encoded(dated, encode)) == loads(dumps(dated))
    assert [sorted(value) for value in seen] == [["children", "date_done", "status", "task_id", "traceback"]]


@pytest.mark.parametrize("text", ['\u2028 \x00 "', "\ud800", "é"])
def test_a_plain_state_reads_as_kombu_s_own(text: str) -> None:
    plain = state([0.5]) | {"traceback": text, "task_id": text}
    assert loads(encoded(plain, dumps)) == loads(dumps(plain))


@pytest.mark.parametrize(
    "result", [[], [1], [True], [0.1, 1], [0.1, None], [[0.1], 0.1], [[]], (0.1,), [float("nan")], [float("-inf")], 0.1]
)
def test_everything_else_is(result: Any) -> None:
    assert encoded(state(result), dumps) == dumps(state(result)).encode()


def test_without_orjson_kombu_writes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_orjson", None)
    given_ = state([0.1, uuid.UUID(int=1)]), state([0.1, 0.2])
    assert [encoded(one, dumps) for one in given_] == [dumps(one).encode() for one in given_]
