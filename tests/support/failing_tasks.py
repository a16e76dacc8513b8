"""Tasks of the project's application that fail as they are told; a worker includes them by `-I`.

A file named by LETTERS_MENDED is the deploy that mends them.
"""

import os
import time
from pathlib import Path

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
