"""Does letting requests join a generation that runs beat batches that wait for their longest row?

The same prompts arrive at the same staggered times at one model: in padded batches of what has arrived, longest row
first out last, and through transformers' continuous batching. Rows differ in how much they write. Interleaved rounds;
prints tokens a second from the first arrival to the last answer, and the ages of the answers.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, ContinuousBatchingConfig, GenerationConfig
from transformers.utils import logging

from benchmarks.machine import machine
from demo.processes import ROOT

MODEL = ROOT / "var" / "models" / "smollm2-135m-instruct"
ROWS = 8


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request: when it comes, its ids, and how many tokens it is to get."""

    at: float
    ids: list[int]
    tokens: int


def prompts(tokenizer: Any, count: int, every_seconds: float) -> list[Prompt]:
    """Prompts of 5 to 60 words, to be answered by 8 to 64 tokens."""
    chance = random.Random(5)
    words = (ROOT / "demo" / "texts.txt").read_text(encoding="utf-8").split()
    at, made = 0.0, []
    for _ in range(count):
        text = " ".join(chance.choices(words, k=chance.randint(5, 60)))
        made.append(Prompt(at, tokenizer(text)["input_ids"], chance.choice((8, 16, 32, 64))))
        at += chance.expovariate(1 / every_seconds) if every_seconds else 0.0
    return made


def padded(model: Any, pad: int, waiting: Sequence[Prompt]) -> list[float]:
    """Batches of what has arrived; each row gets what it asked for, and the batch lasts as long as its longest."""
    begun, left, ages = time.perf_counter(), list(waiting), list[float]()
    while left:
        now = time.perf_counter() - begun
        batch = [prompt for prompt in left if prompt.at <= now][:ROWS]
        if not batch:
            time.sleep(left[0].at - now)
            continue
        left = [prompt for prompt in left if prompt not in batch]
        longest = max(len(prompt.ids) for prompt in batch)
        ids = torch.tensor([[pad] * (longest - len(prompt.ids)) + prompt.ids for prompt in batch])
        mask = torch.tensor([[0] * (longest - len(one.ids)) + [1] * len(one.ids) for one in batch])
        most = max(prompt.tokens for prompt in batch)
        with torch.inference_mode():
            model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=most, min_new_tokens=most, pad_token_id=pad
            )
        ages += [time.perf_counter() - begun - prompt.at for prompt in batch]
    return ages


def continuous(manager: Any, waiting: Sequence[Prompt]) -> list[float]:
    """Each prompt joins when it arrives."""
    begun, ages, of = time.perf_counter(), list[float](), dict[str, Prompt]()

    def take(timeout: float) -> None:
        answer = manager.get_result(timeout=timeout)
        if answer is not None and answer.is_finished():
            if answer.error:
                raise RuntimeError(answer.error)
            ages.append(time.perf_counter() - begun - of[answer.request_id].at)

    for prompt in waiting:
        while (now := time.perf_counter() - begun) < prompt.at:
            take(min(0.02, prompt.at - now))
        of[manager.add_request(prompt.ids, max_new_tokens=prompt.tokens, eos_token_id=-1)] = prompt
    while len(ages) < len(waiting):
        take(0.1)
        if not manager.is_running():
            raise RuntimeError("the loop of continuous batching has ended")
    return ages


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--every-seconds", type=float, nargs="+", default=[0.0, 0.5])
    arguments = parser.parse_args()
    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL).eval()
    other = AutoModelForCausalLM.from_pretrained(MODEL, attn_implementation="sdpa").eval()
    config = ContinuousBatchingConfig(num_blocks=64, max_batch_tokens=512, max_requests_per_batch=ROWS)
    manager = other.init_continuous_batching(GenerationConfig(do_sample=False, eos_token_id=-1), config)
    manager.start()
    pad = tokenizer.pad_token_id or tokenizer.eos_token_id
    rounds: dict[str, list[dict[str, float]]] = {}
    for number in range(arguments.rounds + 1):
        for every in arguments.every_seconds:
            sent = prompts(tokenizer, arguments.requests, every)
            for name in ("padded", "continuous"):
                begun = time.perf_counter()
                ages = padded(model, pad, sent) if name == "padded" else continuous(manager, sent)
                seconds = time.perf_counter() - begun
                figures = {
                    "tokens_per_second": sum(prompt.tokens for prompt in sent) / seconds,
                    "age_median_seconds": statistics.median(ages),
                    "age_greatest_seconds": max(ages),
                }
                if number:  # the first warms both
                    rounds.setdefault(f"{name}, one each {every:g} s", []).append(figures)
    manager.stop(block=True)
    medians = {
        name: {key: statistics.median(one[key] for one in figures) for key in figures[0]}
        for name, figures in rounds.items()
    }
    print(json.dumps({"question": "padded batches or continuous", "machine": machine(), "medians": medians}, indent=2))


if __name__ == "__main__":
    main()
