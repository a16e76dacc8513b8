"""How many bytes a WAV file holds, where its header does not say it.

A program that writes into a pipe cannot go back to the header at the end. It leaves 0 there, a number near the largest
of 31 or 32 bits, or a header of which nothing follows.
"""

from __future__ import annotations

_STREAMED_BYTES = 2_000_000_000  # from here on a size is no size: no request holds so much


def with_sizes(data: bytes) -> bytes | None:
    """The WAV file, with sizes in its header that are true; None if it is cut off."""
    said, at = _size_at(data, 4), 12
    while at + 8 <= len(data):
        name, size, start = data[at : at + 4], _size_at(data, at + 4), at + 8
        if name == b"data":
            nothing_follows = said + 8 <= start or said >= _STREAMED_BYTES
            if size >= _STREAMED_BYTES or (size == 0 and nothing_follows):
                size = len(data) - start
            if start + size > len(data):
                return None
            return b"".join((data[:4], _four_bytes(len(data) - 8), data[8 : at + 4], _four_bytes(size), data[start:]))
        at = start + size + size % 2
    return data


def _size_at(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _four_bytes(size: int) -> bytes:
    return size.to_bytes(4, "little")
