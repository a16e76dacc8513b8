"""Files that callers send are decoded by us, within limits; a hostile one is the caller's fault and harms nothing."""

import base64
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from celery_inference.inputs.media_formats import as_base64, format_of
from celery_inference.specs.errors import InvalidInput
from models.media import audio, images, video

MAX_PIXELS = 1_000_000
MAX_SECONDS = 10.0
WANTED = video.Wanted(count=4, every=1, max_seconds=MAX_SECONDS, max_pixels=MAX_PIXELS)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), **how: Any) -> bytes:
    data = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(data, form, **how)
    return data.getvalue()


def sound(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, form: str = "WAV", **how: Any) -> bytes:
    data = io.BytesIO()
    samples = np.sin(np.arange(int(seconds * rate)) * 0.1)[:, None].repeat(channels, 1) * 0.5
    soundfile.write(data, samples, rate, format=form, **how)
    return data.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG whose header says so, with whatever follows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def see(data: bytes) -> Image.Image:
    return images.decode("inputs", b64(data), MAX_PIXELS)


def hear(data: bytes) -> audio.Samples:
    return audio.decode("inputs", b64(data), 16_000, MAX_SECONDS)


def watch(data: bytes) -> video.Frames:
    return video.decode("inputs", b64(data), WANTED)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_is_decoded_to_rgb(form: str) -> None:
    assert (see(picture(form)).size, see(picture(form)).mode) == ((40, 30), "RGB")


def test_an_image_stands_upright_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert see(picture("JPEG", exif=exif)).size == (30, 40)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (png(1, 10**9), "1,000,000,000 pixels; at most 1,000,000"),
        (png(10**9, 1), "1,000,000,000 pixels"),
        (png(2**31 - 1, 2**31 - 1), "pixels"),
        (png(1, 500_000), "is 1 x 500000 pixels; one side may be 100 times the other"),
        (png(0, 5), "no image that can be decoded"),
        (png(10, 10), "no image that can be decoded"),
        (png(10, 10, chunk(b"IDAT", zlib.compress(bytes(5)))), "no image that can be decoded"),
        (png(10, 10, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000)))), "no image that can be decoded"),
        (picture()[:60], "no image that can be decoded"),
        (picture("JPEG")[:200], "no image that can be decoded"),
        (picture("WEBP")[:100], "no image that can be decoded"),
        (b"\x89PNG\r\n\x1a\n" + b"A" * 500, "no image that can be decoded"),
        (b"", "no image that can be decoded"),
        (b"GIF89a" + bytes(50), "no image that can be decoded"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_a_hostile_image_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        see(data)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked() -> None:
    data = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(data, "PNG")
    assert len(data.getvalue()) < 100_000
    with pytest.raises(InvalidInput, match="400,000,000 pixels"):
        see(data.getvalue())


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_an_animation_is_refused(form: str) -> None:
    frames = [Image.effect_noise((8, 8), shade) for shade in (10, 50, 90)]
    data = io.BytesIO()
    frames[0].save(data, form, save_all=True, append_images=frames[1:])
    with pytest.raises(InvalidInput, match="is animated"):
        see(data.getvalue())


def ten_thousand_frames() -> bytes:
    frame = b"\x21\xf9\x04\x00\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"
    return b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" + frame * 10_000 + b"\x3b"


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:1/"/></svg>',
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"II*\x00" + bytes(40),
        b"BM" + bytes(60),
        b"%PDF-1.7 ",
        ten_thousand_frames(),
    ],
    ids=["svg", "playlist", "concatenation", "tiff", "bmp", "pdf", "gif"],
)
@pytest.mark.parametrize("medium", ["image", "audio", "video"])
def test_a_format_that_is_not_taken_is_refused_by_its_first_bytes(medium: str, data: bytes) -> None:
    with pytest.raises(InvalidInput, match="inputs is none of"):
        as_base64(medium, "inputs", data, 10**6)


def test_a_file_that_is_two_is_read_as_the_one_it_begins_as() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x", "x")
    both = picture() + archive.getvalue() + b"<script>"
    assert format_of("image", both) == "PNG"
    assert see(both).size == (40, 30)
    assert format_of("audio", both) is None


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_sound_is_mixed_to_one_channel_at_the_models_rate(form: str) -> None:
    samples = hear(sound(0.5, 44_100, 2, form))
    assert samples.dtype == np.float32
    assert abs(len(samples) - 8000) <= (2000 if form == "MP3" else 1)  # an MP3 has frames, and silence around
    assert 0.3 < np.abs(samples[2000:6000]).max() < 0.6


