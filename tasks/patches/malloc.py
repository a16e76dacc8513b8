"""How the worker's parent asks for memory: large blocks singly, so that they go back to the system when they are freed.

Left alone, glibc's malloc takes freed blocks for a sign that more of them will come, and serves ever larger ones, up to
32 MiB, from arenas that it keeps: one for each of the many threads that hold pictures and recordings for a moment.
"""

import ctypes
import sys

LARGE_BYTES = 1024 * 1024
_M_MMAP_THRESHOLD = -3  # malloc.h


def give_large_blocks_back() -> None:
    """From now on, in this process. Does nothing where the C library is another."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
