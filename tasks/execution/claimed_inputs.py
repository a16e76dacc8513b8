"""A worker's side of claims: a request's media are taken from the claim-check store before the engine sees it.

The pool's thread that has the request waits for them, and never the one that consumes. Until all media are there no
attempt has begun.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from celery.worker import state

from celery_inference.errors import RequestCancelled, RequestExpired
from celery_inference.inputs import claims
from celery_inference.inputs.check import check_input
from celery_inference.inputs.claims import Identity, identity
from celery_inference.inputs.rows import Rows
from celery_inference.specs.errors import EngineStopped
from celery_inference.specs.model_spec import ModelSpec
from celery_inference.sqs.claim_check.memory_budget import MemoryBudget
from celery_inference.sqs.consumer.deliveries import find
from tasks.execution.claim_fetcher import LOOK_SECONDS, ClaimFetcher, fetch
from tasks.execution.engine_client import EngineClient


class WaitingForMedia:
    """A request that waits for its media, and whether it should go on with it."""

    def __init__(self, request: Any, deadline: float | None, engine: EngineClient) -> None:
        self._request = request
        self._engine = engine
        self._tag = str((request.properties or {}).get("delivery_tag") or "")
        self._deadline = deadline
        self._why: Exception | None = None

    def over(self) -> bool:
        """Whether there is no sense in waiting longer."""
        self._why = self._why or self._look()
        return self._why is not None

    def go_on(self) -> None:
        """Raise EngineStopped, RequestExpired, RequestCancelled or Reject when it is over."""
        if self.over() and self._why is not None:
            raise self._why

    def _look(self) -> Exception | None:
        delivery = find(self._tag)
        try:
            self._engine.required()
        except EngineStopped as error:
            return error
        if delivery is not None and delivery.wanted_back:
            return EngineStopped("no time is left here for it to begin")
        if delivery is not None and not delivery.holds():
            given_up: Exception = self._engine.lease_lost(self._request.id)
            return given_up
        if self._deadline is not None and self._deadline < time.time():
            return RequestExpired("the deadline passed before its inputs were there")
        if self._request.id in state.revoked:
            return RequestCancelled("the request was revoked")
        return None


class ClaimedInputs:
    """Takes what requests of this process claim, as much at once as the memory for it allows. Thread-safe."""

    def __init__(
        self, engine: EngineClient, fetcher: ClaimFetcher | None = None, memory: MemoryBudget | None = None
    ) -> None:
        self._engine = engine
        self._fetcher = fetcher or ClaimFetcher()
        self._memory = memory or MemoryBudget()

    @contextmanager
    def redeemed(
        self,
        conf: Any,
        request: Any,
        spec: ModelSpec,
        rows: Rows,
        *,
        deadline: float | None,
    ) -> Iterator[None]:
        """Put in checked inputs what they claim in its place, checked again; the bytes count as held until the end.

        Raises:
            InvalidInput: what is claimed is gone or is another, or its bytes are not what the model takes.
            ClaimStoreAway: the store cannot be used now. NotServedHere: there is none here.
            EngineStopped, RequestExpired, RequestCancelled, celery.exceptions.Reject: there was no sense in waiting
                longer.
        """
        found = claims.found(spec, rows.values)
        if not found:
            yield
            return
        waiting, size_bytes = WaitingForMedia(request, deadline, self._engine), claims.base64_bytes(found)
        if not self._memory.take(size_bytes, given_up=waiting.over, look_seconds=LOOK_SECONDS):
            waiting.go_on()
        try:
            with _traced():
                kept = self._fetcher.all_of(conf, found, waiting.go_on)
                _redeem_each(spec, rows, kept)
            del kept  # the engine holds them as base64
            yield
        finally:
            self._memory.leave(size_bytes)


def _traced() -> AbstractContextManager[None]:
    """Where somebody traces, a span; its module is imported by who follows deliveries then."""
    deliveries = sys.modules.get("tasks.tracing.process")
    return nullcontext() if deliveries is None else deliveries.redeeming()


def redeem_now(conf: Any, spec: ModelSpec, rows: Rows) -> None:
    """As `ClaimedInputs.redeemed`, in this thread and without a request; for who looks at one request alone."""
    kept = {identity(claim): fetch(conf, field, claim) for field, claim in claims.found(spec, rows.values)}
    _redeem_each(spec, rows, kept)


def _redeem_each(spec: ModelSpec, rows: Rows, kept: Mapping[Identity, bytes | str]) -> None:
    rows.each(lambda row: check_input(spec, claims.with_bytes(spec, row, kept)))