@pytest.mark.parametrize(("given", "wanted"), [(44_100, 16_000), (8_000, 16_000), (48_000, 22_050), (16_001, 16_000)])
def test_resampling_keeps_the_sound(given: int, wanted: int) -> None:
    def tone(rate: int) -> audio.Samples:
        return np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)

    middle = slice(wanted // 10, -wanted // 10)
    np.testing.assert_allclose(audio.resample(tone(given), given, wanted)[middle], tone(wanted)[middle], atol=2e-3)


def wav(rate: int = 16_000, channels: int = 1, samples: bytes = bytes(3200), **lies: int) -> bytes:
    """A WAV file whose header says what it likes."""
    bits = lies.get("bits", 16)
    form = struct.pack("<HHIIHH", lies.get("code", 1), channels, rate, rate * channels * 2, channels * bits // 8, bits)
    data = b"data" + struct.pack("<I", lies.get("data", len(samples))) + samples
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + data
    return b"RIFF" + struct.pack("<I", lies.get("riff", len(body))) + body


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (sound(11), "has 11.0 seconds; at most 10.0 are allowed"),
        (sound(7200, 4000, form="FLAC"), "has 7,200.0 seconds"),
        (wav(samples=b""), "has no samples"),
        (wav(rate=1), "has 1 samples a second"),
        (wav(rate=2**31 - 1), "samples a second"),
        (wav(rate=0), "sound that can be decoded|samples a second"),
        (wav(channels=200, samples=bytes(400 * 10)), "200 channels; at most 8"),
        (wav(channels=0), "no sound that can be decoded"),
        (wav(code=7777), "no sound that can be decoded"),
        (wav(riff=10**9, data=10**9), "is cut off|seconds"),
        (wav(code=3, bits=32, samples=struct.pack("<f", float("nan")) * 800), "samples that are no numbers"),
        (sound()[:5000], "is cut off"),
        (sound(form="FLAC")[:2000], "is cut off|no sound"),
        (sound(form="OGG")[:60], "no sound that can be decoded|no samples"),
        (b"fLaC" + bytes(100), "no sound that can be decoded"),
        (b"ID3" + b"A" * 1000, "no sound that can be decoded"),
        (b"RIFF\0\0\0\0WAVE", "no sound that can be decoded"),
        (b"", "no sound that can be decoded"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_hostile_sound_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        hear(data)


def test_a_header_that_promises_little_gets_little() -> None:
    assert len(hear(wav(data=1600, samples=bytes(10_000_000)))) == 800


def test_a_stream_that_does_not_say_its_length_is_heard() -> None:
    assert len(hear(wav(riff=0xFFFFFFFF, data=0xFFFFFFFF, samples=bytes(32_000)))) == 16_000


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x7FFFFFFF, 0x7FFFFFFF),
        (0x7FFFF024, 0x7FFFF000),
        (2_000_000_036, 2_000_000_000),
        (0x80000024, 0x80000000),
        (0, 0),
    ],
)
def test_sound_that_was_written_into_a_pipe_is_heard_to_its_end(riff: int, data: int) -> None:
    samples = (np.sin(np.arange(16_000) * 0.1) * 20_000).astype("<i2").tobytes()
    np.testing.assert_array_equal(hear(wav(riff=riff, data=data, samples=samples)), hear(wav(samples=samples)))
    with pytest.raises(InvalidInput, match=r"has 11\.0 seconds; at most 10\.0"):
        hear(wav(riff=riff, data=data, samples=bytes(11 * 32_000)))


def streamed_flac(seconds: float) -> bytes:
    """A FLAC file whose STREAMINFO has no number of samples, which are the last 36 bits of these eight bytes."""
    data = bytearray(sound(seconds, form="FLAC"))
    known = int.from_bytes(data[18:26], "big")
    data[18:26] = (known >> 36 << 36).to_bytes(8, "big")
    return bytes(data)


def test_a_flac_file_that_was_streamed_is_heard_to_its_end() -> None:
    np.testing.assert_array_equal(hear(streamed_flac(0.5)), hear(sound(0.5, form="FLAC")))
    with pytest.raises(InvalidInput, match="has more than 10"):
        hear(streamed_flac(11))


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 16_000, 44_100])
def test_mp3_of_every_rate_is_taken(rate: int) -> None:
    data = sound(rate=rate, form="MP3")
    assert format_of("audio", data) == "MP3"
    assert len(hear(as_bytes("audio", data))) == pytest.approx(8_000, abs=2_500)  # an encoder adds silence


def as_bytes(medium: str, value: bytes | str) -> bytes:
    return base64.b64decode(as_base64(medium, "inputs", value, 1_000_000))


