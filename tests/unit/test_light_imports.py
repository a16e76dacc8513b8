"""Who sends requests or watches queues does not pay for model libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "tokenizers", "numpy", "PIL")


def imported_by(program: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(ended.stdout.split())


@pytest.mark.parametrize(
    "program",
    [
        "import tasks",
        "from tasks.catalogue import catalogue; catalogue()",
        "import tasks.pool, tasks.lifecycle, tasks.commands.queues",
        "import celery_inference.sqs.transport.connection, celery_inference.sqs.queues.depths, "
        "celery_inference.sqs.dead_letters.letter, celery_inference.sqs.queues.provisioning",
        "import monitor, flower.app, celery.bin.celery",
        "import runpy; runpy.run_path('flowerconfig.py')",
    ],
)
def test_no_model_library_is_loaded(program: str) -> None:
    assert not imported_by(program) & set(HEAVY)


def test_the_check_would_see_one() -> None:
    assert "torch" in imported_by("import torch")
