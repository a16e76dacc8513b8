"""Media files as tools write them, made on the spot: by ffmpeg, sox, Pillow, PyAV and libsndfile.

Each is small: 0.7 s of sound, one picture, or a second of film. `CORPUS` has them by name, and what they hold.
"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import soundfile

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SOX = shutil.which("sox")

SECONDS = 0.7
WIDTH, HEIGHT = 61, 43
ORIENTATION = 0x0112  # the tag of EXIF


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A file with the chirps of `tone`.

    `endless`: it does not say how much it holds, so that what is left of it when it is cut is a file like it.
    """

    format: str
    make: Callable[[], bytes]
    rate: int = 16_000
    channels: int = 1
    endless: bool = False


def run(*command: str, given: bytes | None = None) -> bytes:
    """What a program writes to its output. Raises AssertionError with what it says of its failure."""
    done = subprocess.run(command, input=given, capture_output=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout


def _sox() -> str:
    assert SOX, "sox is missing: `make sox` installs it"
    return SOX


def ffmpeg(*arguments: str, given: bytes | None = None) -> bytes:
    return run(FFMPEG, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments, given=given)


def tone(rate: int, channels: int = 1, seconds: float = SECONDS) -> npt.NDArray[np.float64]:
    """(samples, channels): a chirp in each channel, from silence to silence, and below what 8 kHz can carry."""
    time = np.arange(round(seconds * rate)) / rate
    swell = np.sin(np.pi * time / seconds) ** 2 * (0.3 + 0.4 * time / seconds)
    return np.stack([swell * np.sin(2 * np.pi * (250 + 150 * i + 700 * time) * time) for i in range(channels)], axis=1)


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a RIFF file, padded to an even length."""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def written(samples: npt.NDArray[np.float64], rate: int, form: str, subtype: str | None = None) -> bytes:
    """A file that libsndfile writes."""
    data = io.BytesIO()
    soundfile.write(data, samples, rate, format=form, subtype=subtype)
    return data.getvalue()


@cache
def _source(rate: int, channels: int) -> bytes:
    return written(tone(rate, channels), rate, "WAV", "FLOAT")


def _in_a_folder(command: list[str], rate: int, channels: int, out: str) -> bytes:
    """What a program makes of the source `IN`: at `OUT`, or in its output where that does not stand among its words."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"IN": f"{folder}/in.wav", "OUT": f"{folder}/out.{out}"}
        Path(places["IN"]).write_bytes(_source(rate, channels))
        printed = run(*(places.get(word, word) for word in command))
        return Path(places["OUT"]).read_bytes() if "OUT" in command else printed


def _by_ffmpeg(arguments: str, rate: int, channels: int, out: str) -> bytes:
    words = [FFMPEG, "-hide_banner", "-loglevel", "error", "-nostdin", "-i", "IN", *arguments.split()]
    return _in_a_folder(words if "pipe:1" in words else [*words, "OUT"], rate, channels, out)


def _by_sox(arguments: str, rate: int, channels: int, out: str) -> bytes:
    return _in_a_folder([_sox(), "-D", "IN", *arguments.split()], rate, channels, out)


def _by_libsndfile(arguments: str, rate: int, channels: int, _: str) -> bytes:
    return written(tone(rate, channels), rate, *arguments.split())


_Row = tuple[str, str, int, int]  # the end of the file's name, arguments, rate, channels

_FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "Ogg", "opus": "Ogg", "mp3": "MP3"}
_BY_FFMPEG: list[_Row] = [
    ("wav", "-c:a pcm_u8", 8_000, 1),
    ("wav", "-c:a pcm_s16le", 16_000, 1),
    ("wav", "-c:a pcm_s16le", 44_100, 2),
    ("wav", "-c:a pcm_s16le", 48_000, 6),
    ("wav", "-c:a pcm_s24le", 48_000, 2),
    ("wav", "-c:a pcm_s32le", 96_000, 1),
    ("wav", "-c:a pcm_f32le", 22_050, 1),
    ("wav", "-c:a pcm_f64le", 16_000, 1),
    ("wav", "-c:a pcm_alaw", 8_000, 1),
    ("wav", "-c:a pcm_mulaw", 8_000, 1),
    ("wav", "-c:a adpcm_ms", 16_000, 1),
    ("wav", "-c:a adpcm_ima_wav", 22_050, 2),
    ("wav", "-c:a libmp3lame", 16_000, 1),
    ("wav", "-c:a pcm_s16le -write_bext 1 -metadata description=voice", 48_000, 1),
    ("wav", "-c:a pcm_s16le -metadata title=ninechars -metadata artist=someone", 16_000, 1),
    ("wav", "-c:a pcm_s16le -rf64 auto", 16_000, 1),
    ("wav", "-c:a pcm_s16le -f wav pipe:1", 16_000, 1),
    ("wav", "-c:a pcm_s24le -f wav pipe:1", 44_100, 2),
    ("wav", "-c:a pcm_f32le -f wav pipe:1", 48_000, 1),
    ("flac", "-sample_fmt s16", 16_000, 1),
    ("flac", "-sample_fmt s16", 44_100, 2),
    ("flac", "-sample_fmt s16", 48_000, 6),
    ("flac", "-sample_fmt s32 -bits_per_raw_sample 24", 96_000, 2),
    ("flac", "-sample_fmt s16 -f flac pipe:1", 44_100, 2),
    ("ogg", "-c:a libvorbis", 44_100, 2),
    ("ogg", "-c:a libvorbis -q:a 0", 16_000, 1),
    ("ogg", "-c:a libvorbis -f ogg pipe:1", 22_050, 1),
    ("ogg", "-c:a libvorbis -output_ts_offset 100", 16_000, 1),
    ("opus", "-c:a libopus", 48_000, 2),
    ("opus", "-c:a libopus", 48_000, 6),
    ("opus", "-c:a libopus -b:a 16k -application voip", 16_000, 1),
    ("ogg", "-c:a libopus -vbr off", 24_000, 1),
    ("mp3", "-c:a libmp3lame -b:a 128k", 44_100, 2),
    ("mp3", "-c:a libmp3lame -b:a 64k", 16_000, 1),
    ("mp3", "-c:a libmp3lame -b:a 32k", 8_000, 1),
    ("mp3", "-c:a libmp3lame -b:a 32k", 11_025, 1),
    ("mp3", "-c:a libmp3lame -b:a 32k -id3v2_version 0", 12_000, 2),
    ("mp3", "-c:a libmp3lame -q:a 4", 48_000, 2),
    ("mp3", "-c:a libmp3lame -abr 1 -b:a 96k", 32_000, 1),
    ("mp3", "-c:a libmp3lame -q:a 2 -write_xing 0", 44_100, 2),
    ("mp3", "-c:a libmp3lame -b:a 64k -write_xing 0 -id3v2_version 0", 22_050, 1),
    ("mp3", "-c:a libmp3lame -b:a 64k -write_id3v1 1 -id3v2_version 4 -metadata title=a", 24_000, 1),
    ("mp3", "-c:a libmp3lame -b:a 64k -f mp3 pipe:1", 16_000, 1),
    ("mp3", "-c:a libmp3lame -b:a 96k -joint_stereo 0 -metadata_header_padding 5000", 44_100, 2),
]
_BY_SOX: list[_Row] = [
    ("wav", "-b 16 OUT", 16_000, 1),
    ("wav", "-b 16 OUT", 32_000, 4),
    ("wav", "-b 8 -e unsigned OUT", 11_025, 1),
    ("wav", "-b 24 OUT", 44_100, 2),
    ("wav", "-b 64 -e float OUT", 48_000, 1),
    ("wav", "-e a-law OUT", 8_000, 1),
    ("wav", "-e u-law OUT", 8_000, 2),
    ("wav", "-e ms-adpcm OUT", 16_000, 1),
    ("wav", "-e ima-adpcm OUT", 16_000, 1),
    ("wav", "-e gsm-full-rate OUT", 8_000, 1),
    ("wav", "-b 16 -t wav -", 16_000, 1),
    ("wav", "-b 24 -t wav -", 48_000, 2),
    ("wav", "-e u-law -t wav -", 8_000, 1),
    ("flac", "-b 16 OUT", 16_000, 1),
    ("flac", "-b 24 -C 0 OUT", 48_000, 2),
    ("flac", "-b 8 OUT", 8_000, 1),
    ("flac", "-b 16 -t flac -", 16_000, 1),
    ("ogg", "-C 3 OUT", 44_100, 2),
    ("ogg", "-C 3 -t ogg -", 16_000, 1),
]
_BY_LIBSNDFILE: list[_Row] = [
    ("wav", "WAV IMA_ADPCM", 16_000, 1),
    ("wav", "WAV ULAW", 8_000, 1),
    ("wav", "WAVEX PCM_16", 16_000, 2),
    ("wav", "WAVEX PCM_24", 48_000, 8),
    ("flac", "FLAC PCM_S8", 16_000, 1),
    ("flac", "FLAC PCM_24", 192_000, 1),
    ("ogg", "OGG VORBIS", 8_000, 1),
    ("ogg", "OGG OPUS", 16_000, 1),
    ("mp3", "MP3 MPEG_LAYER_III", 44_100, 1),
]


