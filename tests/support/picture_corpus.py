"""Pictures and videos as tools write them, made on the spot by Pillow and ffmpeg; see `tests.support.media_corpus`.

Each picture shows `PICTURE`, and each video a square that wanders over it.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.media_corpus import ffmpeg

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FRAMES = 62, 44, 10
ORIENTATION = 0x0112  # EXIF's tag


def _picture() -> Pixels:
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    ramps = (across * 255 // (WIDTH - 1), down * 255 // (HEIGHT - 1), (across + down) * 255 // (WIDTH + HEIGHT - 2))
    pixels = np.stack(ramps, axis=2).astype(np.uint8)
    pixels[:12, :24] = (240, 30, 30)  # a corner, by which one sees how it is turned
    return pixels


PICTURE = Image.fromarray(_picture())


@dataclass(frozen=True, slots=True)
class PictureFile:
    """`colours`: whether the picture in it is still nearly `PICTURE`."""

    make: Callable[[], bytes]
    colours: bool = True


def saved(picture: Image.Image, form: str, **how: Any) -> bytes:
    """A file that Pillow writes."""
    data = io.BytesIO()
    picture.save(data, form, **how)
    return data.getvalue()


def exif(orientation: int) -> Image.Exif:
    """What a camera says that was held so."""
    said = Image.Exif()
    said[ORIENTATION] = orientation
    return said


# How the picture lies in a file, so that it is upright when the file is shown by its orientation.
_LYING = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _held(orientation: int, form: str, **how: Any) -> bytes:
    lying = _LYING[orientation]
    picture = PICTURE if lying is None else PICTURE.transpose(lying)
    return saved(picture, form, exif=exif(orientation), **how)


def _alpha() -> Image.Image:
    picture = PICTURE.copy()
    picture.putalpha(Image.linear_gradient("L").resize(PICTURE.size))
    return picture


def _by_ffmpeg(arguments: str) -> bytes:
    return ffmpeg("-f", "ppm_pipe", "-i", "pipe:0", *arguments.split(), "pipe:1", given=saved(PICTURE, "PPM"))


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _interlaced_png() -> bytes:
    """Adam7, which neither Pillow nor ffmpeg writes."""
    pixels = _picture()
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, across in passes for row in pixels[top::down, left::across]
    )
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _deep(factor: int) -> Image.Image:
    return Image.fromarray(np.asarray(PICTURE.convert("L")).astype(np.uint16) * factor)


_GREY = partial(PictureFile, colours=False)
_BY_PILLOW: dict[str, PictureFile] = {
    "jpeg": PictureFile(lambda: saved(PICTURE, "JPEG")),
    "jpeg progressive": PictureFile(lambda: saved(PICTURE, "JPEG", progressive=True, optimize=True)),
    "jpeg 4:4:4": PictureFile(lambda: saved(PICTURE, "JPEG", subsampling=0, quality=95)),
    "jpeg 4:2:2": PictureFile(lambda: saved(PICTURE, "JPEG", subsampling=1)),
    "jpeg grey": _GREY(lambda: saved(PICTURE.convert("L"), "JPEG")),
    "jpeg cmyk": PictureFile(lambda: saved(PICTURE.convert("CMYK"), "JPEG")),
    "jpeg rgb": PictureFile(lambda: saved(PICTURE, "JPEG", keep_rgb=True)),
    "jpeg with restarts": PictureFile(lambda: saved(PICTURE, "JPEG", restart_marker_blocks=2)),
    "jpeg with a profile and a comment": PictureFile(
        lambda: saved(PICTURE, "JPEG", icc_profile=bytes(70_000), comment=b"x" * 60_000)
    ),
    "jpeg with an unknown orientation": PictureFile(lambda: saved(PICTURE, "JPEG", exif=exif(9))),
    "jpeg of several pictures": PictureFile(
        lambda: saved(PICTURE, "MPO", save_all=True, append_images=[PICTURE.resize((20, 15))])
    ),
    "jpeg of a motion photo": PictureFile(lambda: saved(PICTURE, "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(500)),
    "png": PictureFile(lambda: saved(PICTURE, "PNG")),
    "png 1 bit": _GREY(lambda: saved(PICTURE.convert("1"), "PNG")),
    "png grey": _GREY(lambda: saved(PICTURE.convert("L"), "PNG")),
    "png grey with alpha": _GREY(lambda: saved(PICTURE.convert("LA"), "PNG")),
    "png grey with a transparent shade": _GREY(lambda: saved(PICTURE.convert("L"), "PNG", transparency=3)),
    "png with alpha": PictureFile(lambda: saved(_alpha(), "PNG")),
    "png with a transparent colour": PictureFile(lambda: saved(PICTURE, "PNG", transparency=(240, 30, 30))),
    "png palette": _GREY(lambda: saved(PICTURE.quantize(64), "PNG")),
    "png palette of 4 bits": _GREY(lambda: saved(PICTURE.quantize(16), "PNG", bits=4)),
    "png palette of 2 bits": _GREY(lambda: saved(PICTURE.quantize(4), "PNG", bits=2)),
    "png palette with a transparent colour": _GREY(lambda: saved(PICTURE.quantize(16), "PNG", transparency=3)),
    "png palette with alpha": _GREY(lambda: saved(PICTURE.quantize(16), "PNG", transparency=bytes(range(16)))),
    "png interlaced": PictureFile(_interlaced_png),
    "png turned": PictureFile(lambda: _held(6, "PNG")),
    "webp": PictureFile(lambda: saved(PICTURE, "WEBP")),
    "webp lossless": PictureFile(lambda: saved(PICTURE, "WEBP", lossless=True)),
    "webp with alpha": PictureFile(lambda: saved(_alpha(), "WEBP", exact=True)),
    "webp lossless with alpha": PictureFile(lambda: saved(_alpha(), "WEBP", lossless=True, exact=True)),
    "webp with a profile": PictureFile(lambda: saved(PICTURE, "WEBP", icc_profile=bytes(300))),
    "webp turned": PictureFile(lambda: _held(6, "WEBP")),
    **{f"jpeg of orientation {n}": PictureFile(partial(_held, n, "JPEG")) for n in _LYING},
}
_BY_FFMPEG = {
    "jpeg": "-c:v mjpeg -q:v 2 -f image2pipe",
    "jpeg 4:4:4": "-c:v mjpeg -q:v 2 -pix_fmt yuvj444p -huffman optimal -f image2pipe",
    "webp": "-c:v libwebp -quality 90 -f webp",
    "webp lossless": "-c:v libwebp -lossless 1 -f webp",
    "webp of one frame": "-c:v libwebp_anim -quality 90 -f webp",
    "apng of one frame": "-c:v apng -f apng",
    "png with mixed filters": "-c:v png -pred mixed -f image2pipe",
    **{f"png {layout}": f"-c:v png -pix_fmt {layout} -f image2pipe" for layout in ("rgba", "rgb48be", "rgba64be")},
}
_GREY_BY_FFMPEG = {
    f"png {layout}": f"-c:v png -pix_fmt {layout} -f image2pipe"
    for layout in ("gray", "ya8", "ya16be", "pal8", "monob")
}
# Grey of 16 bits, of which `transformers.image_utils.load_image` makes white: all of it, and what 12 bits fill.
DEEP_PICTURES: dict[str, Callable[[], bytes]] = {
    "png of 16 bits by Pillow": lambda: saved(_deep(257), "PNG"),
    "png of 16 bits that hold 12": lambda: saved(_deep(16), "PNG"),
    "png of 16 bits by ffmpeg": lambda: _by_ffmpeg("-c:v png -pix_fmt gray16be -f image2pipe"),
}
PICTURES: dict[str, PictureFile] = {
    **{f"Pillow {name}": file for name, file in _BY_PILLOW.items()},
    **{f"ffmpeg {name}": PictureFile(partial(_by_ffmpeg, words)) for name, words in _BY_FFMPEG.items()},
    **{f"ffmpeg {name}": _GREY(partial(_by_ffmpeg, words)) for name, words in _GREY_BY_FFMPEG.items()},
}
_NO_PICTURE = "is none of PNG, JPEG and WebP"
REFUSED_PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    **{
        form: (partial(saved, PICTURE, form), _NO_PICTURE)
        for form in ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "JPEG2000", "AVIF", "PDF", "EPS")
    },
    "jpeg, lossless": (partial(_by_ffmpeg, "-c:v ljpeg -f image2pipe"), "no image that can be decoded"),
    "jpeg-ls": (partial(_by_ffmpeg, "-c:v jpegls -f image2pipe"), "no image that can be decoded"),
    "apng of two frames": (
        lambda: saved(PICTURE, "PNG", save_all=True, append_images=[PICTURE.rotate(180)]),
        "is animated",
    ),
    "webp of two frames": (
        lambda: saved(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(180)]),
        "is animated",
    ),
}


@cache
def _frames() -> bytes:
    frames = []
    for number in range(FRAMES):
        frame = _picture()
        frame[24:36, 4 * number : 4 * number + 12] = (250, 250, 40)
        frames.append(frame.tobytes())
    return b"".join(frames)


def _film(arguments: str, end: str, then: str = "") -> bytes:
    """A video that ffmpeg encodes, and packs once more with what stands in `then` before its input."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = f"{folder}/first.{end}", f"{folder}/second.{end}"
        raw = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r 10 -i pipe:0"
        words = [first if word == "OUT" else word for word in arguments.split()]
        printed = ffmpeg(*raw.split(), *words, given=_frames())
        if then:
            ffmpeg(*then.split(), "-i", first, "-c", "copy", second)
        return printed or Path(second if then else first).read_bytes()


