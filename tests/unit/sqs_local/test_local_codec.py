"""JSON by orjson and by Python's own: what one takes the other takes, and reads alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_inference.sqs_local.http import json_codec, validation
from celery_inference.sqs_local.http.errors import ApiError

plain_decode, plain_encode = json_codec._decode, json_codec._encode

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(decode: Any, data: bytes) -> Any:
    try:
        return repr(decode(data))
    except (ValueError, RecursionError):
        return "refused"


def test_orjson_is_what_is_tested_here() -> None:
    assert json_codec.encode is not plain_encode
    assert json_codec.decode is not plain_decode


@given(values)
def test_whatever_one_writes_both_read(value: Any) -> None:
    for data in (json_codec.encode(value), plain_encode(value), json.dumps(value).encode()):
        assert json_codec.decode(data) == plain_decode(data) == value


@given(st.binary() | st.text('{}[]",:\\u0123dDeE.+- \nnul\x00', max_size=12).map(str.encode))
def test_bytes_that_are_no_json_are_refused_by_both(data: bytes) -> None:
    assert read(json_codec.decode, data) == read(plain_decode, data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\ud83d\\ude00"}',
        b'{"a": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1, "a": 2}',
        b'{"a": 01}',
        b'{"a": 1.}',
        b'{"a": "\t"}',
        b'{"a": 1,}',
        b"{} {}",
        b" {} \n",
        b"{'a': 1}",
        b'"a',
        b"[" * 900 + b"]" * 900,
        b"[" * 200_000,
        b"",
    ],
)
def test_edges_of_json_are_the_same_to_both(data: bytes) -> None:
    assert read(json_codec.decode, data) == read(plain_decode, data)


@pytest.mark.parametrize("digits", ["9223372036854775807", "18446744073709551616", "-99999999999999999999", "9" * 300])
def test_long_numbers_are_out_of_range_and_not_of_a_wrong_type_to_both(digits: str) -> None:
    for decode in (json_codec.decode, plain_decode):
        with pytest.raises(ApiError) as refused:
            validation.whole(decode(b'{"DelaySeconds": %s}' % digits.encode()), "DelaySeconds", 0, 900)
        assert refused.value.query_code == "InvalidParameterValue"
