"""What writing attempts costs: `python -m benchmarks.attempts`, on the SQLite store of a folder of its own.

Beside each other in one run: attempts of a batch in one write, and the outcomes of the same requests, each stored by a
thread of its own as a worker does it. Prints JSON; times are milliseconds.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.machine import machine
from celery_inference.results.protocol import Start
from celery_inference.results.sqlite.backend import SQLiteBackend
from celery_inference.results.store.store import ResultStore

ROUNDS = 60
BATCHES = (1, 8, 32)


def median_ms(work: Callable[[int], Any]) -> float:
    """The median of ROUNDS calls."""
    times = []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - begun)
    return round(statistics.median(times) * 1_000, 3)


def measure(folder: Path) -> list[dict[str, float]]:
    """One row for each size of batch."""
    app = Celery("attempts-benchmark", set_as_current=False)
    backend = SQLiteBackend(app=app, url=f"sqlite:///{folder / 'results.sqlite'}")
    store = backend.store
    with ThreadPoolExecutor(max(BATCHES)) as pool:
        return [row(backend, store, pool, size) for size in BATCHES]


def row(backend: SQLiteBackend, store: ResultStore, pool: ThreadPoolExecutor, size: int) -> dict[str, float]:
    """The medians for batches of this size."""

    def ids(number: int) -> list[str]:
        return [f"{size}-{number}-{place}" for place in range(size)]

    def begin(number: int) -> None:
        store.begin_attempts([Start(task_id, 0, "m.1", "host") for task_id in ids(number)])

    def end(number: int) -> None:
        list(pool.map(lambda task_id: backend.store_result(task_id, [0.5] * 384, "SUCCESS"), ids(number)))

    def read(number: int) -> None:
        store.attempts([(task_id, 0) for task_id in ids(number)])

    # Read while they are under way, as a worker does.
    return {"batch": size, "begin_ms": median_ms(begin), "read_ms": median_ms(read), "outcomes_ms": median_ms(end)}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"machine": machine(), "rows": measure(Path(folder))}, indent=1))


if __name__ == "__main__":
    main()
