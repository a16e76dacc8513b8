"""What was measured best on a device, model by model: the batch size, and whether requests join a generation that runs.

Kept in a file of the state folder by `celery-inference models tune`, and read when a worker starts.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from celery_inference.specs.model_spec import ModelSpec

FILE = "tuned.json"
MOST_ROWS = 1_024  # a larger size in the file is somebody's mistake

_log = logging.getLogger("models.engine")


@dataclass(frozen=True, slots=True)
class Tuning:
    """Of one model on one device. `continuous` is "on" or "off"; None where that is no question."""

    batch_size: int
    continuous: str | None = None

    def applied(self, spec: ModelSpec) -> ModelSpec:
        """The spec with it, where the catalogue leaves the choice."""
        if spec.default_size:
            spec = replace(spec, batch_size=self.batch_size)
        if spec.continuous == "auto" and self.continuous is not None:
            spec = replace(spec, continuous=self.continuous)
        return spec


class TuningFile:
    """In the state folder. A file that cannot be read is said once, and counts as empty."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._known = self._read()

    def __bool__(self) -> bool:
        return bool(self._known)

    def of(self, spec: ModelSpec, device: str) -> Tuning | None:
        """What was measured of the model on devices of that description; None when nothing was."""
        given = self._known.get(_key(spec, device))
        if not isinstance(given, dict):
            return None
        size, continuous = given.get("batch_size"), given.get("continuous")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MOST_ROWS:
            return None
        return Tuning(size, continuous if continuous in ("on", "off") else None)

    def applied(self, spec: ModelSpec, device: str) -> ModelSpec:
        """The spec with what was measured of it, if anything was."""
        tuning = self.of(spec, device)
        return spec if tuning is None else tuning.applied(spec)

    def save_tuning(self, spec: ModelSpec, device: str, tuning: Tuning) -> None:
        """Remember, in the place of what was measured before. Raises OSError."""
        self._known = self._read() | {_key(spec, device): asdict(tuning)}
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(self._known, indent=1, sort_keys=True), encoding="utf-8")
        new.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            read = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s cannot be read, so batch sizes are the catalogue's: %s", self._path, error)
            return {}
        return read if isinstance(read, dict) else {}


def _key(spec: ModelSpec, device: str) -> str:
    """What was measured holds for these weights, in this dtype, on such a device."""
    return f"{spec.name} from {spec.source} at {spec.revision or 'no revision'} in {spec.dtype} on {device}"
