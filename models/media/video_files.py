"""Whether an MP4 or WebM file is shorter than it says.

PyAV decodes what is left of a WebM file that is cut off, and of many MP4 files, without a word.
"""

from __future__ import annotations

_SEGMENT = 0x18538067  # Matroska's element with all that is shown
_MOST_ELEMENTS = 100  # in front of it: a header, and room that was left
_NEEDED_BOXES = (b"mdat", b"moof", b"moov")  # phones put boxes of their own behind them


def mp4_is_cut_off(data: bytes) -> bool:
    """Whether it ends within a box that holds pictures, or says where they are."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if at + size > len(data):
            return data[at + 4 : at + 8] in _NEEDED_BOXES
        if size < 8:  # 0: to the end
            return False
        at += size
    return False


def webm_is_cut_off(data: bytes) -> bool:
    """Whether its segment ends behind it. A segment that was written into a pipe does not say where it ends."""
    at = 0
    for _ in range(_MOST_ELEMENTS):
        name, at = _number(data, at)
        said, start = _number(data, at)
        marker = 1 << 7 * (start - at)  # the highest bit of a size says how many bytes it has
        size = said - marker
        if name == _SEGMENT or size < 0:
            return 0 <= size < marker - 1 and start + size > len(data)
        at = start + size
    return False


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 8 bytes, as many as its first byte has zeros in front, and the place behind it."""
    end = at + 9 - max(1, data[at].bit_length()) if at < len(data) else at + 1
    return int.from_bytes(data[at:end], "big"), end
