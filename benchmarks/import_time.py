"""What naming a task costs: a process that imports a task of ours, beside one that makes a Celery app with one task.

Both end after they have read the task's name, which reads the settings. They run in turns, so that what else
the machine does meets both; the figure is the median of the rounds' ratios.

    .venv/bin/python -m benchmarks.import_time --rounds 20
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import machine

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {
    "ours": "from celery_inference import feature_extraction; feature_extraction.name",
    "celery": """
from celery import Celery
app = Celery("one")
@app.task
def task():
    pass
task.name
""",
}


def seconds_of(program: str) -> float:
    """How long a process of its own takes for it, from its start to its end, in an environment without our settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    for program in PROGRAMS.values():  # compiled, and in the page cache
        seconds_of(program)
    rows = []
    for number in range(rounds):
        names = list(PROGRAMS) if number % 2 else list(reversed(PROGRAMS))
        rows.append({name: round(seconds_of(PROGRAMS[name]), 4) for name in names})
    ratios = [round(row["ours"] / row["celery"], 3) for row in rows]
    print(
        json.dumps(
            {
                "machine": machine(),
                "median_ratio": round(statistics.median(ratios), 3),
                "median_seconds": {name: round(statistics.median(row[name] for row in rows), 4) for name in PROGRAMS},
                "ratios": ratios,
                "rows": rows,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
