#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): of recordings that were joined into one file, as `cat` and streaming servers join
# MP3, Ogg and FLAC, only the first is read. There is no error and no warning, and the number of frames is the first's.
# The formats allow it for MP3 and Ogg (chained streams), and players play such files to their end.
#
# Seen: as many frames for two copies as for one, in each of the three formats.
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

tone = 0.3 * numpy.sin(numpy.arange(32_000) * 0.05)
for kind in ("MP3", "OGG", "FLAC"):
    file = io.BytesIO()
    soundfile.write(file, tone, 16_000, format=kind)
    once = len(soundfile.read(io.BytesIO(file.getvalue()))[0])
    twice = len(soundfile.read(io.BytesIO(file.getvalue() * 2))[0])
    print(kind, once, twice)
    assert once == twice >= len(tone)
PY
"$folder/env/bin/python" probe.py
