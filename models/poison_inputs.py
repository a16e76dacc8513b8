"""Inputs that are known to end device processes, by their digests.

A request that was to blame for two deaths is a dead letter; the same input in another request, here or at another
worker, need not kill twice more before it is believed.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from celery_inference.specs.model_spec import ModelSpec

KEEP_SECONDS = 86_400.0  # a model may be mended in place: what killed it yesterday is tried again
REMEMBER_AT_MOST = 10_000


class PoisonInputs(Protocol):
    """A memory that workers may share. Both methods are called from many threads; what they raise is logged."""

    def poison_inputs(self, digests: Collection[str]) -> Mapping[str, str]:
        """Why each of those inputs that are known was to blame. Called once a request, before it waits: be quick."""

    def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """This input was to blame. Called in a thread that keeps a device process: do not block for long."""


class LocalPoisonInputs:
    """The memory of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def poison_inputs(self, digests: Collection[str]) -> Mapping[str, str]:
        """See PoisonInputs."""
        if not self._known:
            return {}
        now = self._clock()
        with self._lock:
            found = {digest: self._known[digest] for digest in digests if digest in self._known}
        return {digest: sentence for digest, (until, sentence) in found.items() if until > now}

    def record_poison_input(self, digest: str, sentence: str, keep_seconds: float) -> None:
        """See PoisonInputs."""
        with self._lock:
            self._known[digest] = (self._clock() + keep_seconds, sentence)
            self._known.move_to_end(digest)
            while len(self._known) > REMEMBER_AT_MOST:
                self._known.popitem(last=False)


def digest_of(spec: ModelSpec, value: Any, options: Mapping[str, Any]) -> str:
    """The same for the same input of the same model with the same options, on every worker; SHA-256, hexadecimal.

    The revision is part of it: what killed one version of a model may be harmless to the next.
    """
    what = [spec.name, spec.source if not spec.is_folder else "", spec.revision, spec.dtype, value, options]
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=repr).encode()).hexdigest()
