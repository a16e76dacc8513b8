"""A claim stands for a medium's bytes, is checked like them before anything is sent, and is nothing but a claim."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from celery_inference.inputs import claims
from celery_inference.inputs.check import check_inputs
from celery_inference.specs.errors import InvalidInput
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.poison_inputs import digest_of
from tests.support import samples

PNG = b"\x89PNG\r\n\x1a\n and the rest"
MEDIA = [task for task, kind in PIPELINE_TASKS.items() if kind.media in ("image", "audio", "video")]


def spec(task: str, **values: Any) -> ModelSpec:
    return ModelSpec(name="one", task=task, source="/one", options=PIPELINE_TASKS[task].options, **values)


def claim(data: bytes = PNG, **changed: Any) -> dict[str, Any]:
    facts = {"key": "0" * 32, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"claim": facts | changed}


IMAGE = spec("image-classification", max_bytes=1000)
SEEING = spec("image-text-to-text")


@pytest.mark.parametrize("task", MEDIA)
def test_a_claim_stands_wherever_a_medium_does_and_is_left_as_it_is(task: str) -> None:
    one = spec(task)
    options = samples.OPTIONS.get(task)
    for value in (claim(), [claim(), claim(key="1" * 32)]):
        rows, checked = check_inputs(one, value, options)
        assert rows == (value if isinstance(value, list) else [value])
        assert check_inputs(one, *json.loads(json.dumps([rows, checked]))) == (rows, checked)


@pytest.mark.parametrize(
    "value",
    [
        {"claim": []},
        {"claim": {}},
        {"claim": "0" * 32},
        {"claim": claim()},
        {"Claim": claim()["claim"]},
        claim() | {"url": "http://127.0.0.1:9/secret"},
        claim(url="s3://another/secret"),
        claim()["claim"],
        {},
        {1: 2},
        {"url": "http://127.0.0.1:9/cat.png"},
        {"claim": {name: value for name, value in claim()["claim"].items() if name != "sha256"}},
        claim(key="A" * 32),
        claim(key="0" * 31),
        claim(key="0" * 32 + "\n"),
        claim(key="../" + "0" * 29),
        claim(key="/etc/passwd"),
        claim(key="\u0660" * 32),
        claim(key=int("1" * 32)),
        claim(key=None),
        claim(key=["0" * 32]),
        claim(key="0" * 10**7),
        claim(sha256="F" * 64),
        claim(sha256="0" * 63),
        claim(sha256=b"0" * 64),
        claim(size_bytes=True),
        claim(size_bytes=0),
        claim(size_bytes=-1),
        claim(size_bytes=5.0),
        claim(size_bytes="5"),
        claim(size_bytes=1001),
        claim(size_bytes=10**5000),
    ],
    ids=range(32),
)
def test_what_is_no_claim_is_refused_in_a_short_sentence(value: Any) -> None:
    for given, field in ((value, "inputs"), ([PNG, value], r"inputs\[1\]")):
        with pytest.raises(InvalidInput, match=f"^{field} ") as caught:
            check_inputs(IMAGE, given)
        assert len(str(caught.value)) < 200


def test_a_claim_where_a_model_reads_texts_is_refused() -> None:
    for one in (spec("text-classification"), spec("text-generation"), spec("feature-extraction")):
        with pytest.raises(InvalidInput, match=r'inputs (must be a text, not dict|has an unknown part "claim")'):
            check_inputs(one, claim())
    with pytest.raises(InvalidInput, match="inputs text must be a text, not dict"):
        check_inputs(SEEING, {"image": claim(), "text": claim()})
    chat = [{"role": "user", "content": [{"type": "text", "text": claim()}]}]
    with pytest.raises(InvalidInput, match="must be a text, not dict"):
        check_inputs(SEEING, chat)
    with pytest.raises(InvalidInput, match='unknown part "claim"'):
        check_inputs(SEEING, claim())


def test_json_that_looks_like_a_claim_is_only_json() -> None:
    one = spec("decision")
    value = {"state": claim(), "questions": {"true": {"type": "noul"}}}
    rows, _ = check_inputs(one, value)
    assert rows == [value]
    assert claims.found(one, rows) == []
    assert [claims.with_bytes(one, row, {}) for row in rows] == rows


def test_claims_count_as_what_they_stand_for() -> None:
    one = spec("image-classification", max_request_bytes=3_000)
    check_inputs(one, [claim(size_bytes=1_000)])
    for each in (PNG + bytes(900), claim(bytes(900))):
        with pytest.raises(InvalidInput, match="bytes in a message; at most 3,000 are allowed"):
            check_inputs(one, [each] * 3)


Shape = Callable[[Any], Any]
SHAPES: dict[str, tuple[ModelSpec, Shape, list[str]]] = {
    "one": (IMAGE, lambda medium: medium, ["inputs"]),
    "several": (IMAGE, lambda medium: [PNG, medium, medium], ["inputs[1]", "inputs[2]"]),
    "parts": (SEEING, lambda medium: {"image": medium, "text": "what"}, ["inputs image"]),
    "two images": (
        spec("keypoint-matching"),
        lambda medium: {"image": medium, "other_image": medium},
        ["inputs image", "inputs other_image"],
    ),
    "a chat": (
        SEEING,
        lambda medium: [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "what"}, {"type": "image", "image": medium}]},
        ],
        ["inputs[1][1]"],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_with_its_bytes_back_a_request_is_the_one_that_was_never_claimed(shape: str) -> None:
    one, made, fields = SHAPES[shape]
    rows, options = check_inputs(one, made(claim()))
    found = claims.found(one, rows)
    assert [field for field, _ in found] == fields
    assert {claims.identity(each) for _, each in found} == {claims.identity(claim()["claim"])}
    whole = [claims.with_bytes(one, row, {claims.identity(claim()["claim"]): PNG}) for row in rows]
    again = check_inputs(one, whole if len(whole) > 1 else whole[0], options)
    inline = check_inputs(one, made(base64.b64encode(PNG).decode()))
    assert again == inline
    assert claims.found(one, again[0]) == []
    for ours, theirs in zip(again[0], inline[0], strict=True):
        assert digest_of(one, ours, {}) == digest_of(one, theirs, {}), "who kills is known in both ways"
