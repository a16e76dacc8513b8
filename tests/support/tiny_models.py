"""Tiny random models, made on the spot: ordinary Hugging Face folders of some hundred kilobytes.

Their answers mean nothing, and are the same on every run. Torch is imported when a model is made, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support import tiny_media_models

WORDS = """
the a cat dog bird fish tree house river mountain sky rain sun moon star road boat train letter book
word story song old young small large quick slow quiet loud red green blue white black runs sleeps
sings reads writes waits finds loses opens closes and or but with without under over near far today
never often always
""".split()  # noqa: SIM905 - sixty quoted words would be harder to read
TEXTS = [" ".join(WORDS[(7 * i + 3 * j) % len(WORDS)] for j in range(1 + (5 * i) % 40)) for i in range(200)]
CHAT_TEMPLATE = (
    "{% for m in messages %}[BOS]{{ m['role'] }}: {{ m['content'] }}[EOS]{% endfor %}"
    "{% if add_generation_prompt %}[BOS]assistant: {% endif %}"
)


def make(task: str, folder: Path, **config: Any) -> Path:
    """A model for the pipeline task, with what belongs to it, saved in `folder`. `config` goes to its configuration."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(20)
    if task in tiny_media_models.MAKERS:
        tiny_media_models.MAKERS[task](folder, **config)
        return folder
    if task in ("text-generation", "decision"):
        return _generator(folder, **{"chat": task == "decision", **config})
    return _encoder(task, folder, **config)


PIECES = 238


def tokenizer(folder: Path, *, chat: bool = False) -> Any:
    """A WordPiece tokenizer of these words, saved in `folder`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]"]
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    corpus = [*TEXTS, "user assistant system : this example is photo sound of . { } ?", "A B Yes No"]
    words = {word for text in corpus for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    letters = {letter for word in words for letter in word}
    # Not trained: the trainer orders pieces of equal frequency by chance, and the models' answers would be other ones
    # in each process.
    ends = {f"##{word[at:]}" for word in words for at in range(1, len(word))} | {f"##{letter}" for letter in letters}
    known = [*special, *sorted(letters | words), *sorted(ends, key=lambda end: (len(end), end))][:PIECES]
    raw = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(known)}, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizer, splitter
    raw.add_special_tokens(special)
    if not chat:
        raw.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", raw.token_to_id("[CLS]")), ("[SEP]", raw.token_to_id("[SEP]"))],
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        model_max_length=128,
    )
    if chat:
        made.chat_template = CHAT_TEMPLATE
    made.save_pretrained(folder)
    return made


def _encoder(task: str, folder: Path, **config: Any) -> Path:
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertModel,
    )

    classes: dict[str, tuple[Any, list[str]]] = {
        "feature-extraction": (BertModel, []),
        "fill-mask": (BertForMaskedLM, []),
        "text-classification": (BertForSequenceClassification, ["negative", "neutral", "positive"]),
        "zero-shot-classification": (BertForSequenceClassification, ["contradiction", "neutral", "entailment"]),
        "token-classification": (BertForTokenClassification, ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]),
    }
    model_class, labels = classes[task]
    if labels:
        config = {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: i for i, label in enumerate(labels)},
            **config,
        }
    words = tokenizer(folder)
    settings = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=words.pad_token_id,
        initializer_range=0.5,
        **config,
    )
    model_class(settings).save_pretrained(folder)
    return folder


def _generator(folder: Path, *, chat: bool = False, pads: bool = True, **config: Any) -> Path:
    """`pads`: the tokenizer has a token of its own to pad with; else the one that ends has to do."""
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer(folder, chat=chat)
    if not pads:
        words.pad_token = None
        words.save_pretrained(folder)
    settings = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        initializer_range=0.5,
        **config,
    )
    model = LlamaForCausalLM(settings)
    if not pads:
        model.lm_head.weight.data[words.eos_token_id] *= 3  # it is often the likeliest, or nearly
    model.save_pretrained(folder)
    return folder
