#!/usr/bin/env bash
# av 18.1.0 (PyAV): `VideoFrame.rotation` loses the mirror of a display matrix. A video that a front camera marked as
# mirrored from left to right says a rotation of half a turn, which is another picture; one mirrored from top to bottom
# says none. The whole matrix is in the frame's side data.
#
# Seen: rotation of -180 degrees for the horizontal mirror, 0 for the vertical one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet av==18.1.0 imageio-ffmpeg==0.8.1
cd "$folder"
cat >probe.py <<'PY'
import subprocess

import av
import imageio_ffmpeg

ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
source = ["-f", "lavfi", "-i", "testsrc=duration=1:size=64x48:rate=5", "-pix_fmt", "yuv420p", "plain.mp4"]
subprocess.run([*ffmpeg, *source], check=True)
seen = {}
for mirror in ("hflip", "vflip"):
    name = f"{mirror}.mp4"
    subprocess.run([*ffmpeg, f"-display_{mirror}", "-i", "plain.mp4", "-c", "copy", name], check=True)
    with av.open(name) as video:
        seen[mirror] = next(video.decode(video=0)).rotation
print(seen)
assert abs(seen["hflip"]) == 180
assert seen["vflip"] == 0
PY
"$folder/env/bin/python" probe.py
