"""The journal: an append-only log in segments, synced to disk in groups.

Space is allocated ahead, so that a full disk is met before anything is promised (`make_room`), and filled with zeros,
so that a sync writes data alone: on ext4, 140 µs instead of 220 where the space is only reserved. What a crash left
half-written is behind everything ever called durable.

A spare file stands ready as the next segment of a full disk: what grows the store (a send) is refused as soon as there
is none, so that what is there can still be received and deleted, and the journal be cleaned.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from celery_inference.sqs_local.journal.segment import Segment, encoded, reserve, write_at

ROOM_BYTES: Final = 128 * 1024  # for the lines of one request, besides what it carries itself: the store bounds them
_NAME: Final = re.compile(r"journal-(\d{8,})\.log")
AFTER: Final = "after"  # a segment's first event: the number of the one before it, and where that one ends
_sync_data = getattr(os, "fdatasync", os.fsync)  # Linux has it


class JournalError(Exception):
    """The data directory cannot be used: in use by another server, or damaged."""


class JournalFull(Exception):
    """There is no room on the disk for another line."""


class Journal:
    """The segments of one data directory. The last one is open."""

    def __init__(self, directory: Path) -> None:
        """Raises JournalError where another server uses the directory, and OSError where it cannot be written."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._spare = directory / "journal.spare"
        self._oldest = directory / "journal.oldest"  # the number of the first segment that is needed
        self.spare_bytes = 0  # of the file that stands ready, if one does
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise JournalError(f"the data directory {directory} is in use by another server") from None
        named = [(path, _NAME.fullmatch(path.name)) for path in directory.iterdir()]
        found = [Segment(path, int(match[1])) for path, match in named if match]
        self.segments = sorted(found, key=lambda segment: segment.number)
        self._pending: list[bytes] = []
        self._unsynced = False  # the newest segment; the others are on disk
        self._failure: OSError | None = None

    def read(self) -> Iterator[tuple[int, list[Any]]]:
        """Segment number and events of every line, oldest first.

        Raises JournalError for damage in a segment that is not the newest, or one that is missing, which no crash
        leaves behind. In the newest one damage looks as a crash's does: `start` cuts it off, and keeps it in a file.
        """
        self._check_oldest()
        before: Segment | None = None
        rest_bytes = 0
        for segment in self.segments:
            segment.open()
            for events in segment.lines():
                if before is not None and segment.end == segment.header_bytes:
                    _check_before(events, before, segment, rest_bytes)
                yield segment.number, events
            before, rest_bytes = segment, segment.unread_bytes()
            if segment is not self.segments[-1]:
                segment.close()

    def start(self, header: list[Any]) -> int:
        """Opens the journal for writing, after `read`. Gives how many bytes behind the last whole line were cut off."""
        lost_bytes = 0
        while len(self.segments) > 1 and not self.segments[-1].end:
            # A crash came between the file and its first line, so nothing rests on it.
            empty = self.segments.pop()
            lost_bytes += empty.cut()
            empty.close()
            empty.path.unlink()
            self.segments[-1].open()
        if self.segments:
            lost_bytes += self.segments[-1].cut()
            # A server that was killed had written it, perhaps not synced: from here on it counts as on disk.
            _sync_data(self.segments[-1].fd)
        if not self.segments:
            self._new_segment(header)
        elif not self.segments[-1].end:
            line = encoded(header)
            self.segments[-1].allocate(len(line))
            self._begin(line)
        self.make_spare()
        if not self._oldest.exists():
            with suppress(OSError):  # a full disk: the next segment that is dropped says it
                self._write_oldest(self.segments[0].number)
        return lost_bytes

    def _check_oldest(self) -> None:
        """Raises JournalError where the first segments are missing: nothing in the others tells of them."""
        try:
            needed = int(self._oldest.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return  # of an earlier version, which wrote no such file; or cut off by a full disk
        if not self.segments or self.segments[0].number > needed:
            raise JournalError(
                f"the oldest file of the journal is missing: {self._directory / f'journal-{needed:08d}.log'}; bring it"
                f" back, or delete {self._oldest} to go on without the messages in it"
            )

    def _write_oldest(self, number: int) -> None:
        """Durable before a segment goes. It is as long as before, so that a full disk takes it."""
        fd = os.open(self._oldest, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            write_at(fd, b"%020d\n" % number, 0)
            os.fsync(fd)
        finally:
            os.close(fd)

    @property
    def number(self) -> int:
        return self.segments[-1].number

    @property
    def length_bytes(self) -> int:
        """Of all lines: what it takes of the disk, but for the spare and the newest one's allocation."""
        return sum(segment.end for segment in self.segments)

    @property
    def header_bytes(self) -> int:
        return self.segments[-1].header_bytes

    @property
    def room_bytes(self) -> int:
        """For which no more of the disk is needed: what is allocated, and the spare."""
        active = self.segments[-1]
        return max(0, active.allocated - active.end) + self.spare_bytes

    @property
    def has_spare(self) -> bool:
        """Whether a file as long as a segment may be stands ready."""
        return self.spare_bytes >= self.segments[-1].limit

    def has_room(self, room_bytes: int, *, growing: bool) -> bool:
        """Whether `make_room` has nothing to do."""
        active = self.segments[-1]
        return active.end + room_bytes <= min(active.allocated, active.limit) and (self.has_spare or not growing)

    def make_room(self, room_bytes: int, header: Callable[[], list[Any]], *, growing: bool) -> None:
        """Makes room for lines of this many bytes, in a new segment if need be, which begins with the `header`.

        What is not `growing` may take the spare. Raises JournalFull where the disk has no room.
        """
        if growing and not self.make_spare():
            raise JournalFull("there is no room for the file that is kept ready for receives and deletes")
        active = self.segments[-1]
        try:
            if active.end + room_bytes <= active.limit:
                try:
                    active.allocate(active.end + room_bytes)
                except OSError:
                    if growing or not self.spare_bytes:
                        raise
                else:
                    return
            self.turn(header, room_bytes, growing=growing)
        except OSError as error:
            raise JournalFull(str(error)) from error

    def turn(self, header: Callable[[], list[Any]], room_bytes: int = 0, *, growing: bool = False) -> None:
        """Begins a new segment. Raises OSError where the disk has no room, or fails."""
        # No line may be on disk before the lines ahead of it.
        self.sync()
        before = self.segments[-1]
        self._new_segment([[AFTER, before.number, before.end], *header()], room_bytes, may_take_spare=not growing)
        before.give_back()
        before.close()

    def make_spare(self) -> bool:
        """Whether a spare stands ready, now that it was tried."""
        if not self.has_spare:
            try:
                fd = os.open(self._spare, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                return False
            try:
                reserve(fd, 0, self.segments[-1].limit)
                self.spare_bytes = self.segments[-1].limit
            except OSError:
                if not self.spare_bytes:
                    self._spare.unlink(missing_ok=True)
            finally:
                os.close(fd)
        return self.has_spare

    def drop_oldest(self) -> None:
        """Removes a segment of which nothing lives. Raises OSError where it cannot be removed."""
        self._write_oldest(self.segments[1].number)
        self.segments[0].path.unlink(missing_ok=True)
        self.segments.pop(0).close()

    def _new_segment(self, header: list[Any], room_bytes: int = 0, *, may_take_spare: bool = False) -> None:
        number = self.number + 1 if self.segments else 1
        line = encoded(header)
        segment = Segment(self._directory / f"journal-{number:08d}.log", number)
        try:
            segment.open()
            segment.allocate(len(line) + room_bytes)
            _sync_directory(self._directory)
        except OSError:
            segment.close()
            segment.path.unlink(missing_ok=True)
            if not (may_take_spare and self.spare_bytes):
                raise
            self._take_spare(segment, len(line) + room_bytes)
        self.segments.append(segment)
        self._begin(line)

    def _take_spare(self, segment: Segment, needed_bytes: int) -> None:
        if self.spare_bytes < needed_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.spare_bytes = 0
        self._spare.rename(segment.path)
        segment.open()
        _sync_directory(self._directory)

    def _begin(self, line: bytes) -> None:
        self.segments[-1].header_bytes = len(line)
        self._append(line)

    def append(self, events: Any) -> None:
        """Takes a line into the next group. `make_room` has made room for it."""
        self._append(encoded(events))

    def _append(self, line: bytes) -> None:
        self._pending.append(line)
        segment = self.segments[-1]
        segment.end += len(line)
        # A line that outgrew its room has made the file longer: what is allocated next comes behind it.
        segment.allocated = max(segment.allocated, segment.end)

    def write(self) -> None:
        """Hands what is pending to the system, which keeps it when the server is killed.

        Raises OSError, after which nothing more can be written.
        """
        if self._failure is not None:
            raise self._failure
        if not self._pending:
            return
        group = b"".join(self._pending)
        self._pending = []
        active = self.segments[-1]
        self._unsynced = True
        try:
            write_at(active.fd, group, active.end - len(group))
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
            segment.close()
        os.close(self._lock)


def _check_before(first_line: list[Any], before: Segment, segment: Segment, rest_bytes: int) -> None:
    """Raises JournalError where the segment was begun behind another one, or behind more of it than there is."""
    event = first_line[0] if first_line else []
    if event[:1] == [AFTER]:
        number, whole = event[1], before.end == event[2]
    else:  # of an earlier version, which wrote no such event
        number, whole = segment.number - 1, not rest_bytes
    if before.number != number:
        raise JournalError(f"a file that {segment.path} comes after is missing: journal-{number:08d}.log")
    if not whole:
        raise JournalError(f"{before.path} is damaged at byte {before.end}")


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
