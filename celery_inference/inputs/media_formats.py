"""Which file formats are taken for each medium, told by their first bytes. No decoder is loaded: senders use it too."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping

from celery_inference.specs.errors import InvalidInput

# Raster images of one frame, sound that libsndfile decodes, and the two containers of video that cannot name other
# files. Not taken: SVG (a program), GIF and TIFF (many frames), playlists and manifests (lists of addresses).
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"mif1")  # in the container that MP4 is, too
_SIGNATURES: Mapping[str, Mapping[str, Callable[[bytes], bool]]] = {
    "image": {
        "PNG": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
        "JPEG": lambda head: head.startswith(b"\xff\xd8\xff"),
        "WebP": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    },
    "audio": {
        "WAV": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WAVE",
        "FLAC": lambda head: head.startswith(b"fLaC"),
        "Ogg": lambda head: head.startswith(b"OggS"),
        "MP3": lambda head: (
            head.startswith(b"ID3") or (head[:1] == b"\xff" and head[1:2] in b"\xfb\xfa\xf3\xf2\xe3\xe2")
        ),
    },
    "video": {
        "MP4": lambda head: head[4:8] == b"ftyp" and head[8:12] not in _PICTURES,
        "WebM": lambda head: head.startswith(b"\x1a\x45\xdf\xa3"),
    },
}

_BREAKS = b" \t\r\n\v\f"  # mail and many tools break the lines of base64
_DATA_URL_BYTES = 300
_DATA_URL = re.compile(rb"data:[^,]{0,%d};base64," % (_DATA_URL_BYTES - 20), re.IGNORECASE)


def format_of(medium: str, data: bytes) -> str | None:
    """The name of the file format that the bytes begin like, None when it is not one of those taken."""
    head = data[:16]
    return next((name for name, begins in _SIGNATURES[medium].items() if len(head) > 3 and begins(head)), None)


def as_base64(medium: str, field: str, value: object, max_bytes: int) -> str:
    """Bytes or their base64, as base64, once their format and size are seen to. A `data:` URL is base64 with a label.

    A text that is no base64 is refused with what it most often is: an address or a path, neither of which is opened.
    Raises InvalidInput.
    """
    data = _bytes(medium, field, value, max_bytes)
    if not data:
        raise InvalidInput.because(field, f"is an empty {medium}")
    if len(data) > max_bytes:
        raise InvalidInput.too_large(field, len(data), max_bytes, "bytes")
    if format_of(medium, data) is None:
        names = list(_SIGNATURES[medium])
        problem = f"is none of {', '.join(names[:-1])} and {names[-1]}"
        raise InvalidInput.because(field, problem, limit=", ".join(names), allowed=names)
    text = base64.b64encode(data).decode("ascii")
    # A caller may write it in other ways. Where it is as we do, there need not be two of it.
    return value if type(value) is str and value == text else text


def _bytes(medium: str, field: str, value: object, max_bytes: int) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str):
        raise InvalidInput.because(field, f"must be the {medium}'s bytes, or their base64, not {type(value).__name__}")
    longest = 4 * (max_bytes + 2) // 3 + 4
    if len(value) > longest + longest // 16 + _DATA_URL_BYTES:  # breaks of two characters in lines of 64, and one more
        raise InvalidInput.too_large(field, len(value) * 3 // 4, max_bytes, "bytes")
    try:
        text = value.encode("ascii")
        head = _DATA_URL.match(text)  # its media type is not believed
        return base64.b64decode(text[head.end() if head else 0 :].translate(None, _BREAKS), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput.because(
            field, f"must be the {medium}'s bytes, or their base64; addresses and paths are not opened"
        ) from None
