"""The desk: requests come in, batches go out, answers come back, and every request is resolved.

It knows no process. All methods may be called from any thread and none blocks for long; futures are resolved
outside the lock, because their callbacks are the callers' code.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from models import inputs as checked
from models.batching import Limits, Row, Waiting
from models.errors import DeviceCrash, DeviceLost, Expired, ModelsError, rebuild
from models.spec import ModelSpec

CHARACTERS_PER_TOKEN = 4  # English with a subword vocabulary; only the order of lengths matters much
CHARACTERS_PER_STEP = 853  # base64 of 16 kHz, 16 bits, in the 20 ms that a speech model hears as one step
KILLS = 2  # deaths of a device process under one row alone, after which the row is to blame
_PASS_TOKENS = {"cpu": 32, "cuda": 4096}  # what a forward pass costs before its first token, measured in tokens
_CHEAP_PADDING_TOKENS = 4096  # in generation the steps cost, not the prompt


@dataclass(slots=True, eq=False)
class _Request:
    id: str
    model: str
    options: dict[str, Any]
    future: Future[list[Any]]
    results: list[Any]
    missing: int
    size_bytes: int
    rows: list[Row] = field(default_factory=list)
    begun: bool = False


@dataclass(slots=True, eq=False)
class Batch:
    """Rows on their way through a device. `number` is unique in the desk."""

    number: int
    model: str
    rows: list[Row]

    def message(self) -> dict[str, Any]:
        """What the device process is told."""
        return {
            "run": self.number,
            "model": self.model,
            "inputs": [row.value for row in self.rows],
            "options": [row.owner.options for row in self.rows],
        }


def limits_of(spec: ModelSpec, device_kind: str) -> Limits:
    """What bounds the spec's batches on devices of that kind."""
    cheap = spec.task == "text-generation"
    pass_tokens = _CHEAP_PADDING_TOKENS if cheap else _PASS_TOKENS[device_kind]
    return Limits(spec.batch_size, spec.batch_tokens, pass_tokens)


