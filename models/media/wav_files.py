"""WAV files: how many bytes of samples each holds, also where its header does not say it, and what was joined to it.

A program that writes into a pipe cannot go back to the header at the end. It leaves 0 there, a number near the largest
of 31 or 32 bits, or a header of which nothing follows.
"""

from __future__ import annotations

from collections.abc import Iterator

_STREAMED_BYTES = 2_000_000_000  # from here on a size is no size: no request holds so much


def split(data: bytes) -> Iterator[bytes]:
    """Each of the files that were put one behind the other, from its header to its samples, with sizes that are true.

    Raises EOFError if one is cut off.
    """
    first = 0
    while True:
        start, end = _samples(data, first)
        if end < 0:
            yield data[first:]
            return
        sizes = _four_bytes(end - first - 8), _four_bytes(end - start)
        yield b"".join((data[first : first + 4], sizes[0], data[first + 8 : start - 4], sizes[1], data[start:end]))
        first = max(end, first + 8 + _size_at(data, first + 4))
        if data[first : first + 4] != b"RIFF" or data[first + 8 : first + 12] != b"WAVE":
            return


def _samples(data: bytes, first: int) -> tuple[int, int]:
    """Where the samples of the file that begins there begin and end; both -1 if it has none."""
    said, at = _size_at(data, first + 4), first + 12
    while at + 8 <= len(data):
        name, size, start = data[at : at + 4], _size_at(data, at + 4), at + 8
        if name == b"data":
            nothing_follows = first + said + 8 <= start or said >= _STREAMED_BYTES
            if size >= _STREAMED_BYTES or (size == 0 and nothing_follows):
                size = len(data) - start
            if start + size > len(data):
                raise EOFError("is cut off")
            return start, start + size
        at = start + size + size % 2
    return -1, -1


def _size_at(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _four_bytes(size: int) -> bytes:
    return size.to_bytes(4, "little")
