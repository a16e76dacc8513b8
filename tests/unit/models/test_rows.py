"""From requests to rows: what may share a pass, what joins, and what the device process adds to the limits."""

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.options import Option
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.devices import Device
from models.scheduling.batching import Limits, Row, limits_of, with_facts
from models.scheduling.requests import PendingRequest, joins_as, rows_of

WRITER = ModelSpec("w", "text-generation", "/w", continuous="on", options=PIPELINE_TASKS["text-generation"].options)


def row_of(spec: ModelSpec, **options: Any) -> Row:
    request = PendingRequest("id", spec.name, options, Future(), [None], 1, 3)
    (row,) = rows_of(spec, request, ["the cat"], 0.0, 10.0)
    return row


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "greedy"),
        ({"max_new_tokens": 7, "temperature": 0.3}, "greedy"),
        ({"do_sample": True, "top_k": 3}, "sampled"),
        ({"do_sample": True, "seed": 1}, None),
        ({"num_beams": 2}, None),
        ({"repetition_penalty": 1.2}, None),
        ({"num_beams": 1, "repetition_penalty": 1.0, "seed": 5}, "greedy"),
    ],
)
def test_rows_join_by_mode_unless_their_options_look_at_all_that_was_written(
    options: dict[str, Any], mode: str | None
) -> None:
    assert joins_as(options) == mode
    row = row_of(WRITER, **options)
    assert row.may_join is row.joins is (mode is not None)
    if mode is not None:
        assert row.group == ("w", mode)
    assert not row_of(replace(WRITER, continuous="auto"), **options).may_join


def test_what_a_catalogue_makes_the_default_counts_as_given() -> None:
    sampling = replace(WRITER, options={**WRITER.options, "do_sample": Option("bool", default=True, shapes_batch=True)})
    assert row_of(sampling).group == ("w", "sampled")
    assert row_of(sampling, do_sample=False).group == ("w", "greedy")


def test_other_tasks_do_not_join_whatever_a_catalogue_says() -> None:
    spec = ModelSpec("e", "feature-extraction", "/e", continuous="on")
    assert not row_of(spec).may_join


def test_the_device_process_says_whether_lengths_must_be_equal_and_how_much_its_cache_holds() -> None:
    limits = Limits(16, 8192, 32)
    assert with_facts(limits, {}) == limits
    assert with_facts(limits, {"equal_lengths": True, "cache_tokens": None}) == replace(limits, equal=True)
    assert with_facts(limits, {"equal_lengths": False, "cache_tokens": 1024}).tokens == 1024
    assert with_facts(limits, {"cache_tokens": 10**6}).tokens == 8192


def test_one_thread_pads_least_and_a_gpu_most() -> None:
    embedder = ModelSpec("e", "feature-extraction", "/e", options=PIPELINE_TASKS["feature-extraction"].options)
    devices = Device("cpu:0", "cpu", 1), Device("cpu", "cpu", 2), Device("cuda:0", "cuda", 1)
    padding = [limits_of(embedder, device).pass_tokens for device in devices]
    assert sorted(set(padding)) == padding
    assert len({limits_of(WRITER, device).pass_tokens for device in devices}) == 1, "there steps cost, not the prompt"
