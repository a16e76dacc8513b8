"""Decodes sound with libsndfile: bytes only, mixed to one channel, at the rate that the model hears."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from itertools import pairwise
from math import ceil, gcd
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from celery_inference.inputs.media_formats import format_of
from celery_inference.specs.errors import InvalidInput
from models.media import mp3_files, ogg_files, wav_files

Samples = npt.NDArray[np.float32]

# By the first bytes of a file: what libsndfile may then say that it is. A tag may stand before a FLAC file, too.
_CONTAINERS = {"WAV": ("WAV", "WAVEX"), "FLAC": ("FLAC",), "Ogg": ("OGG",), "MP3": ("MP3", "FLAC")}
_MAX_FILES = 1_000  # that are put one behind the other
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # its first bytes, and those of the facts that come first
_MAX_CHANNELS = 8
_RATES = range(4_000, 192_001)  # Hz
_UNKNOWN_FRAMES = 2**40  # for a FLAC file that was streamed, libsndfile says 2**63 - 1
_EDGE_SECONDS = 0.05  # of silence on both sides while resampling, so that the end does not ring into the beginning


def decode(field: str, value: str, rate: int, max_seconds: float) -> Samples:
    """(samples,) float32 at `rate` Hz, channels averaged, from base64.

    Files that stand one behind the other are heard one after the other.
    Raises InvalidInput for what is no sound, is too long, or is cut off, if its format says how much it holds.
    """
    heard: list[Samples] = []
    seconds = 0.0
    try:
        data = base64.b64decode(value, validate=True)
        form = format_of("audio", data)
        for file in _SPLIT[form](data) if form else [data]:
            if len(heard) == _MAX_FILES:
                raise InvalidInput.because(field, f"consists of more than {_MAX_FILES:,} files", limit=_MAX_FILES)
            with soundfile.SoundFile(io.BytesIO(file)) as sound:
                _check(field, sound, form, seconds, max_seconds)
                samples = _read(field, sound, seconds, max_seconds)
                seconds += len(samples) / sound.samplerate
                heard.append(resample(samples, sound.samplerate, rate))
    except InvalidInput:
        raise
    except EOFError:
        raise InvalidInput.because(field, "is cut off") from None
    except Exception as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise InvalidInput.because(field, f"is no sound that can be decoded: {reason}") from error
    return np.concatenate(heard) if len(heard) > 1 else heard[0]


def _flac_files(data: bytes) -> Iterator[bytes]:
    starts = [match.start() for match in _FLAC.finditer(data)][1:]
    yield from (data[start:end] for start, end in pairwise([0, *starts, len(data)]))


# Those that were put one behind the other, each with the length that libsndfile must know to decode it to its end.
_SPLIT = {"WAV": wav_files.split, "FLAC": _flac_files, "Ogg": ogg_files.split, "MP3": mp3_files.split}


def _check(field: str, file: Any, form: str | None, before: float, max_seconds: float) -> None:
    """What the header says, before anything is decoded."""
    if file.format not in _CONTAINERS.get(form or "", ()):
        raise InvalidInput.because(field, f"is {file.format}, and begins like {form or 'none of these formats'}")
    if file.samplerate not in _RATES:
        raise InvalidInput.because(
            field, f"has {file.samplerate:,} samples a second; {_RATES[0]:,} to {_RATES[-1]:,} are allowed"
        )
    if file.channels > _MAX_CHANNELS:
        raise InvalidInput.too_large(field, file.channels, _MAX_CHANNELS, "channels")
    seconds = before + file.frames / file.samplerate
    if file.frames < _UNKNOWN_FRAMES and seconds > max_seconds:
        raise InvalidInput.too_large(field, round(seconds, 1), max_seconds, "seconds")


def _read(field: str, file: Any, before: float, max_seconds: float) -> Samples:
    most = (max_seconds - before) * file.samplerate
    if file.frames > _UNKNOWN_FRAMES:
        file._info.seekable = 0  # else soundfile looks for a place behind the end, and raises
    # One more than the header promises, which may be a lie in both directions.
    samples = file.read(min(file.frames, int(most)) + 1, dtype="float32", always_2d=True)
    if len(samples) > most:
        raise InvalidInput.because(field, f"has more than {max_seconds:,} seconds", limit=max_seconds)
    if len(samples) == 0:
        raise InvalidInput.because(field, "has no samples")
    if file.format == "FLAC" and len(samples) < file.frames < _UNKNOWN_FRAMES:
        raise InvalidInput.because(field, "is cut off")
    if not np.isfinite(samples).all():
        raise InvalidInput.because(field, "has samples that are no numbers")
    return np.asarray(samples.mean(axis=1), dtype=np.float32)


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
