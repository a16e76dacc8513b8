"""Files as tools write them are decoded as the reference decoder does it, or refused: never in part and in silence."""

import io
import os
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from transformers.image_utils import load_image

from celery_inference.inputs.media_formats import as_base64, format_of
from celery_inference.specs.errors import InvalidInput
from models.media import audio, images, video
from models.media.video_files import webm_is_cut_off
from tests.support.media_corpus import JOINED, REFUSED_SOUNDS, SECONDS, SOUNDS, SOX, SoundFile, ffmpeg
from tests.support.picture_corpus import (
    DEEP_PICTURES,
    PICTURE,
    PICTURES,
    REFUSED_PICTURES,
    REFUSED_VIDEOS,
    VIDEOS,
    VideoFile,
)

RATE = 16_000
MAX_SECONDS = 10.0
MAX_BYTES = 10_000_000
HEADS = {
    "audio": {"WAV": b"RIFF\x00\x10\x00\x00WAVE", "FLAC": b"fLaC", "Ogg": b"OggS", "MP3": b"ID3"},
    "image": {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "WebP": b"RIFF\x00\x10\x00\x00WEBP"},
    "video": {"MP4": b"\x00\x00\x00\x20ftypisom", "WebM": b"\x1a\x45\xdf\xa3"},
}
PADDING = bytes(1000)
# Of an MP3 without LAME's header one decoder cuts its own delay, the other does not, and both keep the encoder's.
MP3_SAMPLES = 1152 + 529

Samples = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

needs_sox = pytest.mark.skipif(SOX is None and "CI" not in os.environ, reason="no sox here: `make sox` installs it")
EACH_SOUND = [pytest.param(name, marks=needs_sox) if "sox" in name else name for name in SOUNDS]


@cache
def sound_file(name: str) -> bytes:
    return SOUNDS[name].make()


def hear(data: bytes) -> Samples:
    return audio.decode("inputs", as_base64("audio", "inputs", data, MAX_BYTES), RATE, MAX_SECONDS)


def see(data: bytes) -> Pixels:
    return np.asarray(images.decode("inputs", as_base64("image", "inputs", data, MAX_BYTES), 1_000_000))


def watch(data: bytes, frames: int) -> Pixels:
    wanted = video.Wanted(count=frames, every=1, max_seconds=MAX_SECONDS, max_pixels=1_000_000)
    return video.decode("inputs", as_base64("video", "inputs", data, MAX_BYTES), wanted)


def refused_under_other_names(medium: str, data: bytes, decode: Callable[[bytes], object]) -> None:
    """Given as another medium, and with the first bytes of each other format of its own."""
    for other in HEADS.keys() - {medium}:
        with pytest.raises(InvalidInput, match="is none of"):
            as_base64(other, "inputs", data, MAX_BYTES)
    for form, head in HEADS[medium].items():
        if form != format_of(medium, data):
            with pytest.raises(InvalidInput):
                decode(head + data[len(head) :])


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
    refused_under_other_names("audio", sound_file(name), hear)


@pytest.mark.parametrize("name", REFUSED_SOUNDS)
def test_sound_of_other_formats_is_refused_with_their_names_or_the_reason(name: str) -> None:
    make, reason = REFUSED_SOUNDS[name]
    with pytest.raises(InvalidInput, match=reason):
        hear(make())


