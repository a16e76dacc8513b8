"""Tasks of your own, which celery-inference's workers run beside inference.

PYTHONPATH=examples/applications celery -A tasks worker -I own_tasks
"""

import math
from pathlib import Path

from celery import shared_task


class PrinterOff(Exception):
    """The printer does not print."""


@shared_task
def length(vector: list[float]) -> float:
    """The length of a vector."""
    return math.hypot(*vector)


@shared_task
def mean(vectors: list[list[float]]) -> list[float]:
    """The mean of vectors."""
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


@shared_task
def report(request_id: str) -> None:
    """An error callback. A worker's log shows what it prints."""
    print("failed:", request_id)


@shared_task(throws=(PrinterOff,))  # fails at once; any other error is tried again
def print_label(order: str, printer: str) -> str:
    """Print a label, if the printer's file exists."""
    if not Path(printer).exists():
        raise PrinterOff("the printer is off")
    return f"label of {order}"
