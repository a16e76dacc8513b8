"""`make demo` without a terminal, run and read."""

import os
import re
import subprocess
import sys

from demo.processes import ROOT


def test_the_demo_shows_the_main_job_and_ends_everything_it_started() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    ended = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**environment, "COLUMNS": "140", "DEMO_TEST": (mark := f"demo-test-{os.getpid()}")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    shown = ended.stdout
    assert ended.returncode == 0, shown + ended.stderr
    assert "Traceback" not in shown + ended.stderr
    assert "Nearest sentences" in shown
    assert "Paris" in shown or "Generated" in shown
    assert "cat" in shown.split("Image labels")[1]
    requests, seconds = re.search(r"(\d+) requests in ([\d.]+) s", shown).groups()  # type: ignore[union-attr]
    assert int(requests) >= 200
    assert float(seconds) > 0
    assert re.search(r"[\d.]+ SQS calls a request", shown)
    bad = shown.split("Bad requests")[1]
    assert "refused at delay(), nothing sent: InvalidInput" in bad
    assert "poison, sent past the check: FAILURE" in bad
    assert "crashes its device process: FAILURE" in bad
    assert "SUCCESS  8 of 8" in bad
    letters = bad.split("Dead letters")[1]
    assert "InvalidInput" in letters
    assert "DeviceCrash" in letters
    assert re.search(r"Flower .*http://127.0.0.1:\d+/broker", shown)
    assert not left_of(mark), "processes of the demo are still there"


def left_of(mark: str) -> list[str]:
    """Processes whose environment carries the mark."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark.encode() in file.read():
                    found.append(pid)
        except OSError:
            continue
    return found
