"""One file of the journal: whole lines, and behind them space that was allocated ahead and filled with zeros."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from celery_inference.sqs_local.http import json_codec

SEGMENT_BYTES: Final = 16 * 1024 * 1024
HEADERS_A_SEGMENT: Final = 4  # at least: where the header is large, segments are longer, so that most of one is news
ALLOCATION_BYTES: Final = 1024 * 1024
# Linux keeps what was written at once in one piece of its cache, and goes through all blocks of a piece whenever a line
# is written there: of 1 MiB at once, each line takes twice as long.
ZEROS_BYTES: Final = 64 * 1024
# Linux has it; elsewhere a full disk is met at the sync, which ends the server.
_allocate = getattr(os, "posix_fallocate", lambda fd, offset, length: os.ftruncate(fd, offset + length))


class Segment:
    """One file. `end` is where the next line goes, `header_bytes` the length of the first one. Open from `open` on."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.fd = -1
        self.end = 0
        self.allocated = 0
        self.header_bytes = 0

    @property
    def limit(self) -> int:
        """How long it may get before another one is begun."""
        return max(SEGMENT_BYTES, HEADERS_A_SEGMENT * self.header_bytes)

    def open(self) -> None:
        """Opens the file, or makes it. Raises OSError."""
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.allocated = os.fstat(self.fd).st_size

    def close(self) -> None:
        """Nothing happens to one that is closed."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def allocate(self, end: int) -> None:
        """Makes the file long enough; raises OSError where the disk is too full."""
        if end > self.allocated:
            wanted = -(-end // ALLOCATION_BYTES) * ALLOCATION_BYTES
            reserve(self.fd, self.allocated, wanted - self.allocated)
            self._fill(self.allocated, wanted)
            self.allocated = wanted

    def _fill(self, start: int, end: int) -> None:
        for offset in range(start, end, ZEROS_BYTES):
            write_at(self.fd, bytes(min(ZEROS_BYTES, end - offset)), offset)

    def give_back(self) -> None:
        """Frees what is allocated behind the last line: no other will come."""
        with suppress(OSError):
            os.ftruncate(self.fd, self.end)
            self.allocated = self.end

    def lines(self) -> Iterator[list[Any]]:
        """The whole lines from the start; leaves `end` behind the last one."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        with io.BufferedReader(io.FileIO(self.fd, closefd=False), 1024 * 1024) as file:
            # The zeros behind the last line would make one long line.
            while file.peek(1)[:1] not in (b"", b"\0"):
                line = file.readline()
                events = decoded(line)
                if events is None:
                    return
                self.header_bytes = self.header_bytes or len(line)
                self.end += len(line)
                yield events

    def unread_bytes(self) -> int:
        """How much there is behind the last line, the zeros at the end left out."""
        return len(os.pread(self.fd, self.allocated - self.end, self.end).rstrip(b"\0"))

    def cut(self) -> int:
        """Writes zeros over what is behind the last line, keeping it in a file of its own; gives how much there was."""
        lost_bytes = self.unread_bytes()
        if lost_bytes:
            with suppress(OSError):  # a full disk
                self._keep_cut_off(lost_bytes)
            # The file stays as long as it is: its space is what a full disk is met with.
            self._fill(self.end, self.end + lost_bytes)
            os.fsync(self.fd)
        return lost_bytes

    def _keep_cut_off(self, count: int) -> None:
        cut_off = os.open(self.path.with_suffix(f".cut-{self.end}"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_at(cut_off, os.pread(self.fd, count, self.end), 0)
            os.fsync(cut_off)
        finally:
            os.close(cut_off)


def encoded(events: Any) -> bytes:
    """A line: the CRC-32 of its JSON as 8 hexadecimal digits, a space, the JSON, a newline."""
    text = json_codec.encode(events)
    return b"%08x %b\n" % (crc32(text), text)


def decoded(line: bytes) -> list[Any] | None:
    """The events of a line, None where it is not whole."""
    text = line[9:-1]
    if line[-1:] != b"\n" or line[:9] != b"%08x " % crc32(text):
        return None
    events: list[Any] = json_codec.decode(text)
    return events


def reserve(fd: int, offset: int, length: int) -> None:
    """Has the file system reserve space. Raises OSError where it has none."""
    _allocate(fd, offset, length)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """All of it, whatever the system takes at once."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
