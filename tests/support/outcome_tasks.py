"""Tasks of a user, for workers that are started with `--include tests.support.outcome_tasks`.

Each notes what it did, one line a run, in the folder that OUTCOME_DIR names.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore, Reject
from celery.signals import task_failure, task_retry, task_revoked, task_success

from celery_inference import app
from celery_inference.specs.errors import DeviceLost, InvalidInput


def note(name: str, text: str) -> None:
    with (Path(os.environ["OUTCOME_DIR"]) / name).open("a") as file:
        file.write(f"{text}\n")


def notes(folder: Path, name: str) -> list[str]:
    """What was noted under a name."""
    path = folder / name
    return path.read_text().split() if path.exists() else []


@task_failure.connect
def _failed(task_id: str, **_: Any) -> None:
    note("signals", f"failure:{task_id}")


@task_success.connect
def _succeeded(sender: Any, **_: Any) -> None:
    note("signals", f"success:{sender.request.id}")


@task_retry.connect
def _retried(request: Any, **_: Any) -> None:
    note("signals", f"retry:{request.id}")


@task_revoked.connect
def _revoked(request: Any, expired: bool, **_: Any) -> None:
    note("signals", f"{'expired' if expired else 'cancelled'}:{request.id}")


class Quota(Exception):
    """What the task announces with `throws`."""


@app.task(bind=True)
def add(self: Any, left: int, right: int) -> int:
    note("runs", f"add:{self.request.id}")
    return left + right


@app.task(bind=True)
def total(self: Any, numbers: list[int]) -> int:
    note("runs", f"total:{self.request.id}")
    return sum(numbers)


@app.task(bind=True)
def broken(self: Any, what: str) -> None:
    note("runs", f"broken:{self.request.id}")
    raise {
        "input": InvalidInput("this cannot be"),
        "device": DeviceLost("the GPU fell off"),
        "quota": Quota("no more"),
    }[what]


@app.task(bind=True, throws=(Quota,))
def announced(self: Any) -> None:
    note("runs", f"announced:{self.request.id}")
    raise Quota("no more")


@app.task(bind=True)
def broken_until(self: Any, attempt: int) -> str:
    note("runs", f"broken_until:{self.request.id}")
    if notes(Path(os.environ["OUTCOME_DIR"]), "runs").count(f"broken_until:{self.request.id}") < attempt:
        raise ConnectionError("the network is down")
    return "done"


@app.task(bind=True, max_retries=2)
def retried(self: Any) -> None:
    note("runs", f"retried:{self.request.id}")
    raise self.retry(countdown=0, exc=ConnectionError("again"))


@app.task(bind=True)
def ignored(self: Any) -> None:
    note("runs", f"ignored:{self.request.id}")
    raise Ignore


@app.task(bind=True)
def rejected(self: Any) -> None:
    note("runs", f"rejected:{self.request.id}")
    raise Reject("not this one", requeue=False)


@app.task(bind=True)
def slow(self: Any, seconds: float) -> str:
    note("runs", f"slow:{self.request.id}")
    time.sleep(seconds)
    return "slept"


@app.task(bind=True)
def deadly(self: Any) -> None:
    """Takes its worker along."""
    note("runs", f"deadly:{self.request.id}")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def noticed(self: Any, *args: Any) -> None:
    """An errback."""
    note("runs", f"noticed:{self.request.id}")
