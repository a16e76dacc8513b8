"""A result that is too large for its model's limit fails its request, and no other, before anybody carries it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.ipc import answers

RESULTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=30,
)


def spec(limit: int) -> ModelSpec:
    return ModelSpec(
        "m", "feature-extraction", "/m", options=PIPELINE_TASKS["feature-extraction"].options, max_result_bytes=limit
    )


@given(result=RESULTS | st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_counted_is_never_less_than_what_is_written(result: Any) -> None:
    written = len(json.dumps(result))
    assert answers.size_bytes(result, 10**9) >= written
    assert answers.check_size(spec(written), result) <= written


@given(result=RESULTS)
def test_one_byte_less_is_refused(result: Any) -> None:
    written = len(json.dumps(result))
    with pytest.raises(InvalidInput, match=f"inputs made a result of {written:,} bytes; at most {written - 1:,} are"):
        answers.check_size(spec(written - 1), result)
