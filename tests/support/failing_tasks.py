"""Tasks of the project's application that fail as they are told; a worker includes them by `-I`.

A file named by LETTERS_MENDED is the deploy that mends them.
"""

import os
import time
from pathlib import Path
from typing import Any

from celery import Task
from celery.exceptions import Reject

from celery_inference.client.app import app


def mended() -> bool:
    return Path(os.environ.get("LETTERS_MENDED", "/nonexistent")).exists()


@app.task(name="tests.fragile")
def fragile(number: int) -> int:
    """Rejected for good until it is mended."""
    if not mended():
        raise Reject("the deploy is bad", requeue=False)
    return number


@app.task(name="tests.sleepy")
def sleepy(seconds: float) -> None:
    """Not to be ended: a thread that sleeps. What it prints is in its worker's log."""
    print(f"sleeps for {seconds} s")
    time.sleep(seconds)


class Plain(Task):  # type: ignore[misc]
    """A project's own base, as packages of tasks bring one along."""

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Counts attempts."""
        with self.attempts().open("a") as file:
            file.write("x")

    @staticmethod
    def attempts() -> Path:
        """A file with a letter for each."""
        return Path(os.environ.get("LETTERS_MENDED", "/nonexistent")).with_suffix(".attempts")


@app.task(name="tests.plain", base=Plain)
def plain() -> int:
    """Succeeds at its second attempt; how many there were."""
    if (attempts := len(Plain.attempts().read_text())) < 2:
        raise ValueError("not yet")
    return attempts
