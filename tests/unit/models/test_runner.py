"""What a device process does with a pass that raises: whose fault is it, and who is run again?"""

import errno
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from celery_inference.specs.model_spec import ModelSpec
from celery_inference.specs.pipeline_tasks import PIPELINE_TASKS
from models.device_process.error_classification import DeviceFailed, Poisoned
from models.device_process.runner import Runner
from models.handlers.base import Prepared

WELL = "a well known text"


class Fussy:
    """A handler's stand-in whose memory holds so many rows, and whose model raises what the test wants."""

    one_thread = False

    def __init__(self, room: int = 99, raises: Callable[[list[str]], Exception | None] = lambda values: None) -> None:
        self.room, self.raises, self.passes, self.freed = room, raises, list[list[str]](), 0

    def refuse_unused(self, given: Iterable[str]) -> None:
        """It uses them all."""

    def prepare(self, row: int, value: str, options: dict[str, Any]) -> Prepared:
        return Prepared(row, value, len(value), options, value)

    def forward(self, items: list[Prepared]) -> list[str]:
        values = [item.value for item in items]
        self.passes.append(values)
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        error = self.raises(values)
        if error is not None:
            raise error
        return values

    def finish(self, output: str, item: Prepared) -> str:
        return output.upper()

    def free_memory(self) -> None:
        self.freed += 1

    @property
    def sizes(self) -> list[int]:
        return [len(values) for values in self.passes]


def runner_of(handler: Fussy, **values: Any) -> Runner:
    one = ModelSpec("one", "feature-extraction", "/one", options=PIPELINE_TASKS["feature-extraction"].options, **values)
    runner = Runner(one, handler)  # type: ignore[arg-type]
    runner.well = (WELL, {})
    return runner


def run(runner: Runner, *values: str) -> list[dict[str, Any]]:
    return runner.run(values, [{}] * len(values))


def if_any(*bad: str) -> Callable[[list[str]], Exception | None]:
    return lambda values: IndexError("index out of range in self") if set(bad) & set(values) else None


def test_out_of_memory_halves_the_batch_until_it_fits_and_is_told() -> None:
    handler = Fussy(room=4)
    runner = runner_of(handler)
    work = runner.prepare(["ten of it."] * 16, [{}] * 16)
    runner.forward(work)
    assert [answer["ok"] for answer in runner.finish(work)] == ["TEN OF IT."] * 16
    assert handler.freed == 3
    assert work.ran_out == [(10, 160), (10, 80), (10, 80)]


def test_a_ceiling_is_kept_from_the_first_pass_on() -> None:
    handler = Fussy(room=4)
    runner = runner_of(handler)
    work = runner.prepare(["ten of it."] * 16, [{}] * 16)
    runner.forward(work, memory_limits=((8, 40),))
    assert handler.sizes == [4, 4, 4, 4]
    assert work.ran_out == []


def test_a_row_that_does_not_fit_even_alone_is_the_rows_fault_when_the_device_is_well() -> None:
    handler = Fussy(raises=lambda values: MemoryError() if "large" in values else None)
    large, small = run(runner_of(handler), "large", "small")
    assert large["error"] == "InputFailed"
    assert "does not fit into the device's memory, even alone" in large["sentence"]
    assert small["ok"] == "SMALL"


def test_a_device_on_which_nothing_fits_any_more_is_to_blame_itself() -> None:
    with pytest.raises(DeviceFailed, match="what ran when the model was loaded raises now"):
        run(runner_of(Fussy(room=0)), "text")


def test_what_raises_is_found_by_halving_and_the_device_asked_once() -> None:
    handler = Fussy(raises=if_any("bad 3", "bad 9"))
    values = [f"{'bad' if i in (3, 9) else 'good'} {i}" for i in range(16)]
    answers = run(runner_of(handler), *values)
    assert [i for i, answer in enumerate(answers) if "ok" not in answer] == [3, 9]
    assert "alone too: IndexError: (withheld)" in answers[3]["sentence"]
    assert handler.passes.count([WELL]) == 1


def test_two_bad_inputs_alone_in_a_batch_are_not_taken_for_a_broken_device() -> None:
    answers = run(runner_of(Fussy(raises=if_any("bad", "worse"))), "bad", "worse")
    assert [answer["error"] for answer in answers] == ["InputFailed", "InputFailed"]


def test_both_halves_failing_alike_on_a_broken_device_blames_nobody_and_halves_nothing() -> None:
    handler = Fussy(raises=lambda values: RuntimeError("the library is gone"))
    with pytest.raises(DeviceFailed, match="the library is gone"):
        run(runner_of(handler), *(f"text {i}" for i in range(8)))
    assert handler.sizes == [8, 1]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
    ],
)
def test_what_only_a_device_says_blames_it_at_once(error: Exception) -> None:
    handler = Fussy(raises=lambda values: error)
    with pytest.raises(DeviceFailed):
        run(runner_of(handler), "a", "b")
    assert handler.sizes == [2]


def test_a_device_side_assert_makes_the_batch_suspect() -> None:
    handler = Fussy(raises=lambda values: RuntimeError("CUDA error: device-side assert triggered"))
    with pytest.raises(Poisoned, match="device-side assert"):
        run(runner_of(handler), "a", "b")
    assert handler.sizes == [2]


def test_a_device_that_fails_while_answers_are_finished_blames_nobody() -> None:
    handler = Fussy()

    def broken(output: str, item: Prepared) -> str:
        raise RuntimeError("CUDA error: unspecified launch failure")

    handler.finish = broken  # type: ignore[method-assign]
    with pytest.raises(DeviceFailed):
        run(runner_of(handler), "a")


def test_out_of_memory_of_the_gpu_is_no_sticky_error() -> None:
    handler = Fussy(raises=lambda values: RuntimeError("CUDA error: out of memory") if len(values) > 2 else None)
    assert all("ok" in answer for answer in run(runner_of(handler), *"abcd"))


def test_a_result_that_is_too_large_fails_its_input_alone() -> None:
    answers = run(runner_of(Fussy(), max_result_bytes=10), "short", "much too long for it", "small")
    assert [answer.get("ok") for answer in answers] == ["SHORT", None, "SMALL"]
    assert answers[1]["error"] == "InvalidInput"
    assert answers[1]["sentence"] == "inputs made a result of 22 bytes; at most 10 are allowed"
