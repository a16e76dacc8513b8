"""How much a worker holds follows from what it drains, in numbers alone."""

from pathlib import Path

from celery_inference.catalogue.catalogue import load
from tasks.worker.prefetch import least_of, limit_of, row_seconds

SPECS = list(load(Path(__file__).resolve().parents[2] / "celery_inference" / "catalogue.toml"))


def test_a_fast_model_is_held_up_to_capacity() -> None:
    held, speeds = {"embed": 128}, {"embed": 0.02}
    assert limit_of(held, speeds, requests=128, most=128, least=32, seconds=10) == 128


def test_a_slow_model_is_held_for_as_long_as_it_should_drain() -> None:
    held, speeds = {"generate": 100}, {"generate": 0.5}
    assert limit_of(held, speeds, requests=100, most=128, least=16, seconds=10) == 20


def test_requests_with_many_inputs_weigh_what_their_inputs_do() -> None:
    held, speeds = {"embed": 64 * 20}, {"embed": 0.02}
    assert limit_of(held, speeds, requests=20, most=128, least=2, seconds=10) == 7


def test_two_batches_a_device_are_held_however_slow_they_are() -> None:
    held, speeds = {"generate": 16}, {"generate": 30.0}
    assert limit_of(held, speeds, requests=16, most=128, least=16, seconds=10) == 16


def test_a_speed_that_is_not_known_yet_limits_nothing() -> None:
    assert limit_of({"new": 128}, {}, requests=128, most=128, least=16, seconds=10) == 128


def test_speeds_come_from_the_engines_totals_and_are_shared_by_its_devices() -> None:
    totals = {"embed": {"rows": 100.0, "seconds": 2.0}, "never": {}}
    assert row_seconds(totals, devices=4) == {"embed": 0.005}


def test_the_least_is_two_of_the_largest_batches_that_are_asked_for() -> None:
    assert least_of(SPECS, {"smollm2-135m-instruct": 3}, devices=2) == 32
    assert least_of(SPECS, {"smollm2-135m-instruct": 3, "all-minilm-l6-v2": 1}, devices=1) == 32
    assert least_of(SPECS, {}, devices=1) == 2