def _chirps(count: int = 1) -> bytes:
    """The chirp as samples of 16 bits, at 16 kHz."""
    return np.int16(np.tile(tone(16_000)[:, 0], count) * 32_767).astype("<i2").tobytes()


def _sox_in_a_pipe(form: str) -> bytes:
    """What sox writes when neither its input nor its output has a length."""
    raw = "-t raw -e signed -b 16 -r 16000 -c 1"
    return run(_sox(), *raw.split(), "-", "-t", form, "-", given=_chirps())


def _wave(samples: bytes, riff: int | None = None, data: int | None = None, before: bytes = b"") -> bytes:
    """A WAV file as Python's `wave` writes it, with chunks before its samples and other sizes where they are given."""
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16))
    body = b"WAVE" + form + before + b"data" + struct.pack("<I", len(samples) if data is None else data) + samples
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


_LIST = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"odd"))
_ID3 = b"ID3\x04\x00\x00" + bytes((0, 0, 8, 0)) + bytes(1024)


def _mp3(arguments: str, rate: int = 16_000) -> bytes:
    return _by_ffmpeg(f"-c:a libmp3lame -b:a 64k {arguments}", rate, 1, "mp3")


def _mp3_behind_another_header() -> bytes:
    """Two channels, and a Xing header of one."""
    mono, stereo = _mp3("-id3v2_version 0"), "-c:a libmp3lame -b:a 64k -write_xing 0 -id3v2_version 0"
    return mono[: mono.index(mono[:2], 2)] + _by_ffmpeg(stereo, 16_000, 2, "mp3")


