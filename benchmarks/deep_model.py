"""A model that takes long, made on the spot: `python -m benchmarks.deep_model FOLDER SOURCE LAYERS`.

As MiniLM, whose tokenizer it has, with more layers and with random weights: its answers mean nothing, and cost what
those of a large model cost.
"""

import shutil
import sys
from pathlib import Path


def main() -> None:
    """Make it, in a process of its own, because torch is none of the benchmark's."""
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder, source, layers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    torch.manual_seed(7)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
    config = AutoConfig.from_pretrained(source, num_hidden_layers=layers)
    AutoModel.from_config(config).save_pretrained(folder)


if __name__ == "__main__":
    main()
