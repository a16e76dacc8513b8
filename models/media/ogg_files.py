"""Ogg files that are several, one behind the other: recordings of internet radio, and files that were put together.

libsndfile decodes the first and ends there, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

_HEADER_BYTES = 27  # of a page, before the table of its segments
_FIRST_PAGE = 2  # a flag: a stream begins


def split(data: bytes) -> Iterator[bytes]:
    """Each of the Ogg files in it. Streams that begin together, such as sound and its pictures, are one file.

    What stands behind the last page is left out.
    """
    start = at = 0
    begun = False
    while data.startswith(b"OggS", at) and at + _HEADER_BYTES <= len(data):
        if not data[at + 5] & _FIRST_PAGE:
            begun = True
        elif begun:
            yield data[start:at]
            start, begun = at, False
        segments = data[at + 26]
        at += _HEADER_BYTES + segments + sum(data[at + _HEADER_BYTES : at + _HEADER_BYTES + segments])
    yield data[start:] if data.find(b"OggS", at) >= 0 else data[start:at]
