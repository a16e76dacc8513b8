"""Taking from the claim-check store what requests claim: several objects at once, and not for ever.

What the store says is one of three things: the caller's fault (what is claimed is gone, or is something else), nobody's
(the store cannot be reached now), or another worker's matter (there is no store here).
"""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

from celery_inference.inputs.claims import Claimed, Identity, identity
from celery_inference.specs.errors import ClaimStoreAway, NotServedHere
from celery_inference.sqs.claim_check.stores import claims_at
from celery_inference.sqs.errors import ClaimGoneError, ClaimStoreError, UndecodableError
from celery_inference.sqs.messages.claim import Claim
from tasks.execution.background import BackgroundExecutor

REDEEM_SECONDS = 30.0  # for all of a request's media
SILENT_SECONDS = 10.0  # of a store that answers nobody, until who comes new does not wait for it
LOOK_SECONDS = 0.2  # how late a request notices that it is wanted back, cancelled or expired
THREADS = 16  # the store's client has as many connections


def fetch(conf: Any, field: str, claim: Claimed) -> bytes | str:
    """What is claimed, from the store that the settings name; or what is wrong with the claim, as a sentence's end.

    Blocks. Raises NotServedHere and ClaimStoreAway as `ClaimedInputs.redeemed` does.
    """
    url = conf.broker_transport_options.get("claim_check")
    if url is None:
        remedy = "set CELERY_INFERENCE_CLAIM_CHECK as who sent it has it"
        raise NotServedHere(f"{field} has a claim, and there is no claim-check store here: {remedy}")
    try:
        return claims_at(url).get(Claim.read(claim))
    except ClaimGoneError:
        return f"claims {claim['key']}, which is not in this worker's store (any more)"
    except UndecodableError as error:
        return f"has a claim that cannot be redeemed: {error}"
    except ClaimStoreError as error:
        raise ClaimStoreAway(str(error)) from error


class ClaimFetcher:
    """Those of a process. Thread-safe; its threads are daemons, so that a store that hangs keeps nobody from ending."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._threads = BackgroundExecutor("claimed", THREADS)
        self._lock = threading.Lock()
        self._running: dict[Future[bytes | str], float] = {}
        self._heard_at = -math.inf

    def all_of(
        self, conf: Any, found: list[tuple[str, Claimed]], go_on: Callable[[], object]
    ) -> dict[Identity, bytes | str]:
        """What these fields claim. Blocks; `go_on`, called again and again, may raise to end that.

        Raises as `fetch` does, and ClaimStoreAway when it takes too long, or the store has answered nobody of late.
        """
        if self.silent():  # a slot of the worker is worth more
            raise ClaimStoreAway(f"the claim-check store has answered nobody for {SILENT_SECONDS:g} s")
        coming: dict[Identity, Future[bytes | str]] = {}
        for field, claim in found:
            if identity(claim) not in coming:
                future = coming[identity(claim)] = Future[bytes | str]()
                self._threads.run(partial(self._run, future, conf, field, claim), otherwise=future.cancel)
        until = self._clock() + REDEEM_SECONDS
        try:
            while missing := [future for future in coming.values() if not future.done()]:
                go_on()
                if self._clock() > until:
                    raise ClaimStoreAway(f"the claim-check store did not hand out its inputs in {REDEEM_SECONDS:g} s")
                wait(missing, timeout=LOOK_SECONDS)
            return {one: future.result() for one, future in coming.items()}
        finally:
            for future in coming.values():
                future.cancel()

    def silent(self) -> bool:
        """Whether a fetch has run for SILENT_SECONDS, and none was answered in that time."""
        with self._lock:
            oldest = min(self._running.values(), default=math.inf)
            return max(oldest, self._heard_at) < self._clock() - SILENT_SECONDS

    def _run(self, future: Future[bytes | str], conf: Any, field: str, claim: Claimed) -> None:
        if not future.set_running_or_notify_cancel():
            return
        with self._lock:
            self._running[future] = self._clock()
        answered = False
        try:
            fetched = fetch(conf, field, claim)
            answered = True
            future.set_result(fetched)
        except BaseException as error:
            future.set_exception(error)
        finally:
            with self._lock:
                del self._running[future]
                if answered:
                    self._heard_at = self._clock()
