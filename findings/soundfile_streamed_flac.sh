#!/usr/bin/env bash
# soundfile 0.14.0: a FLAC file whose STREAMINFO has no number of samples, which the format allows and programs that
# write into a pipe leave so, has 2**63 - 1 frames. `read(n)` of all that it holds, or of more, raises;
# what was decoded until then is lost. libsndfile itself decodes the file to its end: it is soundfile's look for the
# place behind what was asked for that fails. ffmpeg and the flac program read such files.
#
# Seen: frames 9223372036854775807; read(n) of half of it gives the samples of the same file with its number; read(n)
# of all 16,000 raises LibsndfileError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet soundfile==0.14.0 numpy==2.4.6
cd "$folder"
cat >probe.py <<'PY'
import io

import numpy as np
import soundfile

tone = np.sin(np.arange(16_000) * 0.1) * 0.5
known = io.BytesIO()
soundfile.write(known, tone, 16_000, format="FLAC")
data = bytearray(known.getvalue())
facts = int.from_bytes(data[18:26], "big")  # rate, channels, depth, and 36 bits of samples
assert facts & (1 << 36) - 1 == 16_000
data[18:26] = (facts >> 36 << 36).to_bytes(8, "big")


def streamed():
    return soundfile.SoundFile(io.BytesIO(bytes(data)))


print("frames", streamed().frames)
assert streamed().frames == 2**63 - 1
whole, _ = soundfile.read(io.BytesIO(known.getvalue()))
assert np.array_equal(streamed().read(8_000), whole[:8_000])
try:
    streamed().read(16_000)
except soundfile.LibsndfileError as error:
    print("all that there is:", type(error).__name__, error)
else:
    raise SystemExit("it was read")
PY
env/bin/python probe.py
