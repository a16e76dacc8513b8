"""Which waiting rows run together next. Pure policy: no thread, no clock of its own, no process.

A row is one input of one request. The most urgent row is the anchor of the next batch; rows of nearest length that
may share its forward pass fill it, as long as padding costs less than another pass would. Rows that join do not wait
for a pass to end: they are added, most urgent first, to those of their group that run, as long as there is room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from celery_inference.specs.model_spec import ModelSpec
from models.devices import Device
from models.scheduling.memory_limits import MemoryLimit, allowed

PATIENCE_SECONDS = 30.0  # a row without a nearer deadline counts as due this long after it arrived
SUSPECT_PENALTY_SECONDS = 30.0  # by how much later a row counts that was there when a device process died
# What a forward pass costs before its first token, measured in tokens. An endpoint forms batches of its own. Threads of
# a CPU wait for each other in each pass; one alone does not, and has the small batches that fit into its cache cheaper:
# over MiniLM 50 texts/s with 8, 47 with 16 and 45 with 32, where two threads make 34, 41 and 39.
_PASS_TOKENS = {"cpu": 32, "cuda": 4096, "endpoint": 2**31}
_PASS_TOKENS_OF_ONE_THREAD = 8
_CHEAP_PADDING_TOKENS = 4096  # in generation the steps cost, not the prompt


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a batch of one model: rows, tokens with padding, and a forward pass's fixed cost in tokens.

    `memory_limits` lower the tokens where a pass ran out of memory. `equal`: padding changes this model's results, so
    that only rows of equal length share a batch.
    """

    rows: int
    tokens: int
    pass_tokens: int
    memory_limits: tuple[MemoryLimit, ...] = ()
    equal: bool = False

    def fit(self, rows: int, longest: int) -> bool:
        """Whether so many rows, padded to the longest, may be one pass."""
        return rows <= self.rows and rows * longest <= self.tokens_at(longest)

    def tokens_at(self, longest: int) -> int:
        """How many tokens may run at once where the longest row has so many."""
        return (
            min(self.tokens, allowed(self.memory_limits, longest, self.tokens)) if self.memory_limits else self.tokens
        )


def limits_of(spec: ModelSpec, device: Device) -> Limits:
    """What bounds the spec's batches on that device."""
    if spec.task == "text-generation":
        pass_tokens = _CHEAP_PADDING_TOKENS
    elif device.kind == "cpu" and device.threads == 1:
        pass_tokens = _PASS_TOKENS_OF_ONE_THREAD
    else:
        pass_tokens = _PASS_TOKENS[device.kind]
    return Limits(spec.batch_size, spec.batch_tokens, pass_tokens)


def with_facts(limits: Limits, facts: Mapping[str, Any]) -> Limits:
    """The limits with what the device process found out when it loaded the model."""
    return replace(
        limits,
        equal=bool(facts.get("equal_lengths")),
        tokens=min(limits.tokens, facts.get("cache_tokens") or limits.tokens),
    )


@dataclass(frozen=True, slots=True)
class Joinable:
    """What runs, or is about to, at a device and may be joined: its group, rows, tokens without padding, longest."""

    group: tuple[str, ...]
    rows: int
    tokens: int
    longest: int


@dataclass(slots=True, eq=False)
class Row:
    """One input. Rows share a batch only within a `group` (a model, and options that shape its forward pass).

    `length` is in tokens, estimated. `arrived` and `deadline` are in the same clock. `may_join`: rows of its group are
    added to each other while they run. `alone`: it runs in a batch of its own, after others, because a device process
    died under it; `kills` counts deaths with nobody beside it, of which the last was at `killed_on`.
    """

    group: tuple[str, ...]
    value: Any
    length: int
    arrived: float
    deadline: float = math.inf
    may_join: bool = False
    alone: bool = False
    kills: int = 0
    killed_on: str = ""
    owner: Any = None
    index: int = 0

    @property
    def model(self) -> str:
        """The model it is for."""
        return self.group[0]

    @property
    def joins(self) -> bool:
        """Whether it is added to what runs. A suspect is not: it runs in a pass of its own."""
        return self.may_join and not self.alone

    @property
    def due(self) -> float:
        """The smaller, the more urgent."""
        due = min(self.arrived + PATIENCE_SECONDS, self.deadline)
        return due + SUSPECT_PENALTY_SECONDS if self.alone else due


