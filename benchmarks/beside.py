"""A benchmark of this checkout beside that of another one, interleaved in one run.

    git worktree add --detach ../before COMMIT
    python -m benchmarks.beside ../before --rounds 9 --figure 'medians.ours, threads.tasks_per_second' -- \
        benchmarks.transport --only 'ours, threads' --rounds 1

Both run with this environment's packages, each in its own folder, in an order that changes from round to round. The
figure is where the benchmark's JSON has it, names separated by dots. Printed are the ratios of this checkout over the
other, their median, and its 95 % interval by bootstrap (10,000 samples of the ratios, with replacement).
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from functools import reduce
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

HERE = Path(__file__).resolve().parents[1]
SAMPLES = 10_000


def measured(folder: Path, command: list[str], figures: list[str]) -> list[float]:
    """The figures of one run of the benchmark in this folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    ran = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    report: Any = json.loads(ran.stdout)
    return [float(reduce(lambda part, name: part[name], figure.split("."), report)) for figure in figures]


def interval(ratios: list[float]) -> tuple[float, float]:
    """The 95 % interval of the ratios' median."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(SAMPLES))
    return medians[int(0.025 * SAMPLES)], medians[int(0.975 * SAMPLES) - 1]


def main() -> None:
    """Run the rounds and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--figure", action="append", required=True)
    parser.add_argument("command", nargs="+", help="the benchmark's module and its arguments")
    given = parser.parse_args()
    sides = {"here": HERE, "other": given.other.resolve()}
    found: dict[str, list[list[float]]] = {side: [] for side in sides}
    for number in range(given.rounds):
        for side in sorted(sides, reverse=bool(number % 2)):
            found[side].append(measured(sides[side], given.command, given.figure))
            print(f"round {number + 1}: {side}: {found[side][-1]}", file=sys.stderr, flush=True)
    report = {}
    for place, figure in enumerate(given.figure):
        pairs = zip(found["here"], found["other"], strict=True)
        ratios = [here[place] / other[place] for here, other in pairs]
        report[figure] = {
            "median_ratio": round(statistics.median(ratios), 3),
            "interval_95": [round(bound, 3) for bound in interval(ratios)],
            "ratios": [round(ratio, 3) for ratio in ratios],
            "here": [row[place] for row in found["here"]],
            "other": [row[place] for row in found["other"]],
        }
    print(json.dumps({"machine": machine(), "command": given.command, "figures": report}, indent=2))


if __name__ == "__main__":
    main()