def _ogg(arguments: str, rate: int = 16_000) -> bytes:
    return _by_ffmpeg(f"-serial_offset {len(arguments)} {arguments}", rate, 1, "ogg")


def _flac() -> bytes:
    return written(tone(16_000), 16_000, "FLAC")


_OTHERS: dict[str, SoundFile] = {
    "wav with chunks before its samples": SoundFile(
        "WAV", lambda: _wave(_chirps(), before=_LIST + chunk(b"id3 ", _ID3))
    ),
    "wav with chunks behind its samples": SoundFile("WAV", lambda: _wave(_chirps()) + _LIST),
    "wav whose header counts itself": SoundFile("WAV", lambda: _wave(_chirps(), riff=len(_chirps()) + 44)),
    "wav of sox in a pipe": SoundFile("WAV", partial(_sox_in_a_pipe, "wav"), endless=True),
    "flac of sox in a pipe": SoundFile("FLAC", partial(_sox_in_a_pipe, "flac"), endless=True),
    "wav of arecord in a pipe": SoundFile("WAV", lambda: _wave(_chirps(), 0x80000024, 0x80000000), endless=True),
    "wav of a pipe, 31 bits": SoundFile("WAV", lambda: _wave(_chirps(), 0x7FFFFFFF, 0x7FFFFFFF), endless=True),
    "wav of a pipe, its header full": SoundFile("WAV", lambda: _wave(_chirps(), data=0xFFFFFFFF), endless=True),
    "wav of a pipe, zeros": SoundFile("WAV", lambda: _wave(_chirps(), 0, 0), endless=True),
    "wav of a pipe, an empty file's header": SoundFile("WAV", lambda: _wave(_chirps(), 36, 0), endless=True),
    "flac behind a tag": SoundFile("FLAC", lambda: _ID3 + _flac()),
    "flac before a tag": SoundFile("FLAC", lambda: _flac() + b"TAG" + bytes(125)),
    "mp3 with a large tag": SoundFile("MP3", lambda: _ID3 * 40 + _mp3("")),
    "mp3 without a header": SoundFile("MP3", partial(_mp3, "-write_xing 0 -id3v2_version 0")),
    "mp3 behind a header that is unlike it": SoundFile("MP3", _mp3_behind_another_header, channels=2),
    "mp3 before a tag": SoundFile("MP3", lambda: _mp3("") + b"APETAGEX" + bytes(300)),
}


def _sounds() -> Iterator[tuple[str, SoundFile]]:
    tools = {
        "ffmpeg": (_BY_FFMPEG, _by_ffmpeg),
        "sox": (_BY_SOX, _by_sox),
        "libsndfile": (_BY_LIBSNDFILE, _by_libsndfile),
    }
    for tool, (rows, make) in tools.items():
        for end, arguments, rate, channels in rows:
            one = SoundFile(_FORMATS[end], partial(make, arguments, rate, channels, end), rate, channels)
            one = replace(one, endless=arguments.endswith("pipe:1") and end in ("wav", "flac"))
            yield f"{tool} {end} {rate} Hz, {channels}: {arguments}", one
    yield from _OTHERS.items()


