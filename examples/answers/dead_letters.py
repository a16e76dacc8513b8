"""Find a request that failed for good, mend the cause, and send it again.

The worker needs `applications/own_tasks.py`; its first lines say how.
"""

import subprocess
import tempfile
import time
from pathlib import Path

from celery_inference import app


def dlq(*arguments: str) -> str:
    """What `celery-inference dlq` says, as you use it in a terminal."""
    return subprocess.run(
        ["celery-inference", "dlq", *arguments], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


with tempfile.TemporaryDirectory() as folder:
    printer = Path(folder) / "printer"
    result = app.send_task("own_tasks.print_label", args=["parcel 17", str(printer)])
    result.get(timeout=60, propagate=False)
    print(result.state, result.result)

    while result.id not in (letters := dlq("list", "--letters", "--error", "PrinterOff")):
        time.sleep(0.2)  # the letter follows the outcome within a moment
    print(letters)

    printer.touch()
    print(dlq("redrive", result.id))
    print("sent again:", app.AsyncResult(result.id).get(timeout=60))
