"""How fast is the embedded SQS server, beside its peers, in one run on one machine?

`python -m benchmarks.embedded_server [--rounds 8] [--bin DIR ...] [--only NAME ...] [--output FILE]` prints JSON. Peers
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
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.embedded_server_full import filled
from benchmarks.embedded_server_loads import batches, race, raw_sends, warm_up
from benchmarks.embedded_server_peers import OURS, Target, running, targets
from benchmarks.machine import machine

LOADS = {"raw": raw_sends, "batches": batches, "race": race}
FULL = "filled"


Figures = dict[str, dict[str, list[float]]]


def measure(found: list[Target], rounds: int, loads: list[str]) -> Figures:
    """All figures of all rounds, by server.

    In a round all servers are up, afresh, and each load goes to one after the other: so a slow moment of the machine
    is shared, and ratios are taken within a round. Who is first changes from round to round.
    """
    figures: Figures = {target.name: {} for target in found}
    chosen = [load for load in LOADS if load in loads]
    for number in range(rounds if chosen else 0):
        with ExitStack() as stack:
            servers = {target.name: stack.enter_context(running(target)) for target in found}
            for server in servers.values():
                warm_up(server)
            first = number % len(found)
            for load in chosen:
                for target in found[first:] + found[:first]:
                    for name, value in LOADS[load](servers[target.name]).items():
                        figures[target.name].setdefault(name, []).append(value)
                        print(f"round {number + 1}: {target.name}: {name} {value:.6g}", file=sys.stderr)
    if FULL in loads:
        with running(found[0]) as few, running(found[0]) as many:
            figures[OURS].update(filled(few, many, rounds))
    return figures


def spread(values: list[float]) -> dict[str, float]:
    """What a row of rounds says: its middle, and how far it swings."""
    ordered = sorted(values)
    quarter = (len(ordered) - 1) // 4
    return {
        "median": statistics.median(ordered),
        "lowest": ordered[0],
        "lower_quarter": ordered[quarter],
        "upper_quarter": ordered[-1 - quarter],
        "highest": ordered[-1],
    }


def ratios(figures: Figures) -> dict[str, dict[str, dict[str, float]]]:
    """Ours to theirs in messages/s, round by round."""
    ours = figures[OURS]
    rates = [key for key in ours if key.endswith("_per_second")]
    return {
        name: {key: spread([mine / theirs for mine, theirs in zip(ours[key], rows[key], strict=True)]) for key in rates}
        for name, rows in figures.items()
        if name != OURS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument(
        "--bin", action="append", default=[], metavar="DIR", help="where to look for peers besides PATH"
    )
    parser.add_argument("--only", action="append", choices=[*LOADS, FULL], help="what to measure (default: all)")
    parser.add_argument("--peer", action="append", help="which of the peers found to measure (default: all)")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    found = [t for t in targets(given.bin) if given.peer is None or t.name in (OURS, *given.peer)]
    figures = measure(found, given.rounds, given.only or [*LOADS, FULL])
    result = {
        "question": "How fast is the embedded SQS server, beside its peers?",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), "load_average": os.getloadavg()[0]},
        "servers": {target.name: {"version": target.version, "keeps": target.keeps} for target in found},
        "rounds": figures,
        "spread": {name: {key: spread(values) for key, values in rows.items()} for name, rows in figures.items()},
        "ours_to_theirs": ratios(figures),
    }
    text = json.dumps(result, indent=2, default=str)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
