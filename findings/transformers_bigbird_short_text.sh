#!/usr/bin/env bash
# transformers 5.23.0: BigBird answers a long text otherwise once it has seen a short one. Its forward pass goes over from
# block-sparse to full attention when a text is too short for blocks, with one warning, and keeps that for all texts
# after it. A service that warms its model up with a short example never uses the attention that the model was
# trained with.
#
# Seen: attention_type is "block_sparse", then "original_full" for good; the scores of the same long text differ.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0
"$folder/env/bin/python" -m pip install --quiet transformers==5.23.0
cd "$folder"
cat >probe.py <<'PY'
import torch
from transformers import BigBirdConfig, BigBirdForSequenceClassification

torch.manual_seed(20)
sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
config = BigBirdConfig(
    **sizes, block_size=4, num_random_blocks=1, max_position_embeddings=128, initializer_range=0.5, sep_token_id=2
)
model = BigBirdForSequenceClassification(config).eval()
long, short = torch.arange(64)[None] % 50, torch.arange(8)[None]
with torch.inference_mode():
    before, kind = model(long).logits, model.bert.attention_type
    model(short)
    after = model(long).logits
difference = float((before - after).abs().max())
print(kind, model.bert.attention_type, f"{difference:.3f}")
assert (kind, model.bert.attention_type) == ("block_sparse", "original_full")
assert difference > 0.01
PY
"$folder/env/bin/python" probe.py
