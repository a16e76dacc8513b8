"""The journal: an append-only log in segments, synced to disk in groups.

A line is the CRC-32 of its JSON as 8 hexadecimal digits, a space, the JSON, a newline. Space is allocated ahead and
filled with zeros, so that a full disk is met before anything is promised (`make_room`), and so that a sync writes data
alone: on ext4, 140 µs instead of 220 where the space is only reserved. What a crash left half-written is behind
everything ever called durable.

"""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from sqs.local import codec

SEGMENT_BYTES: Final = 16 * 1024 * 1024
ALLOCATION_BYTES: Final = 1024 * 1024
ROOM_BYTES: Final = 128 * 1024  # for the lines of one request, besides what it carries itself
# Linux has both; elsewhere a full disk is met at the sync, which ends the server.
_allocate = getattr(os, "posix_fallocate", lambda fd, offset, length: os.ftruncate(fd, offset + length))
_sync_data = getattr(os, "fdatasync", os.fsync)

Write = tuple["Segment", int, list[bytes]]


class JournalError(Exception):
    """The data directory cannot be used: in use by another server, or damaged."""


class JournalFull(Exception):
    """There is no room on the disk for another line."""


class Segment:
    """One file of the journal. `end` is where the next line goes."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.end = 0
        self.allocated = os.fstat(self.fd).st_size

    def allocate(self, end: int) -> None:
        """Makes the file long enough; raises OSError where the disk is too full."""
        if end > self.allocated:
            wanted = -(-end // ALLOCATION_BYTES) * ALLOCATION_BYTES
            _allocate(self.fd, self.allocated, wanted - self.allocated)
            _write_at(self.fd, bytes(wanted - self.allocated), self.allocated)
            self.allocated = wanted

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
                self.end += len(line)
                yield events

    def unread_bytes(self) -> int:
        """How much there is behind the last line, the zeros at the end left out."""
        return len(os.pread(self.fd, self.allocated - self.end, self.end).rstrip(b"\0"))

    def cut(self) -> int:
        """Removes what is behind the last line; gives how much there was."""
        lost_bytes = self.unread_bytes()
        if lost_bytes:
            os.ftruncate(self.fd, self.end)
            os.fsync(self.fd)
            self.allocated = self.end
        return lost_bytes


def encoded(events: Any) -> bytes:
    text = codec.encode(events)
    return b"%08x %b\n" % (crc32(text), text)


def decoded(line: bytes) -> list[Any] | None:
    """The events of a line, None where it is not whole."""
    text = line[9:-1]
    if line[-1:] != b"\n" or line[:9] != b"%08x " % crc32(text):
        return None
    events: list[Any] = codec.decode(text)
    return events


class Journal:
    """The segments of one data directory."""

    def __init__(self, directory: Path) -> None:
        """Raises JournalError where another server uses the directory, and OSError where it cannot be written."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise JournalError(f"the data directory {directory} is in use by another server") from None
        paths = sorted(directory.glob("journal-*.log"))
        self.segments = [Segment(path, int(path.stem.removeprefix("journal-"))) for path in paths]
        self._pending: list[Write] = []
        self._unsynced = False  # the newest segment; the others are on disk
        self._failure: OSError | None = None

    def read(self) -> Iterator[tuple[int, list[Any]]]:
        """Segment number and events of every line, oldest first.

        Raises JournalError for damage that is not a crash's: what a crash cuts short has no whole line behind it.
        """
        damaged: Segment | None = None
        for segment in self.segments:
            for events in segment.lines():
                if damaged is not None:
                    raise JournalError(f"{damaged.path} is damaged at byte {damaged.end}")
                yield segment.number, events
            if segment.unread_bytes():
                damaged = segment

    def start(self, header: list[Any]) -> int:
        """Opens the journal for writing, after `read`. Gives how many bytes of an unfinished write were dropped."""
        lost_bytes = sum(segment.cut() for segment in self.segments)
        if not self.segments:
            self._new_segment(header)
        elif not self.segments[-1].end:
            # A crash came between the file and its first line, which no segment is without.
            line = encoded(header)
            self.segments[-1].allocate(len(line))
            self._append(line)
        return lost_bytes

    @property
    def number(self) -> int:
        return self.segments[-1].number

    @property
    def length_bytes(self) -> int:
        return sum(segment.end for segment in self.segments)

    def has_room(self, room_bytes: int) -> bool:
        active = self.segments[-1]
        return active.end + room_bytes <= min(active.allocated, SEGMENT_BYTES)

    def make_room(self, room_bytes: int, header: Callable[[], list[Any]]) -> None:
        """Makes room for lines of this many bytes, in a new segment if need be, which begins with the `header`.

        Raises JournalFull where the disk has none.
        """
        active = self.segments[-1]
        try:
            if active.end + room_bytes > SEGMENT_BYTES:
                # No line may be on disk before the lines ahead of it.
                self.sync()
                self._new_segment(header(), room_bytes)
            else:
                active.allocate(active.end + room_bytes)
        except OSError as error:
            raise JournalFull(str(error)) from error

    def drop_oldest(self) -> None:
        segment = self.segments.pop(0)
        os.close(segment.fd)
        segment.path.unlink()

    def _new_segment(self, header: list[Any], room_bytes: int = 0) -> None:
        number = self.number + 1 if self.segments else 1
        line = encoded(header)
        segment = Segment(self._directory / f"journal-{number:08d}.log", number)
        try:
            segment.allocate(len(line) + room_bytes)
            _sync_directory(self._directory)
        except OSError:
            os.close(segment.fd)
            segment.path.unlink()
            raise
        self.segments.append(segment)
        self._append(line)

    def append(self, events: Any) -> None:
        """Takes a line into the next group. `make_room` has made room for it."""
        self._append(encoded(events))

    def _append(self, line: bytes) -> None:
        segment = self.segments[-1]
        if self._pending and self._pending[-1][0] is segment:
            self._pending[-1][2].append(line)
        else:
            self._pending.append((segment, segment.end, [line]))
        segment.end += len(line)

    def write(self) -> None:
        """Hands what is pending to the system, which keeps it when the server is killed.

        Raises OSError, after which nothing more can be written.
        """
        if self._failure is not None:
            raise self._failure
        group, self._pending = self._pending, []
        try:
            for segment, offset, lines in group:
                _write_at(segment.fd, b"".join(lines), offset)
                self._unsynced = True
        except OSError as error:
            self._failure = error
            raise

    def sync(self) -> None:
        """Blocks until all that was appended is on disk. Raises OSError as `write` does."""
        self.write()
        try:
            if self._unsynced:
                _sync_data(self.segments[-1].fd)
                self._unsynced = False
        except OSError as error:
            # After a failed sync the next one may succeed without what was lost: there is no next one.
            self._failure = error
            raise

    def close(self) -> None:
        """Gives the directory free. What is pending is not written: nobody has had an answer for it."""
        if self._unsynced and self._failure is None:
            with suppress(OSError):
                _sync_data(self.segments[-1].fd)
        self._pending = []
        self._failure = OSError(errno.EBADF, "the journal is closed")
        for segment in self.segments:
            os.close(segment.fd)
        os.close(self._lock)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
