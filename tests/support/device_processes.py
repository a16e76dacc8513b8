"""The processes that run a worker's models."""

from pathlib import Path

from demo.processes import Process


def device_processes(worker: Process) -> list[int]:
    """The worker's children that run models, by what the kernel says of them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if parent == worker.pid and b"models.device_process" in command:
            found.append(int(folder.name))
    return found
