"""The wheel, environments that it is installed in, and applications there."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_inference.sqs_local.child_process import LocalServer
from tests.support.guests import ROOT, Environment, Guest


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the project: what was built before is not in it, and nothing is left here."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "project"
    copy.mkdir()
    for name in ("celery_inference", "tasks", "models", "monitor", "deploy", "demo", "tests/support"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "celeryconfig.py", "flowerconfig.py"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel in it."""
    environment = Environment(tmp_path_factory.mktemp("installed") / "venv")
    environment.pip("install", "--no-deps", wheel)
    return environment


@pytest.fixture
def guest(installed: Environment, tmp_path: Path) -> Iterator[Guest]:
    """An application with nothing in it yet, and a server of its own."""
    with LocalServer() as server:
        yield Guest(installed, server, tmp_path)


@pytest.fixture
def answered(guest: Guest) -> Iterator[None]:
    """The guest's requests are answered, each with its id."""
    yield from guest.answered()
