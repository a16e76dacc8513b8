#!/usr/bin/env bash
# tokenizers 0.23.3: WordPieceTrainer makes another vocabulary in each process from the same texts, with the same
# settings: pieces that are equally frequent are merged in an order that differs. There is no setting for a seed. A tiny
# model that is made on the spot, with fixed random weights, so answers otherwise in each process.
#
# Seen: five processes, five vocabularies of the same size.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet tokenizers==0.23.3
cd "$folder"
cat >probe.py <<'PY'
import hashlib

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

texts = ["the cat sleeps under the tree", "a dog runs over the river", "my parcel never arrived", "two birds sing"]
tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]"], show_progress=False)
tokenizer.train_from_iterator(texts, trainer)
pieces = sorted(tokenizer.get_vocab().items())
print(len(pieces), hashlib.sha256(repr(pieces).encode()).hexdigest()[:12])
PY
for _ in 1 2 3 4 5; do "$folder/env/bin/python" probe.py; done | tee seen
[ "$(cut -d' ' -f1 seen | sort -u | wc -l)" = 1 ]
[ "$(sort -u seen | wc -l)" -gt 1 ]
