"""A worker's side of claims: a request's media are taken from the claim-check store before the engine sees it.

The pool's thread that has the request waits for them, and never the one that consumes. What the store says is one of
three things: the caller's fault (what is claimed is gone, or is something else), nobody's (the store cannot be reached
now), or another worker's matter (there is no store here). Until all media are there no attempt has begun.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from celery.exceptions import Reject
from celery.worker import state

from models import claims
from models.claims import Claimed, Identity, identity
from models.errors import EngineStopped, InvalidInput, Transient
from models.inputs import check
from models.spec import ModelSpec
from sqs.claim_check import Claim, Room
from sqs.claim_stores import claims_at
from sqs.deliveries import find
from sqs.errors import ClaimGoneError, ClaimStoreError, UndecodableError
from tasks import serving
from tasks.aside import Aside
from tasks.errors import RequestCancelled, RequestExpired
from tasks.serving import NotServedHere

REDEEM_SECONDS = 60.0  # for all of a request's media
LOOK_SECONDS = 0.2  # how late a request notices that it is wanted back, cancelled or expired
THREADS = 16  # the store's client has as many connections

_room = Room()
_threads = Aside("claimed", THREADS)


class ClaimStoreAway(Transient):
    """The claim-check store did not hand out what a request claims; it may at the next try."""


class Waiting:
    """A request that waits for its media; `over` says whether it should, and `check` why not."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._tag = str((request.properties or {}).get("delivery_tag") or "")
        self._expires = datetime.fromisoformat(str(request.expires)).timestamp() if request.expires else None

    def check(self) -> None:
        """Raise EngineStopped, RequestExpired, RequestCancelled or Reject when there is no sense in waiting longer."""
        delivery = find(self._tag)
        if serving.engine() is None:
            raise EngineStopped("no engine runs in this process")
        if delivery is not None and delivery.wanted_back:
            raise EngineStopped("no time is left here for it to begin")
        if delivery is not None and not delivery.holds():
            raise Reject("its lease was lost before it began", requeue=True)
        if self._expires is not None and self._expires < time.time():
            raise RequestExpired("the deadline passed before its inputs were there")
        if self._request.id in state.revoked:
            raise RequestCancelled("the request was revoked")

    def over(self) -> bool:
        """Whether `check` would raise."""
        try:
            self.check()
        except (EngineStopped, Reject, RequestExpired, RequestCancelled):
            return True
        return False


@contextmanager
def redeemed(conf: Any, request: Any, spec: ModelSpec, rows: list[Any], options: dict[str, Any]) -> Iterator[list[Any]]:
    """Checked inputs with what they claim in its place, checked again; the bytes count as held until the end.

    Raises:
        InvalidInput: what is claimed is gone or is another, or its bytes are not what the model takes.
        ClaimStoreAway: the store cannot be used now. NotServedHere: there is none here.
        EngineStopped, RequestExpired, RequestCancelled, celery.exceptions.Reject: there was no sense in waiting longer.
    """
    found = claims.found(spec, rows)
    if not found:
        yield rows
        return
    waiting, size_bytes = Waiting(request), claims.base64_bytes(found)
    if not _room.take(size_bytes, given_up=waiting.over, look_seconds=LOOK_SECONDS):
        waiting.check()
        raise EngineStopped("no time is left here for it to begin")
    try:
        yield _checked(spec, claims.with_bytes(spec, rows, _fetched(conf, waiting, found)), options)
    finally:
        _room.leave(size_bytes)


def redeemed_now(conf: Any, spec: ModelSpec, rows: list[Any], options: dict[str, Any]) -> list[Any]:
    """As `redeemed`, in this thread and without a request; for who looks at one request alone."""
    kept = {identity(claim): fetch(conf, field, claim) for field, claim in claims.found(spec, rows)}
    return _checked(spec, claims.with_bytes(spec, rows, kept), options) if kept else rows


def fetch(conf: Any, field: str, claim: Claimed) -> bytes:
    """What is claimed, from the store that the settings name. Blocks. Raises as `redeemed` does."""
    url = conf.broker_transport_options.get("claim_check")
    if url is None:
        remedy = "set CELERY_CLAIM_CHECK as who sent it has it"
        raise NotServedHere(f"{field} has a claim, and there is no claim-check store here: {remedy}")
    try:
        return claims_at(url).get(Claim.read(claim))
    except ClaimGoneError:
        raise InvalidInput.because(
            field, f"claims {claim['key']}, which is not in this worker's store (any more)"
        ) from None
    except UndecodableError as error:
        raise InvalidInput.because(field, f"has a claim that cannot be redeemed: {error}") from None
    except ClaimStoreError as error:
        raise ClaimStoreAway(str(error)) from error


def _fetched(conf: Any, waiting: Waiting, found: list[tuple[str, Claimed]]) -> dict[Identity, bytes]:
    """The bytes of each claim, taken from the store several at once."""
    coming: dict[Identity, Future[bytes]] = {}
    for field, claim in found:
        if identity(claim) not in coming:
            future = coming[identity(claim)] = Future[bytes]()
            work = partial(_run, future, conf, field, claim)
            _threads.run(work, otherwise=future.cancel)
    until = time.monotonic() + REDEEM_SECONDS
    try:
        while missing := [future for future in coming.values() if not future.done()]:
            waiting.check()
            if time.monotonic() > until:
                raise ClaimStoreAway(f"the claim-check store did not hand out its inputs within {REDEEM_SECONDS:g} s")
            wait(missing, timeout=LOOK_SECONDS)
        return {one: future.result() for one, future in coming.items()}
    finally:
        for future in coming.values():
            future.cancel()


def _run(future: Future[bytes], conf: Any, field: str, claim: Claimed) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(fetch(conf, field, claim))
        except BaseException as error:
            future.set_exception(error)


def _checked(spec: ModelSpec, rows: list[Any], options: dict[str, Any]) -> list[Any]:
    """As `models.inputs.check` checks what was sent as bytes; with the names of fields that the sender knows."""
    return check(spec, rows if len(rows) > 1 else rows[0], options)[0]