def apart(one: Pixels, other: Pixels) -> float:
    """The mean of their differences, of 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


# Pillow warns of palettes with alpha whenever they become RGB, in the pipeline too.
warns_of_alpha = pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")


@warns_of_alpha
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_pipeline_sees(name: str) -> None:
    data = PICTURES[name].make()
    seen = see(data)
    np.testing.assert_array_equal(seen, np.asarray(load_image(Image.open(io.BytesIO(data)))))
    assert seen.shape == (PICTURE.height, PICTURE.width, 3)
    assert apart(seen, np.asarray(PICTURE)) < (3 if PICTURES[name].colours else 120)


@pytest.mark.parametrize("name", DEEP_PICTURES)
def test_a_deep_grey_picture_is_what_ffmpeg_sees(name: str) -> None:
    data = DEEP_PICTURES[name]()
    raw = ffmpeg("-f", "png_pipe", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1", given=data)
    seen = see(data)
    np.testing.assert_allclose(seen[..., 0], np.frombuffer(raw, np.uint8).reshape(seen.shape[:2]), atol=1)


@warns_of_alpha
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_may_have_something_behind_it_and_must_not_be_cut_off(name: str) -> None:
    data = PICTURES[name].make()
    np.testing.assert_array_equal(see(data + PADDING), see(data))
    with pytest.raises(InvalidInput, match="no image that can be decoded"):
        see(data[: len(data) // 2])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_under_another_name_is_refused(name: str) -> None:
    refused_under_other_names("image", PICTURES[name].make(), see)


@pytest.mark.parametrize("name", REFUSED_PICTURES)
def test_a_picture_of_another_format_is_refused(name: str) -> None:
    make, reason = REFUSED_PICTURES[name]
    with pytest.raises(InvalidInput, match=reason) as refused:
        see(make())
    assert "0x" not in str(refused.value)  # of an object in memory


def watched_by_ffmpeg(data: bytes, film: VideoFile) -> Pixels:
    """All frames, turned as the file says."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        every = ["-fps_mode", "passthrough", "-map", "0:v:0", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
        raw = ffmpeg("-i", file.name, *every)
    return np.frombuffer(raw, np.uint8).reshape(-1, *film.size, 3)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_shows_the_frames_that_ffmpeg_shows(name: str) -> None:
    film = VIDEOS[name]
    data = film.make()
    wanted = watched_by_ffmpeg(data, film)
    assert len(wanted) == film.frames
    seen = watch(data, film.frames)
    assert seen.shape == wanted.shape
    assert apart(seen, wanted) < 3  # of 10 bits two versions of ffmpeg make other colours at edges
    np.testing.assert_array_equal(watch(data + PADDING, film.frames), seen)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_that_is_cut_off_is_refused_if_it_says_how_long_it_is(name: str) -> None:
    film = VIDEOS[name]
    data = film.make()
    for size in (len(data) // 2, len(data) * 9 // 10, len(data) - 100):
        with suppress(InvalidInput) if film.endless else pytest.raises(InvalidInput, match="is cut off"):
            watch(data[:size], film.frames)


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_under_another_name_is_refused(name: str) -> None:
    refused_under_other_names("video", VIDEOS[name].make(), lambda data: watch(data, 1))


@pytest.mark.parametrize("name", REFUSED_VIDEOS)
def test_a_video_of_another_format_is_refused(name: str) -> None:
    make, reason = REFUSED_VIDEOS[name]
    with pytest.raises(InvalidInput, match=reason):
        watch(make(), 1)


@pytest.mark.parametrize(
    ("make", "decode"),
    [
        (SOUNDS["mp3 without a header"].make, hear),
        (SOUNDS["mp3 with a large tag"].make, hear),
        (SOUNDS["wav with chunks before its samples"].make, hear),
        (lambda: b"".join(make() for make in JOINED["vorbis, opus and vorbis"]), hear),
        (lambda: b"".join(make() for make in JOINED["mp3 of two rates"]), hear),
        (VIDEOS["mp4 turned and mirrored"].make, lambda data: watch(data, 4)),
        (VIDEOS["mp4 in a pipe"].make, lambda data: watch(data, 4)),
        (VIDEOS["vp9"].make, lambda data: watch(data, 4)),
    ],
    ids=["mp3", "mp3 with a tag", "wav", "ogg files", "mp3 files", "mp4", "mp4 in a pipe", "webm"],
)
def test_damage_ends_in_an_answer_or_is_refused(make: Callable[[], bytes], decode: Callable[[bytes], object]) -> None:
    """Most of it in the beginning, where files say what they hold."""
    good, damage = make(), random.Random(11)
    for _ in range(80):
        bad = bytearray(good)
        for _ in range(damage.choice((1, 4, 30))):
            bad[damage.randrange(min(len(bad), damage.choice((64, 1_000, len(bad)))))] = damage.choice((0, 1, 127, 255))
        with suppress(InvalidInput):
            decode(bytes(bad))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3" + bytes(100),
        b"\x1a\x45\xdf\xa3\x81" + b"\0" * 9,
        b"\x01" * 1000,
        b"\xec\x80" * 4_000_000,
    ],
    ids=["nothing", "a name", "zeros", "a size of zeros", "long numbers", "elements without an end"],
)
def test_a_webm_header_that_says_nothing_is_not_read_for_ever(data: bytes) -> None:
    assert not webm_is_cut_off(data)