SOUNDS = dict(_sounds())
# What stands one behind the other: recordings of radio, spoken sentences, files that `cat` joined.
JOINED: dict[str, list[Callable[[], bytes]]] = {
    "wav": [lambda: _wave(_chirps()), lambda: _wave(_chirps())],
    "wav with chunks": [lambda: _wave(_chirps(), 36 + len(_chirps() + _LIST)) + _LIST, lambda: _wave(_chirps())],
    "wav of two rates": [lambda: _wave(_chirps()), lambda: _by_ffmpeg("-c:a pcm_f32le", 48_000, 1, "wav")],
    "flac": [_flac, _flac],
    "flac of two rates": [_flac, lambda: _by_ffmpeg("-sample_fmt s16", 44_100, 1, "flac")],
    "mp3": [partial(_mp3, ""), partial(_mp3, "")],
    "mp3 without headers, each behind a tag": [partial(_mp3, "-write_xing 0")] * 2,
    "mp3 before large tags": [lambda: _mp3("") + b"APETAGEX" + 300 * b"\xff\xfb\x00" + bytes(3000)] * 2,
    "mp3, the first with a header": [partial(_mp3, ""), partial(_mp3, "-write_xing 0")],
    "mp3 of two rates": [partial(_mp3, ""), partial(_mp3, "", 44_100)],
    "vorbis": [partial(_ogg, "-c:a libvorbis")] * 2,
    "vorbis of two rates": [partial(_ogg, "-c:a libvorbis"), partial(_ogg, "-c:a libvorbis -q:a 0", 48_000)],
    "vorbis, opus and vorbis": [partial(_ogg, f"-c:a {name}") for name in ("libvorbis", "libopus", "libvorbis")],
    "opus": [partial(_ogg, "-c:a libopus"), partial(_ogg, "-c:a libopus -b:a 20k")],
}

_NOT_TAKEN = "is none of WAV, FLAC, Ogg and MP3"
_BY = partial(_by_ffmpeg, rate=16_000, channels=1, out="file")
# How each is made, and the reason that its sender reads.
REFUSED_SOUNDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "rf64": (partial(_BY, "-f wav -rf64 always"), _NOT_TAKEN),
    "aiff": (partial(_BY, "-f aiff"), _NOT_TAKEN),
    "caf": (partial(_BY, "-f caf"), _NOT_TAKEN),
    "au": (partial(_BY, "-f au"), _NOT_TAKEN),
    "m4a": (partial(_BY, "-c:a aac -f ipod"), _NOT_TAKEN),
    "aac": (partial(_BY, "-c:a aac -f adts"), _NOT_TAKEN),
    "mp2": (partial(_BY, "-c:a mp2 -f mp2"), _NOT_TAKEN),
    "webm": (partial(_BY, "-c:a libopus -f webm"), _NOT_TAKEN),
    "flac in ogg": (partial(_BY, "-c:a flac -f ogg"), "no sound that can be decoded"),
    "aac in wav": (partial(_BY, "-c:a aac -f wav"), "no sound that can be decoded"),
    "aac behind a tag": (lambda: _ID3 + _BY("-c:a aac -f adts"), "no sound that can be decoded"),
    "wav behind a tag": (lambda: _ID3 + _wave(_chirps()), "is WAV, and begins like MP3"),
    "wav of no samples, and chunks": (lambda: _wave(b"", 36 + len(_LIST)) + _LIST, "has no samples"),
    "wav of a pipe, but with a size, cut off": (lambda: _wave(_chirps(), 0xFFFFFFFF)[:9_000], "is cut off"),
    "mp3 of junk": (lambda: _mp3("") + b"\xff\xfb\x00" * 20_000, "too much between its frames"),
    "wav of eleven seconds": (lambda: _wave(_chirps(16)), "has 11.2 seconds; at most 10.0"),
    "mp3 of eleven seconds": (lambda: 16 * _mp3(""), "has 10.5 seconds; at most 10.0"),
    "ogg of eleven seconds": (lambda: 16 * _ogg("-c:a libopus"), "has 10.5 seconds; at most 10.0"),
    "more files than anybody joins": (lambda: 1_001 * _ogg("-c:a libvorbis -t 0.005"), "more than 1,000 files"),
}