class Desk:
    """Holds at most `max_bytes` of inputs; `submit` blocks while they are more."""

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        device_kind: str,
        *,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._limits = {spec.name: limits_of(spec, device_kind) for spec in specs}
        self._clock = clock
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._waiting = Waiting()
        self._open: dict[int, _Request] = {}
        self._bytes = 0
        self._numbers = 0
        self._hungry: dict[threading.Event, bool] = {}
        self._closed: type[ModelsError] | None = None
        self._closed_because = ""

    def submit(
        self, model: str, values: list[Any], options: dict[str, Any], deadline: float | None, request_id: str
    ) -> Future[list[Any]]:
        """Take a request in; its future gives one result per value. `deadline` in the desk's clock.

        Raises EngineStopped or DeviceLost once closed, and Expired when there was no room before the deadline.
        """
        request = _Request(
            id=request_id,
            model=model,
            options=options,
            future=Future(),
            results=[None] * len(values),
            missing=len(values),
            size_bytes=sum(checked.size_bytes(value) for value in values),
        )
        spec = self._specs[model]
        group = self._group(spec, options, request_id)
        written = options.get("max_new_tokens") or _default(spec, "max_new_tokens")
        due = math.inf if deadline is None else deadline
        with self._lock:
            self._wait_for_room(request.size_bytes, due)
            now = self._clock()
            request.rows = [
                Row(group, value, _length(spec, value) + written, now, due, owner=request, index=i)
                for i, value in enumerate(values)
            ]
            self._open[id(request)] = request
            self._bytes += request.size_bytes
            self._waiting.add(request.rows)
            self._feed()
        return request.future

    def seal(self, hungry: threading.Event, *, full_only: bool = False, suspects: bool = True) -> Batch | None:
        """The next batch, or None; then `hungry` is set once it is worth asking again, or `leave` was called."""
        with self._lock:
            while True:
                rows = self._waiting.seal(self._limits, full_only=full_only, suspects=suspects)
                if not rows:
                    self._hungry[hungry] = full_only
                    return None
                rows = [row for row in rows if self._begin(row)]
                if rows:
                    break
            self._hungry.pop(hungry, None)
            self._numbers += 1
            self._feed()
            return Batch(self._numbers, rows[0].model, rows)

    def leave(self, hungry: threading.Event) -> None:
        """A device takes no work for now. What it was woken for is passed on to another."""
        with self._lock:
            self._hungry.pop(hungry, None)
            self._feed()

    def answer(self, batch: Batch, answers: Sequence[Mapping[str, Any]]) -> None:
        """Settle a batch by the device's answers: `{"ok": result}` or `{"error": class, "sentence": text}`."""
        for row, answer in zip(batch.rows, answers, strict=True):
            if "ok" in answer:
                self._succeed(row, answer["ok"])
            else:
                self._fail(row.owner, rebuild(answer["error"], _named(row, answer["sentence"])))

    def give_back(self, batches: Iterable[Batch]) -> None:
        """Put the rows of batches that had not started back, as they were."""
        with self._lock:
            if self._closed is None:
                self._waiting.add(row for batch in batches for row in batch.rows if id(row.owner) in self._open)
                self._feed()
                return
        self._fail_rows(batches, self._closed(self._closed_because))

    def suspect(self, batch: Batch, reason: str) -> bool:
        """A device process died while it ran this batch: its rows run again, each alone and after others.

        A row that was alone is to blame the second time. True when it was a suspect's batch, that is, when the
        death needs no other explanation.
        """
        lone = len(batch.rows) == 1
        explained = all(row.alone for row in batch.rows)
        blamed: list[Row] = []
        for row in batch.rows:
            row.alone = True
            row.kills += lone
            if row.kills >= KILLS:
                blamed.append(row)
        for row in blamed:
            sentence = f"inputs ended the device process {KILLS} times when run alone: {reason}"
            self._fail(row.owner, DeviceCrash(_named(row, sentence)))
        self.give_back([Batch(batch.number, batch.model, [row for row in batch.rows if row not in blamed])])
        return explained

    def release(self, batch: Batch, reason: str) -> None:
        """The device failed under this batch: its requests end as DeviceLost, which is transient."""
        self._fail_rows([batch], DeviceLost(reason))

    def expire(self) -> None:
        """End the requests whose deadline has passed while they waited."""
        with self._lock:
            owners = {id(row.owner): row.owner for row in self._waiting.expired(self._clock())}
        for request in owners.values():
            self._fail(request, Expired("the deadline passed before a device could take the request"))

    def close(self, error: type[ModelsError], because: str, *, all_of_them: bool) -> None:
        """Refuse new requests and end those of which a row still waits with `error`; or `all_of_them`."""
        with self._lock:
            if self._closed is None:
                self._closed, self._closed_because = error, because
            if all_of_them:
                requests = list(self._open.values())
            else:
                requests = list({id(row.owner): row.owner for row in self._waiting}.values())
            self._room.notify_all()
        for request in requests:
            self._fail(request, error(because))

    @property
    def held(self) -> int:
        """Requests that are not resolved."""
        with self._lock:
            return len(self._open)

    @property
    def sizes(self) -> dict[str, int]:
        """How much is held: requests, rows that wait, bytes of inputs."""
        with self._lock:
            return {"requests": len(self._open), "waiting_rows": len(self._waiting), "bytes": self._bytes}

    def _group(self, spec: ModelSpec, options: dict[str, Any], request_id: str) -> tuple[str, ...]:
        shaping = {name: value for name, value in options.items() if spec.options[name].shapes_batch}
        if shaping.get("seed") is not None:
            return (spec.name, request_id)  # a seed promises the same text again: no other request in its batch
        return (spec.name, json.dumps(shaping, sort_keys=True)) if shaping else (spec.name,)

    def _wait_for_room(self, size_bytes: int, due: float) -> None:
        while self._closed is None and self._bytes and self._bytes + size_bytes > self._max_bytes:
            patience = due - self._clock()
            if patience <= 0:
                raise Expired("the deadline passed before the engine had room for the request")
            self._room.wait(min(patience, 60.0))
        if self._closed is not None:
            raise self._closed(self._closed_because)

    def _feed(self) -> None:
        """When rows wait, wake one device, idle ones first; when it has taken a batch it wakes the next."""
        if self._hungry and self._waiting:
            chosen = min(self._hungry, key=self._hungry.__getitem__)
            del self._hungry[chosen]
            chosen.set()

    def _begin(self, row: Row) -> bool:
        """Whether the row is still wanted; marks its request as running, from when on it cannot be cancelled."""
        request: _Request = row.owner
        if id(request) not in self._open:
            return False
        if not request.begun:
            if not request.future.set_running_or_notify_cancel():
                self._forget(request)
                return False
            request.begun = True
        return True

    def _forget(self, request: _Request) -> bool:
        """Drop a request from the books, under the lock; False when it was resolved before."""
        if self._open.pop(id(request), None) is None:
            return False
        self._waiting.remove(request.rows)
        request.rows = []  # rows know their request: without this, inputs wait for the garbage collector
        self._bytes -= request.size_bytes
        self._room.notify_all()
        return True

    def _succeed(self, row: Row, result: Any) -> None:
        request: _Request = row.owner
        with self._lock:
            if id(request) not in self._open:
                return
            request.results[row.index] = result
            request.missing -= 1
            if request.missing:
                return
            self._forget(request)
        request.future.set_result(request.results)

    def _fail(self, request: _Request, error: ModelsError) -> None:
        with self._lock:
            if not self._forget(request):
                return
            wanted = request.begun or request.future.set_running_or_notify_cancel()
        if wanted:
            request.future.set_exception(error)

    def _fail_rows(self, batches: Iterable[Batch], error: ModelsError) -> None:
        for batch in batches:
            for row in batch.rows:
                self._fail(row.owner, type(error)(*error.args))


def _length(spec: ModelSpec, value: Any) -> int:
    """An estimate in tokens. What runs one at a time, and images, which become one size, count alike."""
    if spec.kind.media == "audio":
        return 1 + checked.size_bytes(value) // CHARACTERS_PER_STEP
    if spec.kind.media in ("text", "chat"):
        return 8 + checked.size_bytes(value) // CHARACTERS_PER_TOKEN
    return 1


def _default(spec: ModelSpec, option: str) -> int:
    """What generation will add to each row's length; 0 for what generates nothing."""
    known = spec.options.get(option)
    return known.default if known is not None and isinstance(known.default, int) else 0


def _named(row: Row, sentence: str) -> str:
    """The sentence with the input's place in its request, when the request has several."""
    if len(row.owner.results) > 1 and sentence.startswith("inputs "):
        return f"inputs[{row.index}]{sentence.removeprefix('inputs')}"
    return sentence
