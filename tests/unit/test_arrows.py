"""The contracts between rooms catch what they are there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("celery_inference", "models", "tasks", "monitor", "deploy", "demo")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "celeryconfig.py"):
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {"PYTHONPATH": str(folder), "PATH": ""}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("celery_inference/sqs/lanes.py", "import torch"),
        ("celery_inference/specs/model_spec.py", "import boto3"),
        ("celery_inference/specs/model_spec.py", "import tasks.execution.error_policy"),
        ("tasks/execution/error_policy.py", "import torch"),
        ("tasks/execution/error_policy.py", "import monitor"),
        ("monitor/__init__.py", "import transformers"),
        ("tasks/execution/error_policy.py", "import demo.work"),
        ("tasks/execution/error_policy.py", "import deploy.aws_lambda.event"),
        ("deploy/aws_lambda/event.py", "import torch"),
        ("deploy/sagemaker/wire.py", "import transformers"),
        ("deploy/sagemaker/wire.py", "import deploy.aws_lambda.event"),
        ("models/supervision/supervisor.py", "import deploy.sagemaker.forwarder"),
        ("deploy/infra/queues.py", "import tasks.execution.error_policy"),
        ("celery_inference/results/rules.py", "import celery_inference.results.sqlite.table"),
        ("celery_inference/results/sqlite/table.py", "import celery_inference.results.dynamodb.table"),
        ("celery_inference/sqs/dead_letters/scan.py", "import celery_inference.sqs.consumer.receiver"),
        ("celery_inference/sqs_local/state/store.py", "import celery_inference.sqs_local.dispatcher"),
        ("models/scheduling/batching.py", "import models.supervision.supervisor"),
        ("models/supervision/supervisor.py", "import models.device_process.runner"),
        ("tasks/resilience/failure_rate.py", "import tasks.execution.execution"),
        ("monitor/queues/report.py", "import monitor.pages.broker"),
    ],
)
def test_a_planted_import_breaks_a_contract(copy: Path, file: str, line: str) -> None:
    with (copy / file).open("a") as target:
        target.write(f"\n{line}\n")
    ended = lint(copy)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "BROKEN" in ended.stdout


def test_what_is_there_keeps_the_contracts(copy: Path) -> None:
    ended = lint(copy)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "BROKEN" not in ended.stdout
