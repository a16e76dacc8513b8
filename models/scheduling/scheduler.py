"""The scheduler: requests come in, batches go out, answers come back, and every request is resolved.

It knows no process. All methods may be called from any thread and none blocks for long; futures are resolved
outside the lock, because their callbacks are the callers' code.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from celery_inference.inputs.check import size_bytes
from celery_inference.inputs.rows import is_about_input
from celery_inference.specs.errors import DeviceCrash, DeviceLost, Expired, InferenceError, InvalidInput, rebuild
from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.ipc.answers import exact_bytes
from models.scheduling.batching import Joinable, Limits, Row, WaitingRows
from models.scheduling.idle_devices import IdleDevices
from models.scheduling.memory_limits import MemoryLimits
from models.scheduling.requests import Batch, PendingRequest, place_in_request, rows_of

TOO_LATE = "the deadline passed before a device could take the request"
KILLS = 2  # deaths of a device process under one row alone, after which the row is to blame


class Scheduler:
    """Holds at most `max_bytes` of inputs; `submit` blocks while they are more.

    `on_blame` is called with each row that was to blame for a death, and why.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        *,
        max_bytes: int,
        memory_limits: MemoryLimits | None = None,
        on_blame: Callable[[Row, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.memory_limits = memory_limits or MemoryLimits()
        self._specs = {spec.name: spec for spec in specs}
        self._clock = clock
        self._on_blame = on_blame
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._waiting = WaitingRows()
        self._open: dict[int, PendingRequest] = {}
        self._bytes = 0
        self._numbers = 0
        self._idle = IdleDevices()
        self._closed: type[InferenceError] | None = None
        self._closed_because = ""
        self._out: dict[str, tuple[type[InferenceError], str]] = {}

    def submit(
        self,
        model: str,
        values: list[Any],
        options: Mapping[str, Any],
        deadline: float | None,
        request_id: str,
        *,
        errors: Mapping[int, InferenceError] | None = None,
    ) -> Future[list[Any]]:
        """Take a request in; its future gives one result per value. `deadline` in the scheduler's clock.

        `errors` are those of values that have failed by index, and their results; so is that of each row that fails
        here. None: the first row that fails ends the request.

        Raises EngineStopped or DeviceLost once closed, what `shut` said while the model is out, and Expired when
        there was no room before the deadline.
        """
        request = PendingRequest(
            id=request_id,
            model=model,
            options=options,
            future=Future(),
            results=[(errors or {}).get(i) for i in range(len(values))],
            missing=len(values) - len(errors or {}),
            size_bytes=sum(size_bytes(value) for value in values),
            returns_errors=errors is not None,
        )
        if not request.missing:
            request.future.set_result(request.results)
            return request.future
        due = math.inf if deadline is None else deadline
        with self._lock:
            self._wait_for_room(request.size_bytes, due)
            if model in self._out:
                error, because = self._out[model]
                raise error(because)
            request.rows = rows_of(self._specs[model], request, values, self._clock(), due)
            self._open[id(request)] = request
            self._bytes += request.size_bytes
            self._waiting.add(request.rows)
            self._feed(len(request.rows))
        return request.future

    def cancel(self, request_id: str, error: InferenceError) -> bool:
        """End the request of that id, if a row of it still waits; what is at a device is not interrupted."""
        return self._fail_waiting(lambda row: row.owner.id == request_id, lambda: error)

    def seal(
        self,
        idle: threading.Event,
        limits: Mapping[str, Limits],
        device: Device,
        *,
        full_only: bool = False,
        suspects: bool = True,
        place: str = "",
        elsewhere: Collection[str] = (),
        running: Joinable | None = None,
        joining_only: bool = False,
    ) -> Batch | None:
        """The next batch of the models in `limits`, or None; then `idle` is set once it is worth asking again.

        What has expired or was cancelled is ended here and goes to no device. A row under which the process of this
        `place` died is left to others for the models that are served `elsewhere`: it may be the device's fault. For
        the rest see `models.scheduling.batching.WaitingRows.seal`.
        """
        late: list[PendingRequest] = []
        batch: Batch | None = None
        bounded = {model: self._bounded(limit, model, device) for model, limit in limits.items()}

        def not_here(row: Row) -> bool:
            return row.killed_on == place and row.model in elsewhere

        with self._lock:
            now = self._clock()
            while batch is None:
                rows = self._waiting.seal(
                    bounded,
                    full_only=full_only,
                    suspects=suspects,
                    not_here=not_here,
                    running=running,
                    joining_only=joining_only,
                )
                if not rows:
                    self._idle.add(idle, frozenset(limits), busy=full_only and running is None)
                    break
                late += [row.owner for row in rows if row.deadline <= now]
                rows = [row for row in rows if row.deadline > now and self._begin(row)]
                if rows:
                    model = rows[0].model
                    batch = Batch(self._numbers + 1, model, rows, bounded[model].memory_limits)
                    self._numbers += len(rows)
            if batch is not None:
                self._idle.remove(idle)
                self._feed(0)
        for request in late:
            self._fail(request, Expired(TOO_LATE))
        return batch

    def leave(self, idle: threading.Event) -> None:
        """A device takes no work for now. What it was woken for is passed on to another."""
        with self._lock:
            self._idle.remove(idle)
            self._feed(0)

    def answer(self, batch: Batch, answers: Sequence[Mapping[str, Any]]) -> None:
        """Settle a batch by the device's answers.

        Each is `{"ok": result, "bytes": at most so many as JSON}` or `{"error": class, "sentence": text}`,
        with an error's `facts` where it has any.
        """
        for row, answer in zip(batch.rows, answers, strict=True):
            if "ok" in answer:
                self._settle(row, answer["ok"], answer.get("bytes", 0))
            else:
                self._fail_row(row, rebuild(answer["error"], answer["sentence"], answer.get("facts")))

    def give_back(self, batches: Iterable[Batch], but: Sequence[Row] = ()) -> None:
        """Put the rows of batches that had not started back, as they were."""
        refused: list[tuple[PendingRequest, InferenceError]] = []
        with self._lock:
            for row in (row for batch in batches for row in batch.rows if id(row.owner) in self._open):
                if row in but:
                    continue
                if self._closed is not None:
                    refused.append((row.owner, self._closed(self._closed_because)))
                elif row.model in self._out:
                    error, because = self._out[row.model]
                    refused.append((row.owner, error(because)))
                else:
                    self._waiting.add([row])
            self._feed(0)
        for request, reason in refused:
            self._fail(request, reason)

    def suspect(self, batches: Sequence[Batch], reason: str, place: str = "", traceback: str = "") -> bool:
        """A device process died while it ran these batches: their rows run again, each alone and after others.

        A row that was alone is to blame the second time. True when there was a suspect's batch, that is, when the
        death needs no other explanation. `traceback` says where the process was.
        """
        rows = [row for batch in batches for row in batch.rows]
        lone = len(rows) == 1
        explained = any(batch.alone for batch in batches)
        blamed: list[Row] = []
        for row in rows:
            row.alone = True
            if lone:
                row.kills, row.killed_on = row.kills + 1, place
            if row.kills >= KILLS:
                blamed.append(row)
        for row in blamed:
            sentence = f"inputs ended the device process {KILLS} times when run alone: {reason}"
            if self._on_blame is not None:
                self._on_blame(row, sentence)
            error = DeviceCrash(sentence)
            error.take_facts({"model_traceback": traceback} if traceback else {})
            self._fail_row(row, error)
        self.give_back(batches, but=blamed)
        return explained

    def release(self, batch: Batch, reason: str) -> None:
        """The device failed under this batch: its requests end as DeviceLost, which is transient."""
        for row in batch.rows:
            self._fail(row.owner, DeviceLost(reason))

    def expire(self) -> None:
        """End the requests whose deadline has passed while they waited."""
        now = self._clock()
        self._fail_waiting(lambda row: row.deadline <= now, lambda: Expired(TOO_LATE))

    def shut(self, model: str, error: type[InferenceError], because: str) -> None:
        """Refuse this model's requests from now on, and end those of which a row still waits."""
        with self._lock:
            self._out[model] = (error, because)
        self._fail_waiting(lambda row: row.model == model, lambda: error(because))

    def open(self, model: str) -> None:
        """Take this model's requests again."""
        with self._lock:
            self._out.pop(model, None)

    def close(self, error: type[InferenceError], because: str, *, all_of_them: bool) -> None:
        """Refuse new requests and end those of which a row still waits with `error`; or `all_of_them`."""
        with self._lock:
            if self._closed is None:
                self._closed, self._closed_because = error, because
            requests = list(self._open.values()) if all_of_them else []
            self._room.notify_all()
        for request in requests:
            self._fail(request, error(because))
        self._fail_waiting(lambda row: True, lambda: error(because))

    @property
    def sizes(self) -> dict[str, int]:
        """How much is held: requests, rows that wait, bytes of inputs."""
        with self._lock:
            return {"requests": len(self._open), "waiting_rows": len(self._waiting), "bytes": self._bytes}

    def _bounded(self, limits: Limits, model: str, device: Device) -> Limits:
        memory_limits = self.memory_limits.of(model, device.description)
        return replace(limits, memory_limits=memory_limits) if memory_limits else limits

    def _wait_for_room(self, size_bytes: int, due: float) -> None:
        while self._closed is None and self._bytes and self._bytes + size_bytes > self._max_bytes:
            patience = due - self._clock()
            if patience <= 0:
                raise Expired("the deadline passed before the engine had room for the request")
            self._room.wait(min(patience, 60.0))
        if self._closed is not None:
            raise self._closed(self._closed_because)

    def _feed(self, new_rows: int) -> None:
        """When rows wait, wake one device that wants them; when it has taken a batch it wakes the next."""
        if self._idle and self._waiting:
            self._idle.wake(self._waiting.models(), new_rows)

    def _begin(self, row: Row) -> bool:
        """Whether the row is still wanted; marks its request as running: its future cannot be cancelled any more."""
        request: PendingRequest = row.owner
        if id(request) not in self._open:
            return False
        if not request.begun:
            if not request.future.set_running_or_notify_cancel():
                self._forget(request)
                return False
            request.begun = True
        return True

    def _forget(self, request: PendingRequest) -> bool:
        """Drop a request from the books, under the lock; False when it was resolved before."""
        if self._open.pop(id(request), None) is None:
            return False
        self._waiting.remove(request.rows)
        request.rows = []  # rows know their request: without this, inputs wait for the garbage collector
        self._bytes -= request.size_bytes
        self._room.notify_all()
        return True

    def _settle(self, row: Row, result: Any, size_bytes: int) -> None:
        request: PendingRequest = row.owner
        limit = self._specs[request.model].max_result_bytes
        with self._lock:
            if id(request) not in self._open:
                return
            request.results[row.index] = result
            request.result_bytes += size_bytes
            request.missing -= 1
            if request.missing:
                return
            self._forget(request)
        results = [result for result in request.results if not isinstance(result, InferenceError)]
        size = exact_bytes(results) if request.result_bytes > limit else 0
        if size > limit:
            request.future.set_exception(InvalidInput.too_large("the result", size, limit, "bytes"))
        else:
            request.future.set_result(request.results)

    def _fail_row(self, row: Row, error: InferenceError) -> None:
        """What one row's failure makes of its request."""
        request: PendingRequest = row.owner
        place_in_request(error, row.index, len(request.results))
        if request.returns_errors and is_about_input(error):
            self._settle(row, error, 0)
        else:
            self._fail(request, error)

    def _fail_waiting(self, which: Callable[[Row], bool], error: Callable[[], InferenceError]) -> bool:
        """End the requests of which such a row still waits; whether there was one."""
        with self._lock:
            requests = {id(row.owner): row.owner for row in self._waiting if which(row)}
        for request in requests.values():
            self._fail(request, error())
        return bool(requests)

    def _fail(self, request: PendingRequest, error: InferenceError) -> None:
        with self._lock:
            if not self._forget(request):
                return
            wanted = request.begun or request.future.set_running_or_notify_cancel()
        if wanted:
            request.future.set_exception(error)
