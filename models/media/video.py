"""Decodes video with PyAV: bytes only, in MP4 or WebM, a few frames from the whole length."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from celery_inference.inputs.media_formats import format_of
from celery_inference.specs.errors import InvalidInput
from models.media.video_files import mp4_is_cut_off, webm_is_cut_off

Frames = npt.NDArray[np.uint8]

# Demuxers that are allowed to open the bytes. Others (playlists, concatenations) would open what the bytes name.
_DEMUXERS = {"MP4": "mov", "WebM": "matroska"}
_NOTHING_ELSE = {"protocol_whitelist": "none", "enable_drefs": "0"}
_COVER = av.stream.Disposition.attached_pic  # of a recording, in a stream of its own
_MAX_RATE = 240  # frames a second that a second of video may cost


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames of a video: `count` of them, evenly from the first `count * every`. Limits for what holds them."""

    count: int
    every: int
    max_seconds: float
    max_pixels: int

    @property
    def indices(self) -> set[int]:
        """Their numbers, as transformers' pipeline chooses them."""
        return set(np.linspace(0, self.count * self.every - 1, self.count, dtype=np.int64).tolist())


def decode(field: str, value: str, wanted: Wanted) -> Frames:
    """(frames, height, width, 3) uint8 RGB from base64, upright as its camera says.

    A video that is shorter repeats its last frame.
    Raises InvalidInput for what is no video, is too long or too large, or is cut off, if it says how long it is.
    """
    try:
        data = base64.b64decode(value, validate=True)
        frames = _read(field, data, wanted)
    except InvalidInput:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput.because(field, f"is no video that can be decoded: {reason}") from error
    if not frames:
        raise InvalidInput.because(field, "has no frame that can be decoded")
    if len({frame.shape for frame in frames}) > 1:
        raise InvalidInput.because(field, "changes its size")
    return np.stack(frames + [frames[-1]] * (wanted.count - len(frames)))


def _read(field: str, data: bytes, wanted: Wanted) -> list[Frames]:
    form = format_of("video", data)
    if webm_is_cut_off(data) if form == "WebM" else mp4_is_cut_off(data):
        raise InvalidInput.because(field, "is cut off")
    demuxer = _DEMUXERS.get(form or "", "mov")
    indices, frames = wanted.indices, []
    container: Any
    with av.open(io.BytesIO(data), format=demuxer, container_options=dict(_NOTHING_ELSE)) as container:
        stream = next((one for one in container.streams.video if not one.disposition & _COVER), None)
        if stream is None:
            raise InvalidInput.because(field, "has no moving picture")
        seconds = round((container.duration or 0) / av.time_base, 1)
        if seconds > wanted.max_seconds:
            raise InvalidInput.too_large(field, seconds, wanted.max_seconds, "seconds")
        _check_size(field, stream, wanted.max_pixels)
        for number, frame in enumerate(container.decode(stream)):
            if number > wanted.max_seconds * _MAX_RATE:
                raise InvalidInput.because(field, f"has more than {number:,} frames")
            if number in indices:
                _check_size(field, frame, wanted.max_pixels)
                frames.append(_upright(frame))
            if len(frames) == wanted.count:
                break
    return frames


def _upright(frame: Any) -> Frames:
    """Its pixels, turned and mirrored as its container says."""
    pixels: Frames = frame.to_ndarray(format="rgb24")
    said = frame.side_data.get("DISPLAYMATRIX")
    if said is None:
        return pixels
    # A point (x, y) is shown at (a x + c y, b x + d y). Cameras turn by quarters, so that two of the four are 0.
    a, b, _, c, d, *_ = np.frombuffer(said, np.int32).tolist()
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _check_size(field: str, sized: Any, max_pixels: int) -> None:
    if sized.width * sized.height > max_pixels:
        raise InvalidInput.too_large(field, sized.width * sized.height, max_pixels, "pixels")


def sample(frames: int = 8, size: int = 64) -> str:
    """A short video for warming up, as base64 of an MP4 file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            pixels = np.full((size, size, 3), number * 255 // frames, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return base64.b64encode(buffer.getvalue()).decode("ascii")
