"""How many SQS calls a request costs when requests arrive one by one, at several rates.

    python -m benchmarks.calls_at_rate --rates 0 1 10 30 --seconds 60

A real worker (all-MiniLM-L6-v2, all lanes, no broadcast) takes requests that arrive at random moments (exponential
gaps, seeded); the embedded server counts the calls. AWS may bring fewer messages a receive: the figures are the
embedded server's. Rate 0 is what an idle worker costs, in calls a second.
"""

import argparse
import json
import random
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from demo.__main__ import write_catalogue
from demo.processes import ROOT
from demo.stack import Stack


def calls(stack: Stack) -> Counter[str]:
    """By operation, since the server's start."""
    with urllib.request.urlopen(f"{stack.endpoint}/_local/calls", timeout=30) as answer:
        return Counter(json.loads(answer.read()))


def measure(stack: Stack, rate: float, seconds: float) -> dict[str, Any]:
    """Calls a request, or of an idle worker calls a second, for so long."""
    from celery_inference import feature_extraction

    words = (ROOT / "demo" / "texts.txt").read_text(encoding="utf-8").split()
    chance = random.Random(int(rate * 1_000))
    before, began, sent = calls(stack), time.monotonic(), []
    due = began
    while (now := time.monotonic()) < began + seconds:
        if rate and due <= now:
            sent.append(feature_extraction.delay(" ".join(chance.choices(words, k=20))))
            due += chance.expovariate(rate)
        time.sleep(min(0.2, max(0.0, due - time.monotonic())) if rate else 0.2)
    for result in sent:
        result.get(timeout=120)
    time.sleep(0.5)  # the last deletes leave
    took, made = time.monotonic() - began, calls(stack) - before
    divisor = len(sent) if sent else took
    return {
        "rate": rate,
        "requests": len(sent),
        "seconds": round(took, 1),
        "calls": dict(made),
        "calls_a_request" if sent else "calls_a_second": round(sum(made.values()) / divisor, 3),
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", nargs="+", type=float, default=[0.0, 1.0, 10.0, 30.0])
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = write_catalogue(folder).read_text(encoding="utf-8")
        catalogue = folder / "one.toml"
        catalogue.write_text(text[text.index("[fragile]") :], encoding="utf-8")
        with Stack(folder / "stack", catalogue=catalogue, CELERY_INFERENCE_BROADCAST="off") as stack:
            stack.start_server()
            stack.start_worker()
            from tests.support.client import client_of

            with client_of(stack):
                reports = [measure(stack, rate, given.seconds) for rate in given.rates]
    print(json.dumps({"rates": reports, **machine()}, indent=2))


if __name__ == "__main__":
    main()