@dataclass(slots=True)
class WaitingRows:
    """The rows that wait for a device, in the order of their arrival."""

    _groups: dict[tuple[str, ...], dict[int, Row]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._groups.values())

    def __bool__(self) -> bool:
        return bool(self._groups)

    def __iter__(self) -> Iterator[Row]:
        for rows in self._groups.values():
            yield from rows.values()

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows in. A row that comes back keeps its time of arrival, and so its urgency."""
        for row in rows:
            self._groups.setdefault(row.group, {})[id(row)] = row

    def remove(self, rows: Iterable[Row]) -> None:
        """Forget rows, those that are not here too."""
        for row in rows:
            group = self._groups.get(row.group, {})
            group.pop(id(row), None)
            if not group:
                self._groups.pop(row.group, None)

    def models(self) -> set[str]:
        """The models that rows wait for."""
        return {group[0] for group in self._groups}

    def seal(
        self,
        limits: Mapping[str, Limits],
        *,
        full_only: bool = False,
        suspects: bool = True,
        not_here: Callable[[Row], bool] = lambda _: False,
        running: Joinable | None = None,
        joining_only: bool = False,
    ) -> list[Row]:
        """Take the next batch out, sorted by length; empty when there is none. Only the models in `limits` go.

        `full_only`: only a batch that no further row could join, because a device that is busy may as well let a
        smaller one grow, and not for a row that runs alone, which waits until the device is idle, as nothing else then
        does. `suspects`: whether rows that run alone may go; `not_here` are those that may not. `running` is what may
        be joined: as long as the most urgent row is of its group; when it is not, nothing joins any more, so that what
        runs comes to its end and others have their turn. `joining_only`: the device takes nothing else now.
        """
        anchor: Row | None = None
        for group, rows in self._groups.items():
            if group[0] in limits:
                for row in rows.values():
                    if (anchor is None or row.due < anchor.due) and (not row.alone or (suspects and not not_here(row))):
                        anchor = row
        if anchor is None:
            return []
        batch, full = [anchor], not anchor.alone
        joined = running if running is not None and anchor.joins and anchor.group == running.group else None
        if joined is None and joining_only:
            return []
        if anchor.joins:
            batch, full = join(self._groups[anchor.group].values(), limits[anchor.model], joined)
        elif not anchor.alone:
            batch, full = fill(anchor, self._groups[anchor.group].values(), limits[anchor.model])
        if full_only and not full and joined is None:
            return []
        self.remove(batch)
        return sorted(batch, key=lambda row: row.length)


def fill(anchor: Row, candidates: Iterable[Row], limits: Limits) -> tuple[list[Row], bool]:
    """The anchor and the rows of nearest length that join it; whether the batch is full."""
    batch, longest = [anchor], anchor.length
    near = sorted(
        (row for row in candidates if row is not anchor and not row.alone and not _parted(row, anchor, limits)),
        key=lambda row: (abs(row.length - anchor.length), row.due),
    )
    for row in near:
        if len(batch) >= limits.rows:
            break
        length = max(longest, row.length)
        if not limits.fit(len(batch) + 1, length):
            return batch, True
        padding = (length - longest) * len(batch) + (length - row.length)
        if padding > limits.pass_tokens:
            return batch, True
        batch.append(row)
        longest = length
    return batch, len(batch) >= limits.rows


def join(candidates: Iterable[Row], limits: Limits, running: Joinable | None) -> tuple[list[Row], bool]:
    """The most urgent rows that there is room for beside what runs; whether there is room for no more.

    None overtakes a more urgent one that is too long. What is over the limits by itself runs by itself.
    """
    batch: list[Row] = []
    rows, tokens, longest = (running.rows, running.tokens, running.longest) if running else (0, 0, 0)
    for row in sorted((row for row in candidates if row.joins), key=lambda row: row.due):
        longest = max(longest, row.length)
        if rows and (rows >= limits.rows or tokens + row.length > limits.tokens_at(longest)):
            return batch, True
        batch.append(row)
        rows, tokens = rows + 1, tokens + row.length
    return batch, rows >= limits.rows


def split(lengths: list[int], limits: Limits) -> list[list[int]]:
    """Indices of rows in passes that keep the limits, shortest first; a row alone may pass over the token limit."""
    passes: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        last = passes[-1] if passes else []
        if not last or not limits.fit(len(last) + 1, lengths[index]):
            passes.append([index])
        else:
            last.append(index)
    return passes


def _parted(row: Row, anchor: Row, limits: Limits) -> bool:
    return limits.equal and row.length != anchor.length
