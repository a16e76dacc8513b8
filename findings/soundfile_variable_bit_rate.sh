#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): of an MP3 of variable bit rate without a Xing header, as streaming encoders write
# it, soundfile reads a part without an error: the length is guessed from the bit rate of the first frame, and reading
# ends there. Where the beginning is loud, more frames are promised than there are.
#
# Seen: three seconds that begin quietly are read whole with the Xing header, and less than two thirds of them without.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet soundfile==0.14.0 numpy==2.4.0
cd "$folder"
cat >probe.py <<'PY'
import io

import numpy
import soundfile

loudness = numpy.repeat([0.0001, 0.9, 0.5], 44_100)
noise = numpy.random.default_rng(0).normal(0, 0.2, len(loudness)) * (loudness > 0.01)
sound = numpy.clip(numpy.sin(numpy.arange(len(loudness)) * 0.05) * loudness + noise, -1, 1)
file = io.BytesIO()
soundfile.write(file, sound, 44_100, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3)
whole = file.getvalue()
# The first frame holds the Xing header and no sound.
second = whole.index(whole[:2], 4)
frames = [len(soundfile.read(io.BytesIO(data))[0]) for data in (whole, whole[second:])]
print(*frames)
assert frames[0] == len(sound)
assert frames[1] < 2 / 3 * len(sound)
PY
"$folder/env/bin/python" probe.py
