"""What two unlike workers cost a request: each has one model of two, and takes the lane of that model alone.

    python -m benchmarks.unlike_workers [--requests 25] [--rounds 3]

Beside them one worker that has both models, on a server of its own. Requests are sent one by one, in turn to either
side and for either model; what counts is the median from `delay()` to the result, and the ratio of both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.machine import machine
from demo.stack import Stack
from tests.support import tiny_models

LANES = "[inference]\ndefault = true\n[lane-a]\n[lane-b]\n"
MODEL = '[{name}]\ntask = "feature-extraction"\nsource = "./tiny"\nmax_tokens = 64\nlane = "lane-{name}"\n'


def client(requests: int) -> None:
    """In a process with one side's environment: seconds of each request, as JSON, when a line on stdin asks for
    them."""
    from celery_inference import infer

    for name in ("a", "b"):
        infer.delay(name, "the cat sleeps").get(timeout=60)
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds = []
        for number in range(requests):
            began = time.perf_counter()
            infer.delay("ab"[number % 2], "the cat sleeps").get(timeout=60)
            seconds.append(time.perf_counter() - began)
        print(json.dumps(seconds), flush=True)


def main() -> None:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        client(given.requests)
        return
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        tiny_models.make("feature-extraction", folder / "tiny")
        (folder / "catalogue.toml").write_text("".join(MODEL.format(name=name) for name in "ab"))
        (folder / "lanes.toml").write_text(LANES)
        sides = {}
        for side, workers in (("one", [""]), ("unlike", ["a", "b"])):
            lanes = {"CELERY_INFERENCE_LANES": str(folder / "lanes.toml"), "CELERY_INFERENCE_DEVICES": "cpu"}
            stack = ending.enter_context(Stack(folder / side, catalogue=folder / "catalogue.toml", **lanes))
            stack.start_server()
            for models in workers:
                stack.environment["CELERY_INFERENCE_MODELS"] = models
                stack.start_worker(f"worker-{models or 'both'}")
            command = [sys.executable, "-m", "benchmarks.unlike_workers", "--client", "--requests", str(given.requests)]
            environment = {**os.environ, **stack.environment, "CELERY_INFERENCE_MODELS": ""}
            pipe = subprocess.PIPE
            sides[side] = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
            ending.callback(sides[side].kill)
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for process in sides.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for _ in range(given.rounds):
            for side, process in sides.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("go\n")
                process.stdin.flush()
                seconds[side] += json.loads(process.stdout.readline())
    medians = {side: statistics.median(all_of) for side, all_of in seconds.items()}
    report = {
        "machine": machine(),
        "requests": given.requests,
        "rounds": given.rounds,
        "median_seconds": {side: round(median, 4) for side, median in medians.items()},
        "ratio": round(medians["unlike"] / medians["one"], 3),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
