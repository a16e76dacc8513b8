"""docs/pipeline-tasks.md lists what the code serves, and applications can import a task for each of it."""

import re
from pathlib import Path

import pytest

import celery_inference
from celery_inference.specs.pipeline_tasks import NOT_SERVED, PIPELINE_TASKS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "pipeline-tasks.md").read_text(encoding="utf-8")
ROWS = {cells[0].strip(" `"): cells for line in PAGE.splitlines() if len(cells := line.strip("|").split("|")) == 4}


@pytest.mark.parametrize("task", PIPELINE_TASKS)
def test_the_page_names_every_option_of_a_served_task(task: str) -> None:
    _, _, options, _ = ROWS[task]
    assert set(re.findall(r"`(\w+)`", options)) == set(PIPELINE_TASKS[task].options)


def test_the_page_lists_every_task_once() -> None:
    assert set(ROWS) - {"task", "---"} == set(PIPELINE_TASKS)
    assert all(f"| `{task}` |" in PAGE for task in NOT_SERVED)


@pytest.mark.parametrize("task", PIPELINE_TASKS)
def test_applications_can_import_a_task_of_every_kind(task: str) -> None:
    name = task.replace("-", "_")
    assert name in celery_inference.__all__
    made = getattr(celery_inference, name)
    assert (made.name, made.pipeline_task) == (f"celery_inference.{name}", task)
    assert made.__doc__
