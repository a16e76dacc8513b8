"""Inputs that ended device processes are recognised, on every worker alike, and forgotten in time."""

from dataclasses import replace

from celery_inference.specs.model_spec import ModelSpec
from models.poison_inputs import REMEMBER_AT_MOST, LocalPoisonInputs, digest_of

ONE = ModelSpec("one", "feature-extraction", "someone/one", revision="0" * 40)


def test_a_digest_is_of_the_input_its_options_and_the_models_version() -> None:
    same = digest_of(ONE, "deadly", {"a": 1, "b": 2})
    assert digest_of(replace(ONE, batch_size=3), "deadly", {"b": 2, "a": 1}) == same
    others = [
        digest_of(ONE, "deadlier", {"a": 1, "b": 2}),
        digest_of(ONE, "deadly", {"a": 1}),
        digest_of(replace(ONE, revision="1" * 40), "deadly", {"a": 1, "b": 2}),
        digest_of(replace(ONE, name="two"), "deadly", {"a": 1, "b": 2}),
    ]
    assert len({same, *others}) == 5


def test_a_folder_is_the_same_model_wherever_a_host_keeps_it() -> None:
    here, there = replace(ONE, source="/here/one"), replace(ONE, source="/there/one")
    assert digest_of(here, "x", {}) == digest_of(there, "x", {})


def test_a_killer_is_known_until_its_time_is_over() -> None:
    now = [0.0]
    known = LocalPoisonInputs(lambda: now[0])
    known.record_poison_input("a", "it killed", 10.0)
    assert known.poison_inputs(["a", "b"]) == {"a": "it killed"}
    now[0] = 11.0
    assert known.poison_inputs(["a"]) == {}


def test_only_so_many_are_kept() -> None:
    known = LocalPoisonInputs()
    for number in range(REMEMBER_AT_MOST + 1):
        known.record_poison_input(str(number), "it killed", 1000.0)
    assert known.poison_inputs(["0", "1"]) == {"1": "it killed"}
