"""Decodes sound with libsndfile: bytes only, mixed to one channel, at the rate that the model hears."""

from __future__ import annotations

import base64
import io
from math import ceil, gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from celery_inference.specs.errors import InvalidInput

Samples = npt.NDArray[np.float32]

_CONTAINERS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
_MAX_CHANNELS = 8
_RATES = range(4_000, 192_001)  # Hz
# What programs write into a WAV file's header that goes into a pipe, and cannot be corrected at the end, is near the
# largest that 31 or 32 bits hold; no request holds so much.
_STREAMED_BYTES = 2_000_000_000
_UNKNOWN_FRAMES = 2**40  # of a FLAC file that was streamed, libsndfile says 2**63 - 1
_EDGE_SECONDS = 0.05  # of silence on both sides while resampling, so that the end does not ring into the beginning


def decode(field: str, value: str, rate: int, max_seconds: float) -> Samples:
    """(samples,) float32 at `rate` Hz, channels averaged, from base64.

    Raises InvalidInput for what is no sound, is too long, or is cut off (MP3 and Ogg, which are streams, end where
    they end).
    """
    try:
        data = _with_wav_sizes(base64.b64decode(value, validate=True))
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check(field, file, max_seconds)
            if _wav_is_cut_off(data):
                raise InvalidInput.because(field, "is cut off")
            if file.frames > _UNKNOWN_FRAMES:
                file._info.seekable = 0  # else soundfile looks for a place behind the end, and raises
            samples = _read(field, file, max_seconds)
            given = file.samplerate
    except InvalidInput:
        raise
    except Exception as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise InvalidInput.because(field, f"is no sound that can be decoded: {reason}") from error
    return resample(samples, given, rate)


def _check(field: str, file: Any, max_seconds: float) -> None:
    """What the header says, before anything is decoded."""
    if file.format not in _CONTAINERS:
        raise InvalidInput.because(field, f"is {file.format}, none of {', '.join(_CONTAINERS)}")
    if file.samplerate not in _RATES:
        raise InvalidInput.because(
            field, f"has {file.samplerate:,} samples a second; {_RATES[0]:,} to {_RATES[-1]:,} are allowed"
        )
    if file.channels > _MAX_CHANNELS:
        raise InvalidInput.too_large(field, file.channels, _MAX_CHANNELS, "channels")
    if _UNKNOWN_FRAMES > file.frames > max_seconds * file.samplerate:
        raise InvalidInput.too_large(field, round(file.frames / file.samplerate, 1), max_seconds, "seconds")


def _read(field: str, file: Any, max_seconds: float) -> Samples:
    # One more than the header promises, which may be a lie in both directions.
    samples = file.read(min(file.frames, int(max_seconds * file.samplerate)) + 1, dtype="float32", always_2d=True)
    if len(samples) > max_seconds * file.samplerate:
        raise InvalidInput.because(field, f"has more than {max_seconds:,} seconds", limit=max_seconds)
    if len(samples) == 0:
        raise InvalidInput.because(field, "has no samples")
    if file.format == "FLAC" and len(samples) < file.frames < _UNKNOWN_FRAMES:
        raise InvalidInput.because(field, "is cut off")
    if not np.isfinite(samples).all():
        raise InvalidInput.because(field, "has samples that are no numbers")
    return np.asarray(samples.mean(axis=1), dtype=np.float32)


def _with_wav_sizes(data: bytes) -> bytes:
    """A WAV file that was written into a pipe, with the sizes that it has; every other file as it is."""
    said = _size_at(data, 4)
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE" or 0 < said < _STREAMED_BYTES:
        return data
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], _size_at(data, at + 4)
        if name == b"data":
            if size >= _STREAMED_BYTES or size == said == 0:
                size = len(data) - at - 8
            return b"".join((data[:4], _four_bytes(len(data) - 8), data[8 : at + 4], _four_bytes(size), data[at + 8 :]))
        at += 8 + size + size % 2
    return data


def _size_at(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _four_bytes(size: int) -> bytes:
    return size.to_bytes(4, "little")


def _wav_is_cut_off(data: bytes) -> bool:
    """Whether a WAV file is shorter than it says."""
    return data[:4] == b"RIFF" and _size_at(data, 4) + 8 > len(data)


def resample(samples: Samples, given: int, wanted: int) -> Samples:
    """The same sound at another rate: its spectrum, cut or filled up with silence. Costs n log n for any two rates."""
    if given == wanted:
        return samples
    step = given // gcd(given, wanted)  # so many samples last as long as a whole number of the wanted ones
    before = step * ceil(_EDGE_SECONDS * given / step)
    after = before + -len(samples) % step
    padded = np.pad(samples, (before, after))
    size = len(padded) * wanted // given
    spectrum = np.fft.rfft(padded)[: size // 2 + 1]
    sound = np.fft.irfft(spectrum, size) * (size / len(padded))
    start = before * wanted // given
    length = max(1, round(len(samples) * wanted / given))
    return np.asarray(sound[start : start + length], dtype=np.float32)


def sample(seconds: float = 1.0, rate: int = 16_000) -> str:
    """Some noise for warming up, as base64 of a WAV file."""
    noise = np.random.default_rng(7).standard_normal(int(seconds * rate)) * 0.1
    return str(encode(noise.astype(np.float32), rate)["wav"])


def encode(samples: npt.NDArray[Any], rate: int) -> dict[str, Any]:
    """Sound, (samples,) or (channels, samples), as JSON values: `{"wav": base64, "sampling_rate", "seconds"}`."""
    columns = samples.T if samples.ndim > 1 else samples
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(columns, -1, 1), rate, format="WAV", subtype="PCM_16")
    wav = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"wav": wav, "sampling_rate": rate, "seconds": round(len(columns) / rate, 3)}
