"""docs/pipeline-tasks.md lists what the code serves, and applications can import a task for each of it."""

import re
from pathlib import Path

import pytest

import tasks
from celery_inference.specs.pipeline_tasks import KINDS, NOT_SERVED

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "pipeline-tasks.md").read_text(encoding="utf-8")
ROWS = {cells[0].strip(" `"): cells for line in PAGE.splitlines() if len(cells := line.strip("|").split("|")) == 4}


@pytest.mark.parametrize("task", KINDS)
def test_the_page_names_every_option_of_a_served_task(task: str) -> None:
    _, _, options, _ = ROWS[task]
    assert set(re.findall(r"`(\w+)`", options)) == set(KINDS[task].options)


def test_the_page_lists_every_task_once() -> None:
    assert set(ROWS) - {"task", "---"} == set(KINDS)
    assert all(f"| `{task}` |" in PAGE for task in NOT_SERVED)


@pytest.mark.parametrize("task", KINDS)
def test_applications_can_import_a_task_of_every_kind(task: str) -> None:
    name = task.replace("-", "_")
    assert name in tasks.__all__
    made = getattr(tasks, name)
    assert (made.name, made.kind) == (f"tasks.{name}", task)
    assert made.__doc__
