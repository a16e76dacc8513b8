"""Files as tools write them are decoded as the reference decoder does it, or refused: never in part and in silence."""

import os
import tempfile
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from celery_inference.inputs.media_formats import as_base64
from celery_inference.specs.errors import InvalidInput
from models.media import audio
from tests.support.media_corpus import JOINED, REFUSED_SOUNDS, SECONDS, SOUNDS, SOX, SoundFile, ffmpeg

RATE = 16_000
MAX_SECONDS = 10.0
HEADS = {"WAV": b"RIFF\x00\x10\x00\x00WAVE", "FLAC": b"fLaC", "Ogg": b"OggS", "MP3": b"ID3"}
PADDING = bytes(1000)
# Of an MP3 without LAME's header one decoder cuts its own delay, the other does not, and both keep the encoder's.
MP3_SAMPLES = 1152 + 529

Samples = npt.NDArray[np.float32]

needs_sox = pytest.mark.skipif(SOX is None and "CI" not in os.environ, reason="no sox here: `make sox` installs it")
EACH_SOUND = [pytest.param(name, marks=needs_sox) if "sox" in name else name for name in SOUNDS]


@cache
def sound_file(name: str) -> bytes:
    return SOUNDS[name].make()


def hear(data: bytes) -> Samples:
    return audio.decode("inputs", as_base64("audio", "inputs", data, 10_000_000), RATE, MAX_SECONDS)


def heard_by_ffmpeg(data: bytes, sound: SoundFile) -> Samples:
    """What `transformers.pipeline` would have been given, but from a file and with all channels of one weight."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        pcm = ffmpeg("-i", file.name, "-ar", str(RATE), "-f", "f32le", "pipe:1")
    return np.frombuffer(pcm, np.float32).reshape(-1, sound.channels).mean(axis=1)


def difference(one: Samples, other: Samples, most_shifted: int) -> float:
    """The part of the other's loudness that is not in the first, at the shift at which that is least."""
    size = min(len(one), len(other)) - most_shifted
    shifts = range(most_shifted + 1)
    pairs = [(one[shift : shift + size], other[:size]) for shift in shifts]
    pairs += [(one[:size], other[shift : shift + size]) for shift in shifts]
    return min(float(np.linalg.norm(left - right) / np.linalg.norm(right)) for left, right in pairs)


@pytest.mark.parametrize("name", EACH_SOUND)
def test_sound_is_what_the_reference_decoder_hears(name: str) -> None:
    sound, data = SOUNDS[name], sound_file(name)
    got, wanted = hear(data), heard_by_ffmpeg(data, sound)
    shift = MP3_SAMPLES * RATE // sound.rate if sound.format == "MP3" else 32 if sound.format == "Ogg" else 0
    # ffmpeg itself does not always cut the last block of Vorbis as the file says.
    lengths = (len(wanted), round(SECONDS * RATE))
    assert min(abs(len(got) - length) for length in lengths) <= (shift if sound.format == "MP3" else 1)
    assert difference(got, wanted, shift) < (0.05 if shift else 0.005)


@pytest.mark.parametrize("name", JOINED)
def test_files_that_were_joined_are_heard_one_after_the_other(name: str) -> None:
    parts = [make() for make in JOINED[name]]
    np.testing.assert_array_equal(hear(b"".join(parts)), np.concatenate([hear(part) for part in parts]))


def test_mp3_that_was_joined_without_headers_is_heard_to_its_end() -> None:
    one = SOUNDS["mp3 without a header"].make()
    once, twice = hear(one), hear(one + one)
    assert len(once) + len(one) <= len(twice) <= 2 * len(once) + MP3_SAMPLES


@pytest.mark.parametrize("name", EACH_SOUND)
def test_sound_that_is_cut_off_is_refused_if_it_says_how_much_it_holds(name: str) -> None:
    sound, data = SOUNDS[name], sound_file(name)
    ends_where_it_ends = sound.endless or sound.format in ("Ogg", "MP3")
    for size in (len(data) // 2, len(data) * 9 // 10):
        try:
            heard = hear(data[:size])
        except InvalidInput:
            continue
        assert ends_where_it_ends
        assert len(heard) < len(hear(data))


@pytest.mark.parametrize("name", EACH_SOUND)
def test_what_stands_behind_a_file_is_not_heard(name: str) -> None:
    sound, data = SOUNDS[name], sound_file(name)
    if not sound.endless:
        np.testing.assert_array_equal(hear(data + PADDING), hear(data))
    elif sound.format == "WAV":  # it goes on to its end, and zeros are samples
        np.testing.assert_allclose(hear(data + PADDING)[: len(hear(data))], hear(data), atol=1e-5)
    else:
        with pytest.raises(InvalidInput, match="lost sync"):
            hear(data + PADDING)


@pytest.mark.parametrize("name", EACH_SOUND)
def test_sound_under_another_name_is_refused(name: str) -> None:
    sound, data = SOUNDS[name], sound_file(name)
    for medium in ("image", "video"):
        with pytest.raises(InvalidInput, match="is none of"):
            as_base64(medium, "inputs", data, 10_000_000)
    for form, head in HEADS.items():
        if form != sound.format and not data.startswith(head):
            with pytest.raises(InvalidInput):
                hear(head + data[len(head) :])


@pytest.mark.parametrize("name", REFUSED_SOUNDS)
def test_sound_of_other_formats_is_refused_with_their_names_or_the_reason(name: str) -> None:
    make, reason = REFUSED_SOUNDS[name]
    with pytest.raises(InvalidInput, match=reason):
        hear(make())
