"""Which product files have a function that runs, while a window is open, in every process that is started with `hook`.

Each process sees every event of Python's profiler and notes the file of the frame that it is in. A window is opened and
closed from outside, through a file, so that what starting and warming up ran is not counted.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("celery_inference", "tasks", "models")
PROCESSES = {"celery": "worker", "models.device_process": "device process"}
SECONDS = 60
CLOSED = "closed"
_POLL_SECONDS = 0.005
_OPTIMIZED = 0x1  # inspect.CO_OPTIMIZED: a function's code, and no module's or class's


def hook(folder: Path) -> dict[str, str]:
    """The environment of processes that are watched; they leave their notes in the folder."""
    (folder / "sitecustomize.py").write_text("from tests.support import called_files\n\ncalled_files.watch()\n")
    (folder / "window").write_text(CLOSED)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "CALLED_FILES": str(folder)}


def open_window(folder: Path, name: str, processes: int) -> None:
    """Let every process count from now on, or say what it has counted: the window's name is a word, or CLOSED."""
    known = folder / "window.new"
    known.write_text(name)
    known.rename(folder / "window")
    until = time.monotonic() + SECONDS
    while len(list(folder.glob(f"*.in.{name}"))) < processes:
        assert time.monotonic() < until, f"not all of {processes} processes are in window {name!r}"
        time.sleep(_POLL_SECONDS)
    for left in folder.glob(f"*.in.{name}"):
        left.unlink()


def counted(folder: Path, name: str) -> dict[str, set[tuple[str, str]]]:
    """What ran in a window that is closed: files with their functions, by process."""
    found = {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob(f"*.{name}.json")}
    return {process: {(file, function) for file, function in ran} for process, ran in found.items()}


def watch() -> None:
    """Watch this process, its threads of later included."""
    folder = Path(os.environ["CALLED_FILES"])
    noted: dict[str, set[CodeType]] = defaultdict(set)
    window = CLOSED
    role = next((role for word, role in PROCESSES.items() if word in sys.orig_argv), "sender")

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if window != CLOSED:
            noted[window].add(frame.f_code)

    def follow() -> None:
        nonlocal window
        sys.setprofile(None)
        while True:
            asked = (folder / "window").read_text()
            if asked != window:
                before, window = window, asked
                if before != CLOSED:
                    ran = sorted(_functions(noted.pop(before, set()).copy()))
                    (folder / f"{role}.{before}.json").write_text(json.dumps(ran))
                (folder / f"{role}.in.{asked}").touch()
            time.sleep(_POLL_SECONDS)

    threading.Thread(target=follow, daemon=True).start()
    threading.setprofile(profile)
    sys.setprofile(profile)


def _functions(codes: set[CodeType]) -> set[tuple[str, str]]:
    found = set()
    for code in codes:
        path = Path(code.co_filename)
        if code.co_flags & _OPTIMIZED and path.is_relative_to(ROOT) and path.name != "__init__.py":
            file = path.relative_to(ROOT)
            if file.parts[0] in ROOMS:
                found.add((str(file), code.co_qualname))
    return found
