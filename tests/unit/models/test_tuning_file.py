"""What was measured best on a device: which size is chosen, what is remembered, and where it counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from celery_inference.catalogue.catalogue import load
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.tuning import best_of, can_be_tuned
from models.tuning_file import FILE, Tuning, TuningFile

SPEC = ModelSpec(
    "m", "text-generation", "/models/m", default_size=True, options=PIPELINE_TASKS["text-generation"].options
)
CPU = "2 threads"


def test_the_smallest_size_that_is_nearly_best_is_chosen() -> None:
    assert best_of({1: 10.0, 8: 5.1, 16: 5.0, 32: 6.0}) == 8
    assert best_of({1: 10.0, 8: 5.5, 16: 5.0, 32: 4.99}) == 16
    assert best_of({1: 1.0}) == 1


def test_what_was_measured_is_remembered_for_the_model_its_weights_and_the_device(tmp_path: Path) -> None:
    assert not TuningFile(tmp_path)
    TuningFile(tmp_path / "made").save_tuning(SPEC, CPU, Tuning(32, "on"))
    TuningFile(tmp_path / "made").save_tuning(replace(SPEC, name="other"), CPU, Tuning(4))
    known = TuningFile(tmp_path / "made")
    assert known.of(SPEC, CPU) == Tuning(32, "on")
    assert known.of(SPEC, "an H100") is None
    assert known.of(replace(SPEC, dtype="float16"), CPU) is None
    assert known.of(replace(SPEC, revision="f" * 40), CPU) is None
    tuned = known.applied(SPEC, CPU)
    assert (tuned.batch_size, tuned.continuous, tuned.joins) == (32, "on", True)
    assert known.applied(SPEC, "an H100") is SPEC


def test_what_the_catalogue_says_stays_in_force(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(
        '[set]\ntask = "text-generation"\nsource = "./x"\nbatch_size = 5\ncontinuous = "off"\n'
        '[free]\ntask = "text-generation"\nsource = "./x"\n'
    )
    given, free = load(path)
    assert (Tuning(32, "on").applied(given).batch_size, Tuning(32, "on").applied(given).continuous) == (5, "off")
    assert (Tuning(32, "on").applied(free).batch_size, Tuning(32, "on").applied(free).continuous) == (32, "on")
    assert Tuning(32).applied(free).continuous == "auto"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "no json", '{"a": 1}', '{"KEY": {"batch_size": 0}}', '{"KEY": {"batch_size": true}}', "[" * 10_000],
)
def test_a_file_that_is_none_counts_as_empty(tmp_path: Path, text: str) -> None:
    key = f"m from /models/m at no revision in float32 on {CPU}"
    (tmp_path / FILE).write_text(text.replace("KEY", key))
    assert TuningFile(tmp_path).applied(SPEC, CPU) is SPEC


def test_what_runs_one_input_at_a_time_has_no_size_to_choose() -> None:
    assert can_be_tuned(SPEC)
    assert not can_be_tuned(replace(SPEC, task="fill-mask"))
