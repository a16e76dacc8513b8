"""A result store that never answers, until a file named `store` is in its folder: `hanging://FOLDER`."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from celery.backends.base import BaseBackend


class HangingTombstones:
    """Answers what was revoked only when the file `tombstones` is there: the ids in it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "tombstones"

    def cancelled(self, ids: Collection[str]) -> set[str]:
        """Wait for the file, then read it."""
        while not self._file.exists():
            time.sleep(0.02)
        return set(ids) & set(self._file.read_text().split())


class HangingStore(BaseBackend):
    """Leaves a line `TASK-ID STATE` in the file `stored` for each outcome that it takes in the end."""

    def __init__(self, url: str = "", **kwargs: Any) -> None:
        self._folder = Path(url.removeprefix("hanging://"))
        self.store = HangingTombstones(self._folder)
        super().__init__(url=url, **kwargs)

    def store_result(self, task_id: str, result: Any, state: str, *_: Any, **__: Any) -> Any:
        """Wait for the file, then note the state."""
        while not (self._folder / "store").exists():
            time.sleep(0.02)
        with (self._folder / "stored").open("a") as file:
            file.write(f"{task_id} {state}\n")
        return result
