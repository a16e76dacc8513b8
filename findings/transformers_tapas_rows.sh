#!/usr/bin/env bash
# transformers 5.23.0: the pipeline "table-question-answering" drops the last rows of a table that is too long for a TAPAS
# model, without a warning, and answers from the rest. Its documentation says that nothing is cut unless truncation is
# asked for; the pipeline itself sets "drop_rows_to_fit" where the caller says nothing. truncation=False raises.
#
# Seen: of 300 rows fewer than 300 reach the model when nothing is said, and "Too many rows" with truncation=False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0
"$folder/env/bin/python" -m pip install --quiet transformers==5.23.0 pandas
cd "$folder"
cat >probe.py <<'PY'
from pathlib import Path

import torch
from transformers import TapasConfig, TapasForQuestionAnswering, TapasTokenizer, pipeline

torch.manual_seed(20)
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]", "how", "many", "n"]
Path("vocab.txt").write_text("\n".join(words))
tokenizer = TapasTokenizer("vocab.txt", model_max_length=128)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
model = TapasForQuestionAnswering(TapasConfig(vocab_size=len(words), max_position_embeddings=256, **sizes)).eval()
ask = pipeline("table-question-answering", model=model, tokenizer=tokenizer)
table = {"n": ["many"] * 300}
(question,) = ask._args_parser(table=table, query="how many")
seen = ask.preprocess(question)
rows = int(seen["token_type_ids"][0, :, 2].max())
print("rows that reach the model:", rows, "of 300; answer:", ask(table=table, query="how many")["answer"] is not None)
assert 0 < rows < 300
try:
    ask(table=table, query="how many", truncation=False)
except ValueError as error:
    print(error)
    assert "Too many rows" in str(error)
else:
    raise SystemExit("no error with truncation=False")
PY
"$folder/env/bin/python" probe.py
