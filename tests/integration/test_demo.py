"""`make demo`, run and read: without a terminal, in one, and ended in the middle."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from demo.processes import ROOT

SECONDS = 280
COMMAND = [sys.executable, "-m", "demo"]


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Nothing of Celery's, and a mark by which every process of this demo is known; none may be left."""
    mark = f"{os.getpid()}-{request.node.name}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    yield {**inherited, "COLUMNS": "140", "DEMO_TEST": mark}
    until = time.monotonic() + 30
    while left := marked(mark):
        assert time.monotonic() < until, f"still running: {left}"
        time.sleep(0.1)


def marked(mark: str) -> list[str]:
    """Processes whose environment carries the mark."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if f"DEMO_TEST={mark}\0".encode() in file.read():
                found.append(pid)
    return found


def read_until(terminal: int, text: str, shown: str = "") -> str:
    """What a terminal shows until this text has come."""
    until = time.monotonic() + SECONDS
    while text not in shown:
        assert time.monotonic() < until, shown
        if select.select([terminal], [], [], 1.0)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"the demo ended without saying {text!r}: {shown}") from None
    return shown


def run_in_a_shell(lines: list[str]) -> str:
    """What the commands that the demo showed print, in a shell that knows nothing of the demo."""
    script = "set -e\n" + "\n".join(line for line in lines if line and "Ctrl-C" not in line)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CELERY_")}
    ended = subprocess.run(["sh", "-c", script], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=SECONDS)
    assert ended.returncode == 0, script + ended.stdout + ended.stderr
    return ended.stdout


def test_without_a_terminal_the_demo_shows_the_main_job_and_ends(environment: dict[str, str]) -> None:
    ended = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    shown = ended.stdout
    assert ended.returncode == 0, shown + ended.stderr
    assert "Traceback" not in shown + ended.stderr
    assert "Nearest sentences" in shown
    assert "Generated" in shown
    assert "cat" in shown.split("Image labels")[1]
    requests, seconds = re.search(r"(\d+) requests in ([\d.]+) s", shown).groups()  # type: ignore[union-attr]
    assert int(requests) >= 200
    assert float(seconds) > 0
    assert re.search(r"[\d.]+ SQS calls a request", shown)
    assert re.search(r"One request alone: \d+ ms", shown)
    bad = shown.split("Bad requests")[1]
    assert "refused at delay(), nothing sent: InvalidInput" in bad
    assert "poison, sent past the check: FAILURE" in bad
    assert "crashes its device process: FAILURE" in bad
    assert "SUCCESS  8 of 8" in bad
    letters = bad.split("Dead letters")[1]
    assert "InvalidInput" in letters
    assert "DeviceCrash" in letters
    assert re.search(r"Flower .*http://127.0.0.1:\d+/broker", shown)


def test_in_a_terminal_the_demo_stays_until_ctrl_c(environment: dict[str, str]) -> None:
    keyboard, screen = pty.openpty()
    demo = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdin=screen, stdout=screen, stderr=screen)
    os.close(screen)
    try:
        shown = re.sub(r"\x1b\[[\d;]*m|\r", "", read_until(keyboard, "until Ctrl-C"))
        assert demo.poll() is None
        commands = [line.strip() for line in shown.partition("Send a request of your own")[2].splitlines()[1:]]
        assert run_in_a_shell(commands).startswith("[")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    finally:
        demo.kill()
        os.close(keyboard)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_ended_in_the_middle_the_demo_leaves_nothing_behind(
    environment: dict[str, str], number: signal.Signals, status: int
) -> None:
    demo = subprocess.Popen(
        COMMAND, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert demo.stdout is not None
    try:
        read_until(demo.stdout.fileno(), "SQS server")
        time.sleep(3.0)  # into the loading of the models
        demo.send_signal(number)
        demo.stdout.read()
        assert demo.wait(60) == status
    finally:
        demo.kill()
        demo.stdout.close()
