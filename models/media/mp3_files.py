"""How many frames an MP3 file has. Its Xing header may say it, if there is one and nothing was put behind the file.

libsndfile decodes as many as that header says. Without one it guesses from the sizes of the first frames and of the
file; where the bit rate varies it may decode less than half, without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

_KBITS = {  # a second, by the index in a frame's header; 0, the "free format", says nothing of a frame's size
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # MPEG 1, 2, 2.5
_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")  # eleven bits, then a version, and layer III
_HEADERS = (b"Xing", b"Info", b"VBRI")
_HEADER_BITRATE = 9  # the index; such a frame has room for a header at every rate
_MOST_TRIES = 10_000  # at what looks like a frame and is none, in one file


@dataclass(frozen=True, slots=True)
class _Frame:
    start: int
    size: int  # bytes
    side_bytes: int  # between its four bytes and what it holds
    like: tuple[int, int, bool]  # version, rate and whether there is one channel: the same for all frames of a file

    @property
    def end(self) -> int:
        return self.start + self.size


def split(data: bytes) -> Iterator[bytes]:
    """Each of the MP3 files that were put one behind the other, with a Xing header that says how many frames it has.

    Data without frames of layer III is handed back as it is.
    """
    parts = (part for part in _parts(data) if part.count)
    first = next(parts, None)
    if first is None:
        yield data
        return
    for part in chain([first], parts):
        # A header may count itself. It is kept where it is right: it may also say how much silence is around the sound.
        if part.header and part.count <= _said(data, part.header) <= part.count + 1:
            yield data[part.header.start : part.last.end]
        else:
            yield _header(data, part.last, part.count) + data[part.start : part.last.end]


@dataclass(slots=True)
class _Part:
    """Frames that are like each other, without anything between them, and the header in front of them."""

    header: _Frame | None
    start: int
    last: _Frame
    count: int


def _parts(data: bytes) -> Iterator[_Part]:
    part = None
    for frame in _frames(data):
        is_header = _is_header(data, frame)
        if part and not is_header and frame.start == part.last.end and frame.like == part.last.like:
            part.last = frame
            part.count += 1
            continue
        if part:
            yield part
        part = _Part(frame, frame.end, frame, 0) if is_header else _Part(None, frame.start, frame, 1)
    if part:
        yield part


def _frames(data: bytes) -> Iterator[_Frame]:
    """The frames that are whole, without tags and junk between them."""
    at = tries = 0
    while True:
        while data.startswith(b"ID3", at) and at + 10 <= len(data):
            sizes = [byte & 0x7F for byte in data[at + 6 : at + 10]]
            at += 10 + (sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3])
        frame = _frame(data, at)
        if frame is None:
            for sync in _SYNC.finditer(data, at):
                tries += 1
                if tries > _MOST_TRIES:
                    raise ValueError("it has too much between its frames")
                frame = _frame(data, sync.start())
                following = frame and _frame(data, frame.end)  # any two bytes may look like a frame's first
                if frame and following and following.like == frame.like:
                    break
            else:
                return
        if frame is None or frame.end > len(data):
            return
        yield frame
        at = frame.end


def _frame(data: bytes, at: int) -> _Frame | None:
    if not _SYNC.match(data, at) or at + 4 > len(data):
        return None
    version, bitrate, rate = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if bitrate in (0, 15) or rate == 3:
        return None
    first, mono = version == 3, data[at + 3] >> 6 == 3
    samples, per_second = 1152 if first else 576, _RATES[version][rate]
    size = samples // 8 * 1000 * _KBITS[first][bitrate - 1] // per_second + (data[at + 2] >> 1 & 1)
    side_bytes = (17 if mono else 32) if first else (9 if mono else 17)
    return _Frame(at, size, side_bytes, (version, rate, mono))


def _is_header(data: bytes, frame: _Frame) -> bool:
    at = frame.start + 4
    return data.startswith(_HEADERS[:2], at + frame.side_bytes) or data.startswith(_HEADERS[2], at + 32)


def _said(data: bytes, header: _Frame) -> int:
    """The number of frames in a Xing header, -1 where it has none."""
    at = header.start + 4 + header.side_bytes
    has_count = data.startswith(_HEADERS[:2], at) and int.from_bytes(data[at + 4 : at + 8], "big") & 1
    return int.from_bytes(data[at + 8 : at + 12], "big") if has_count else -1


def _header(data: bytes, like: _Frame, count: int) -> bytes:
    """A frame that is a Xing header, with nothing in it but this count."""
    first, second, third, fourth = data[like.start : like.start + 4]
    head = bytes((first, second | 1, _HEADER_BITRATE << 4 | third & 0x0C, fourth))  # without a checksum, and padding
    frame = _frame(head, 0)
    assert frame is not None
    content = head + bytes(frame.side_bytes) + b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return content.ljust(frame.size, b"\0")