@pytest.mark.parametrize(
    "written",
    [
        lambda data: base64.encodebytes(data).decode(),
        lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n "),
        lambda data: "data:image/png;base64," + b64(data),
        lambda data: "DATA:image/svg+xml;charset=utf-8;name=a%20b.png;base64," + base64.encodebytes(data).decode(),
        lambda data: "data:;base64," + b64(data),
    ],
    ids=[
        "lines",
        "lines of mail",
        "data URL",
        "data URL of another type, in lines",
        "data URL of no type",
    ],
)
def test_base64_is_taken_as_tools_write_it(written: Callable[[bytes], str]) -> None:
    data = picture()
    assert as_bytes("image", written(data)) == data
    assert as_base64("image", "inputs", written(data), len(data)) == b64(data)  # what is sent has none of it
    with pytest.raises(InvalidInput, match=f"{len(data):,} bytes; at most {len(data) - 1:,}"):
        as_base64("image", "inputs", written(data), len(data) - 1)


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png,%89PNG",
        "data:image/png;base64",
        "data:image/png;base64;" + b64(picture()),
        "data:" + "x" * 400 + ";base64," + b64(picture()),
        base64.urlsafe_b64encode(b"\x89PNG\r\n\x1a\n\xff\xfb\xff\xef\xbe").decode(),
        b64(picture()).rstrip("=")[:-1],
        "\u00e4" + b64(picture()),
        "https://example.com/a.png",
    ],
    ids=["no base64", "nothing", "no comma", "a long label", "for URLs", "cut off", "not ASCII", "an address"],
)
def test_a_text_that_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="or their base64; addresses and paths are not opened"):
        as_base64("image", "inputs", text, 1_000_000)


def test_of_a_jpeg_with_more_pictures_it_is_the_first() -> None:
    data = io.BytesIO()
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (20, 15), "blue")
    first.save(data, "MPO", save_all=True, append_images=[second])
    red, _, blue = see(as_bytes("image", data.getvalue())).getpixel((20, 15))
    assert red > 200 > 50 > blue


def test_grey_of_16_bits_is_scaled() -> None:
    deep = np.linspace(0, 65_535, 40 * 30).astype(np.uint16).reshape(30, 40)
    data = io.BytesIO()
    Image.fromarray(deep).save(data, "PNG")
    seen = np.asarray(see(data.getvalue()))
    np.testing.assert_array_equal(seen[..., 0], deep.astype(np.uint32) * 255 // 65_535)
    assert (seen == seen[..., :1]).all()


def test_a_video_stands_upright_as_its_camera_says() -> None:
    """The track header's matrix turns what was filmed by a quarter: its left edge is shown on top."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        pixels = np.zeros((32, 64, 3), dtype=np.uint8)
        pixels[:, :32] = 255
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    one = 0x10000
    identity, turned = (
        struct.pack(">9i", *matrix)
        for matrix in ((one, 0, 0, 0, one, 0, 0, 0, 0x40000000), (0, one, 0, -one, 0, 0, 0, 0, 0x40000000))
    )
    before, between, after = data.getvalue().split(identity)  # by the movie's matrix and the track's
    frames = watch(before + identity + between + turned + after)
    assert frames.shape == (4, 64, 32, 3)
    assert frames[0, :28].min() > 200
    assert frames[0, 36:].max() < 50


def test_a_video_is_decoded_to_the_frames_that_are_wanted() -> None:
    frames = watch(base64.b64decode(video.sample(frames=8, size=64)))
    assert (frames.shape, frames.dtype) == ((4, 64, 64, 3), np.uint8)
    assert len(watch(base64.b64decode(video.sample(frames=2)))) == 4


@pytest.mark.parametrize("keep", [0, 100, 800], ids=lambda keep: f"{keep} bytes")
def test_a_cut_off_video_is_refused(keep: int) -> None:
    with pytest.raises(InvalidInput, match=r"no video that can be decoded|has no moving picture|is cut off"):
        watch(base64.b64decode(video.sample())[:keep])


def test_a_video_of_too_many_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"4,096 pixels; at most 4,000"):
        video.decode("inputs", video.sample(size=64), video.Wanted(4, 1, MAX_SECONDS, 4000))


def test_a_long_video_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"1\.0 seconds; at most 0\.5"):
        video.decode("inputs", video.sample(frames=8), video.Wanted(4, 1, 0.5, MAX_PIXELS))


@pytest.mark.parametrize(
    ("decode", "good"),
    [
        (see, picture("PNG")),
        (see, picture("JPEG")),
        (see, picture("WEBP")),
        (hear, sound()),
        (hear, sound(form="FLAC")),
        (hear, sound(form="OGG")),
        (hear, sound(form="MP3")),
        (watch, base64.b64decode(video.sample())),
    ],
    ids=["png", "jpeg", "webp", "wav", "flac", "ogg", "mp3", "mp4"],
)
def test_a_damaged_file_is_decoded_or_refused(decode: Callable[[bytes], Any], good: bytes) -> None:
    """Whatever bytes are changed, nothing but InvalidInput comes out."""
    damage = random.Random(5)
    refused = 0
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(damage.choice((1, 4, 30))):
            bad[damage.randrange(min(len(bad), damage.choice((64, 10**9))))] = damage.randrange(256)
        try:
            decode(bytes(bad))
        except InvalidInput:
            refused += 1
    assert refused > 0


def test_results_carry_their_media_with_sizes() -> None:
    image = images.encode(Image.new("L", (6, 4)))
    assert (image["width"], image["height"], see(base64.b64decode(image["png"])).size) == (6, 4, (6, 4))
    heard = audio.encode(np.sin(np.arange(8000) / 9), 16_000)
    assert (heard["sampling_rate"], heard["seconds"], len(hear(base64.b64decode(heard["wav"])))) == (16_000, 0.5, 8000)
