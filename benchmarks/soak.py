"""Does memory stay flat? A worker with a tiny model under a modest rate of requests for minutes or hours.

Most requests are one text, some are a list of eight, and one in a hundred is refused by the worker and becomes a dead
letter. Each minute the memory of the worker's parent, its device process and the embedded server is written down.
Prints JSON: the growth of each in MB an hour, by a straight line through its second half, and every request accounted
for.

    nice python -m benchmarks.soak --minutes 60 --rate 5
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.processes import children_of, cpu_seconds, memory_mb
from demo.stack import Stack
from tests.support import tiny_models
from tests.support.client import client_of

MANY, BAD = 20, 100  # one request in so many is a list of eight texts, or is refused
LATEST_SECONDS = 120.0  # after the last was sent


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Of a straight line through (hours, MB): MB an hour."""
    return statistics.linear_regression(*zip(*samples, strict=True)).slope


class Soak:
    """Sends requests and looks at their outcomes, one at a time; keeps nothing of what has ended."""

    def __init__(self, task: Any, rate: float) -> None:
        self._task, self._rate = task, rate
        self._chance = random.Random(11)
        self._open: deque[Any] = deque()
        self.sent = 0
        self.states: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Keep the rate for so long."""
        begun, first = time.monotonic(), self.sent
        while (passed := time.monotonic() - begun) < seconds:
            while self.sent - first < passed * self._rate:
                self._open.append(self._send())
            self.look()
            time.sleep(min(0.25, 1.0 / self._rate))

    def look(self) -> None:
        """Count what has ended, oldest first."""
        while self._open and self._open[0].ready():
            result = self._open.popleft()
            self.states[result.state] += 1
            result.forget()

    def finish(self) -> int:
        """Wait for what is still open; how many never ended."""
        until = time.monotonic() + LATEST_SECONDS
        while self._open and time.monotonic() < until:
            self.look()
            time.sleep(0.1)
        return len(self._open)

    def _send(self) -> Any:
        self.sent += 1
        text = " ".join(self._chance.choices(tiny_models.WORDS, k=self._chance.randint(5, 100)))
        if self.sent % BAD == 0:
            # As a sender of another version might: past our own checks, to those of the worker.
            return self._task.app.send_task(self._task.name, kwargs={"inputs": ""}, queue="inference")
        return self._task.delay([text] * 8 if self.sent % MANY == 0 else text)


def main() -> None:
    """Print the figures as JSON; each minute's go to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = Path(temporary)
        tiny_models.make("feature-extraction", folder / "model")
        catalogue = folder / "catalogue.toml"
        catalogue.write_text(f'[tiny]\ntask = "feature-extraction"\nsource = "{folder / "model"}"\nmax_tokens = 128\n')
        with Stack(folder / "stack", catalogue=catalogue) as stack, client_of(stack):
            print(json.dumps(measure(stack, arguments.minutes, arguments.rate), indent=2))


def measure(stack: Stack, minutes: float, rate: float) -> dict[str, Any]:
    """The whole run over one stack."""
    from celery_inference import feature_extraction

    stack.start_server()
    worker = stack.start_worker()
    (device,) = children_of(worker.pid)
    pids = {"parent": worker.pid, "device process": device, "server": stack.server.pid}
    idle = {name: memory_mb(pid) for name, pid in pids.items()}
    soak, samples, begun = Soak(feature_extraction, rate), [], time.monotonic()
    cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
    while (passed := time.monotonic() - begun) < minutes * 60:
        soak.run(min(60.0, minutes * 60 - passed))
        sample = {"minutes": round((time.monotonic() - begun) / 60, 2), "sent": soak.sent}
        samples.append(sample | {name: round(memory_mb(pid), 2) for name, pid in pids.items()})
        print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
    lost = soak.finish()
    half = samples[len(samples) // 2 :]
    return {
        "question": "memory under a modest rate",
        "machine": machine(),
        "minutes": minutes,
        "requests_per_second": rate,
        "requests": {"sent": soak.sent, "ended": dict(soak.states), "never_ended": lost},
        "cpu_ms_per_request": {
            name: round(1e3 * (cpu_seconds(pid) - cpu[name]) / soak.sent, 3) for name, pid in pids.items()
        },
        "idle_mb": idle,
        "last_mb": {name: samples[-1][name] for name in pids},
        "growth_mb_per_hour": {
            name: round(slope([(one["minutes"] / 60, one[name]) for one in half]), 2) for name in pids if len(half) > 1
        },
        "samples": samples,
    }


if __name__ == "__main__":
    main()
