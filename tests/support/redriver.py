"""A process that redrives all letters of a lane, and kills itself with -9 before or after any step of it.

`python -m tests.support.redriver ENDPOINT FOLDER LANE SEED`; with seed 0 it dies after its first send.
"""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery_inference.sqs.dead_letters import queue, redrive, scan
from celery_inference.sqs.dead_letters.index import Selection
from celery_inference.sqs.dead_letters.scan import Scan
from tests.support.letters import dead_letter_rig

CHANCE = 0.04  # of a kill, before and after each step
WORST = "after send"  # where copies have left and nobody has written so

# So that what a killed process held comes back while the test waits.
scan.HOLD_SECONDS = 2
scan.END_WAIT_SECONDS = 0
queue.LEASE_SECONDS = 1.0


def main(endpoint_url: str, folder: str, lane: str, seed: str) -> None:
    moments = random.Random(seed)

    def mortal(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            die(f"before {name}")
            result = step(*args, **options)
            die(f"after {name}")
            return result

        return run

    def die(moment: str) -> None:
        if moment == WORST if seed == "0" else moments.random() < CHANCE:
            print(moment, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    rig = dead_letter_rig(endpoint_url, Path(folder), lane)
    index: Any = rig.index
    index.open_generations = mortal("open_generations", index.open_generations)
    index.mark = mortal("mark", index.mark)
    redrive.send_many = mortal("send", redrive.send_many)  # type: ignore[attr-defined]
    Scan.delete = mortal("delete", Scan.delete)  # type: ignore[method-assign]
    progress = rig.queue.redrive(Selection())
    print(f"done {progress.done} {progress.skipped}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
