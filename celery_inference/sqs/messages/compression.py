"""Unpacking a compressed payload, up to a bound: a few bytes can say gigabytes."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

from celery_inference.sqs.errors import UndecodableError
from celery_inference.sqs.messages.claim import MAX_PAYLOAD_BYTES


def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name).ZstdDecompressor()
        except ImportError:
            continue
    raise UndecodableError("its payload is compressed with zstd, which is not installed here")


# By the names that kombu writes, and those that it knows beside them.
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("application/x-gzip", "gzip", "zlib"), zlib.decompressobj),
    **dict.fromkeys(("application/x-bz2", "bzip2", "bzip"), bz2.BZ2Decompressor),
    **dict.fromkeys(("application/x-lzma", "lzma", "xz"), lzma.LZMADecompressor),
    **dict.fromkeys(("application/zstd", "zstd", "zstandard"), _zstd),
}


def unpacked(body: bytes, compression: str, limit_bytes: int = MAX_PAYLOAD_BYTES) -> bytes:
    """The payload. Raises UndecodableError for one that is cut, is something else, or unpacks to more."""
    make = _DECOMPRESSORS.get(compression)
    if make is None:
        raise UndecodableError("its compression is not known here; known are gzip, bzip2, lzma and zstd")
    decompressor = make()
    try:
        payload: bytes = decompressor.decompress(body, limit_bytes + 1)
    except Exception as exc:
        raise UndecodableError(f"its payload is not {compression}: {type(exc).__name__}") from None
    if len(payload) > limit_bytes:
        raise UndecodableError(f"its payload unpacks to more than {limit_bytes:,} bytes")
    if not decompressor.eof:
        raise UndecodableError(f"its payload is not whole {compression}")
    return payload