@dataclass(frozen=True, slots=True)
class VideoFile:
    """`size`: height and width as it is to be shown. `endless`: it does not say how long it is."""

    make: Callable[[], bytes]
    frames: int = FRAMES
    endless: bool = False
    size: tuple[int, int] = (HEIGHT, WIDTH)


_H264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
_VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"
_SOUND = "-f lavfi -i sine=duration=1"
_ENCODED: dict[str, tuple[str, str]] = {
    "h264": ("mp4", f"{_H264} OUT"),
    "h264 with frames out of order": ("mp4", "-c:v libx264 -preset medium -bf 3 -pix_fmt yuv420p OUT"),
    "h264 4:4:4": ("mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv444p OUT"),
    "h264 of odd sizes": ("mp4", "-vf crop=61:43:0:0:exact=1 -c:v libx264 -preset ultrafast -pix_fmt yuv444p OUT"),
    "h264 of 10 bits": ("mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le OUT"),
    "h264 in all of its range": ("mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuvj420p OUT"),
    "h264, its index first": ("mp4", f"{_H264} -movflags +faststart OUT"),
    "h264 in mov": ("mov", f"{_H264} OUT"),
    "h264 in mkv": ("mkv", f"{_H264} OUT"),
    "h264 with sound": ("mp4", f"{_SOUND} {_H264} -c:a aac OUT"),
    "h265": ("mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1 OUT"),
    "mpeg4": ("mp4", "-c:v mpeg4 -q:v 2 OUT"),
    "av1": ("mp4", "-c:v libsvtav1 -preset 12 -crf 20 OUT"),
    "vp8": ("webm", "-c:v libvpx -deadline realtime -b:v 1M OUT"),
    "vp9": ("webm", f"{_VP9} -b:v 1M OUT"),
    "vp9 of odd sizes": ("webm", f"-vf crop=61:43:0:0:exact=1 {_VP9} -pix_fmt yuv444p OUT"),
    "vp9 with alpha": ("webm", f"{_VP9} -pix_fmt yuva420p OUT"),
    "vp9 with sound": ("webm", f"{_SOUND} {_VP9} -c:a libopus OUT"),
    "av1 in webm": ("webm", "-c:v libsvtav1 -preset 12 -crf 20 OUT"),
}


