"""Which waiting rows run together next. Pure policy: no thread, no clock of its own, no process.

A row is one input of one request. The most urgent row is the anchor of the next batch; rows of nearest length that
may share its forward pass fill it, as long as padding costs less than another pass would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.ceilings import Ceiling, allowed

PATIENCE_SECONDS = 30.0  # a row without a nearer deadline counts as due this long after it arrived
SUSPECT_PENALTY_SECONDS = 30.0  # by how much later a row counts that was there when a device process died


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a batch of one model: rows, tokens with padding, and a forward pass's fixed cost in tokens.

    `ceilings` lower the tokens where a pass ran out of memory.
    """

    rows: int
    tokens: int
    pass_tokens: int
    ceilings: tuple[Ceiling, ...] = ()

    def fit(self, rows: int, longest: int) -> bool:
        """Whether so many rows, padded to the longest, may be one pass."""
        tokens = min(self.tokens, allowed(self.ceilings, longest, self.tokens)) if self.ceilings else self.tokens
        return rows <= self.rows and rows * longest <= tokens


@dataclass(slots=True, eq=False)
class Row:
    """One input. Rows share a batch only within a `group` (a model, and options that shape its forward pass).

    `length` is in tokens, estimated. `arrived` and `deadline` are in the same clock. `alone`: it runs in a batch
    of its own, after others, because a device process died under it; `kills` counts deaths with nobody beside it, of
    which the last was at `killed_on`.
    """

    group: tuple[str, ...]
    value: Any
    length: int
    arrived: float
    deadline: float = math.inf
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
    def due(self) -> float:
        """The smaller, the more urgent."""
        due = min(self.arrived + PATIENCE_SECONDS, self.deadline)
        return due + SUSPECT_PENALTY_SECONDS if self.alone else due


@dataclass(slots=True)
class Waiting:
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

    def expired(self, now: float) -> list[Row]:
        """The rows whose deadline has passed; they stay until removed."""
        return [row for row in self if row.deadline <= now]

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
    ) -> list[Row]:
        """Take the next batch out, sorted by length; empty when there is none. Only the models in `limits` go.

        `full_only`: only a batch that no further row could join, because a device that is busy may as well let a
        smaller one grow, and not for a row that runs alone, which waits until the device is idle, as nothing else then
        does. `suspects`: whether rows that run alone may go; `not_here` are those that may not.
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
        if not anchor.alone:
            batch, full = fill(anchor, self._groups[anchor.group].values(), limits[anchor.model])
        if full_only and not full:
            return []
        self.remove(batch)
        return sorted(batch, key=lambda row: row.length)


def fill(anchor: Row, candidates: Iterable[Row], limits: Limits) -> tuple[list[Row], bool]:
    """The anchor and the rows of nearest length that join it; whether the batch is full."""
    batch, longest = [anchor], anchor.length
    near = sorted(
        (row for row in candidates if row is not anchor and not row.alone),
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
