"""The check of the layout finds each fault that it is there for, and none in what is there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import house

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("celery_inference/sqs", "models/scheduling", "monitor"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def a_thirteenth_module(root: Path) -> None:
    for number in range(house.MOST_MODULES):
        (root / f"celery_inference/sqs/producer/more_{number}.py").touch()


def a_module_alone(root: Path) -> None:
    (root / "models/scheduling/policies").mkdir()
    (root / "models/scheduling/policies/__init__.py").touch()
    (root / "models/scheduling/policies/fair.py").touch()


def a_class_twice(root: Path) -> None:
    (root / "monitor/scheduler.py").write_text("class Scheduler:\n    pass\n")


def a_vague_function(root: Path) -> None:
    (root / "monitor/notes.py").write_text("async def note() -> None:\n    pass\n")


def a_circle(root: Path) -> None:
    with (root / "celery_inference/sqs/limits.py").open("a") as target:
        target.write("from celery_inference.sqs import lanes\n")


def a_circle_for_type_checkers(root: Path) -> None:
    with (root / "celery_inference/sqs/limits.py").open("a") as target:
        target.write("if TYPE_CHECKING:\n    from .lanes import Lane\n")


def a_circle_within_a_function(root: Path) -> None:
    with (root / "celery_inference/sqs/limits.py").open("a") as target:
        target.write("def late() -> None:\n    import celery_inference.sqs.lanes\n")


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (a_thirteenth_module, "celery_inference/sqs/producer has 15 modules"),
        (a_module_alone, "models/scheduling/policies has fair.py alone"),
        (a_class_twice, "class Scheduler is defined in models/scheduling/scheduler.py and in monitor/scheduler.py"),
        (a_vague_function, "monitor/notes.py has a function note()"),
        (a_circle, "celery_inference/sqs/lanes.py, celery_inference/sqs/limits.py import each other"),
        (a_circle_for_type_checkers, "celery_inference/sqs/lanes.py, celery_inference/sqs/limits.py import each other"),
        (a_circle_within_a_function, "celery_inference/sqs/lanes.py, celery_inference/sqs/limits.py import each other"),
    ],
)
def test_a_planted_fault_is_found(copy: Path, plant: Callable[[Path], None], sentence: str) -> None:
    plant(copy)
    (found,) = house.faults(copy)
    assert found.startswith(sentence)


def test_what_is_there_is_in_order() -> None:
    assert house.faults(ROOT) == []