def _videos() -> Iterator[tuple[str, VideoFile]]:
    for name, (end, arguments) in _ENCODED.items():
        size = (HEIGHT - 1, WIDTH - 1) if "crop" in arguments else (HEIGHT, WIDTH)
        yield name, VideoFile(partial(_film, arguments, end), size=size)
    for degrees in (90, 180, 270):
        then = f"-display_rotation {degrees}"
        size = (HEIGHT, WIDTH) if degrees == 180 else (WIDTH, HEIGHT)
        yield f"mp4 turned by {degrees}", VideoFile(partial(_film, f"{_H264} OUT", "mp4", then), size=size)
    for then in ("-display_hflip", "-display_vflip"):
        yield f"mp4 {then}", VideoFile(partial(_film, f"{_H264} OUT", "mp4", then))
    turned = partial(_film, f"{_H264} OUT", "mp4", "-display_rotation 90 -display_hflip")
    yield "mp4 turned and mirrored", VideoFile(turned, size=(WIDTH, HEIGHT))
    yield "webm turned", VideoFile(partial(_film, f"{_VP9} OUT", "webm", "-display_rotation 90"), size=(WIDTH, HEIGHT))
    uneven = f"-vf select='not(eq(mod(n\\,3)\\,1))' -fps_mode vfr {_H264} OUT"
    yield "mp4 with frames at uneven times", VideoFile(partial(_film, uneven, "mp4"), frames=7)
    in_pieces = f"{_H264} -g 4 -movflags frag_keyframe+empty_moov -f mp4 pipe:1"
    yield "mp4 in a pipe", VideoFile(partial(_film, in_pieces, "mp4"), endless=True)
    yield "webm in a pipe", VideoFile(partial(_film, f"{_VP9} -f webm pipe:1", "webm"), endless=True)


VIDEOS = dict(_videos())
_NO_VIDEO = "is none of MP4 and WebM"
REFUSED_VIDEOS: dict[str, tuple[Callable[[], bytes], str]] = {
    "avi": (partial(_film, "-c:v mpeg4 OUT", "avi"), _NO_VIDEO),
    "flv": (partial(_film, f"{_H264} OUT", "flv"), _NO_VIDEO),
    "mpeg-ts": (partial(_film, f"{_H264} OUT", "ts"), _NO_VIDEO),
    "ogg": (partial(_film, "-c:v libtheora OUT", "ogv"), _NO_VIDEO),
    "gif": (partial(_film, "OUT", "gif"), _NO_VIDEO),
    "avif": (partial(saved, PICTURE, "AVIF"), _NO_VIDEO),
    "sound in mp4": (partial(_film, f"{_SOUND} -map 1:a -c:a aac OUT", "mp4"), "has no moving picture"),
    "sound with a cover": (
        partial(
            _film, f"{_SOUND} -map 0:v -map 1:a -c:a aac -c:v mjpeg -frames:v 1 -disposition:v attached_pic OUT", "m4a"
        ),
        "has no moving picture",
    ),
    "sound in webm": (partial(_film, f"{_SOUND} -map 1:a -c:a libopus OUT", "webm"), "has no moving picture"),
}
