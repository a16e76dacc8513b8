"""Who sends requests or watches queues does not pay for model libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What a sender loads when it sends, and not before.
FOR_SENDING = ("botocore", "boto3")
NEVER_NAMED = (*FOR_SENDING, "pydantic", "numpy", "urllib3")
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
        "from celery_inference.client.catalogue import catalogue; catalogue()",
        "import tasks.worker.pool, tasks.worker.lifecycle, celery_inference.commands.queues",
        "import celery_inference.sqs.transport.connection, celery_inference.sqs.queues.depths, "
        "celery_inference.sqs.dead_letters.letter, celery_inference.sqs.queues.provisioning",
        "import monitor, flower.app, celery.bin.celery",
        "import runpy; runpy.run_path('flowerconfig.py')",
    ],
)
def test_no_model_library_is_loaded(program: str) -> None:
    assert not imported_by(program) & set(HEAVY)


@pytest.mark.parametrize(
    "program",
    [
        "from celery_inference import feature_extraction; feature_extraction.name",
        "from celery_inference import app; app.conf.broker_url",
        "from celery_inference import app; app.conf.task_queues",
        "from celery_inference import errors",
        "from celery_inference import configure; configure(claim_check='s3://bucket/claims')",
    ],
)
def test_who_names_tasks_and_reads_settings_loads_no_sdk(program: str) -> None:
    assert not imported_by(program) & set(NEVER_NAMED)


def test_the_sdk_is_there_once_something_is_sent() -> None:
    program = """
from kombu.exceptions import OperationalError
from celery_inference import configure, feature_extraction
configure(broker="sqs://any:any@127.0.0.1:1//")  # where nobody answers
try:
    feature_extraction.apply_async(("text",), retry=False)
except OperationalError:
    pass
"""
    assert "botocore" in imported_by(program)


def test_the_check_would_see_one() -> None:
    assert "torch" in imported_by("import torch")
