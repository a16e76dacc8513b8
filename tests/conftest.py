"""What tests of several folders share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from demo.__main__ import write_catalogue
from demo.stack import Stack
from tasks import celery as worker_application  # noqa: F401 - tests play senders and workers in one process
from tests.support.client import client_of

# A shell lets what it starts in the background ignore SIGINT, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# A machine that others use, too, may stop for a while; how long an example takes says nothing here.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
# What this process and its children remember stays out of the home folder of who runs the tests.
os.environ.setdefault("CELERY_INFERENCE_STATE", str(Path(__file__).resolve().parents[1] / "var" / "test-state"))
# Tornado's, for a test's requests to pages: five seconds otherwise.
os.environ.setdefault("ASYNC_TEST_TIMEOUT", "60")


@pytest.fixture(scope="session")
def real_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Server and worker with the real models, and this process's application pointed at them."""
    folder = tmp_path_factory.mktemp("stack")
    # What nobody knows fails at once, for tests of how it fails.
    settings = {"CELERY_INFERENCE_UNKNOWN_TASK_GRACE_SECONDS": "0"}
    with Stack(folder, catalogue=write_catalogue(folder), **settings) as stack, client_of(stack):
        stack.start_server()
        stack.start_worker()
        yield stack


@pytest.fixture
def catalogue_of_one(tmp_path: Path) -> Path:
    """A catalogue with the embedding model alone, quick to load, that an input can crash."""
    text = write_catalogue(tmp_path).read_text(encoding="utf-8")
    start = text.index("[fragile]")
    path = tmp_path / "one.toml"
    path.write_text(text[start:], encoding="utf-8")
    return path
