"""How fast is the embedded SQS server, beside its peers, in one run on one machine?

`python -m benchmarks.embedded_server [--rounds 3] [--bin DIR ...] [--only NAME ...] [--output FILE]` prints JSON. Peers
(ministack and roto-server from PyPI, fauxqs from npm) are looked for on PATH and in each DIR, and left out where they
are absent. Ours runs with its journal, sends synced to disk before they are answered; the peers run as they come, which
is without.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.embedded_server_full import filled
from benchmarks.embedded_server_loads import batches, race, raw_sends
from benchmarks.embedded_server_peers import OURS, Target, running, targets
from benchmarks.machine import machine

LOADS = {"raw": raw_sends, "batches": batches, "race": race}
FULL = "filled"


def measure(found: list[Target], rounds: int, loads: list[str]) -> dict[str, dict[str, list[float]]]:
    """All figures of all rounds. Servers take turns, so that a slow minute of the machine is shared."""
    figures: dict[str, dict[str, list[float]]] = {target.name: {} for target in found}
    chosen = [load for load in LOADS if load in loads]
    for _ in range(rounds if chosen else 0):
        for target in found:
            with running(target) as server:
                for load in chosen:
                    for name, value in LOADS[load](server).items():
                        figures[target.name].setdefault(name, []).append(value)
                        print(f"{target.name}: {name} {value:.6g}", file=sys.stderr)
    if FULL in loads:
        with running(found[0]) as server:
            figures[OURS].update({name: [value] for name, value in filled(server).items()})
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--bin", action="append", default=[], metavar="DIR", help="where to look for peers besides PATH"
    )
    parser.add_argument("--only", action="append", choices=[*LOADS, FULL], help="what to measure (default: all)")
    parser.add_argument("--peer", action="append", help="which of the peers found to measure (default: all)")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = [t for t in targets(given.bin) if given.peer is None or t.name in (OURS, *given.peer)]
    figures = measure(found, given.rounds, given.only or [*LOADS, FULL])
    medians = {name: {key: statistics.median(values) for key, values in rows.items()} for name, rows in figures.items()}
    ours = medians[OURS]
    rates = [key for key in ours if key.endswith("_per_second")]
    result = {
        "question": "How fast is the embedded SQS server, beside its peers?",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "load_average": os.getloadavg()[0]},
        "servers": {target.name: {"version": target.version, "keeps": target.keeps} for target in found},
        "rounds": figures,
        "medians": medians,
        "ours_to_theirs": {
            name: {key: ours[key] / rows[key] for key in rates} for name, rows in medians.items() if name != OURS
        },
    }
    text = json.dumps(result, indent=2, default=str)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
