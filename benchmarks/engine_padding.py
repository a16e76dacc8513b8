"""How much of a batch is padding, and how old does a request get, by how many batches a device has to choose from?

A simulation of the batching policy alone: a queue that never runs dry keeps so many batches held, texts have 5 to 200
words, a pass costs its padded tokens and a fixed part, and time is simulated. The greatest age is told in passes of a
full batch, as it is the policy's and not the model's. "oldest" fills batches in the order of arrival, for comparison.
"""

import argparse
import json
import random
from collections.abc import Callable

from models.scheduling.batching import Limits, Row, WaitingRows

TOKENS_A_WORD = 1.3
ROWS = 16
LIMITS = {"cpu": Limits(ROWS, 8192, 32), "cuda": Limits(ROWS, 8192, 4096)}  # what `limits_of` gives MiniLM

Policy = Callable[[WaitingRows, Limits], list[Row]]


def nearest(waiting: WaitingRows, limits: Limits) -> list[Row]:
    """The engine's own policy."""
    return waiting.seal({"m": limits})


def oldest(waiting: WaitingRows, limits: Limits) -> list[Row]:
    """The first that came, whatever their lengths."""
    rows = sorted(waiting, key=lambda row: row.arrived)[: limits.rows]
    waiting.remove(rows)
    return rows


def simulate(policy: Policy, limits: Limits, batches_held: int, batches: int, seed: int) -> dict[str, float]:
    """Padded over real tokens, and the greatest age."""
    chance = random.Random(seed)
    waiting, now, real, padded, ages = WaitingRows(), 0.0, 0, 0, list[float]()
    full = ROWS * 200 * TOKENS_A_WORD
    for _ in range(batches):
        while len(waiting) < batches_held * ROWS:
            waiting.add([Row(("m",), "", 2 + int(TOKENS_A_WORD * chance.randint(5, 200)), now)])
        rows = policy(waiting, limits)
        cost = len(rows) * max(row.length for row in rows)
        now += (cost + limits.pass_tokens) / full
        real += sum(row.length for row in rows)
        padded += cost
        ages += [now - row.arrived for row in rows]
    return {"padded_over_real": padded / real, "greatest_age_in_full_passes": max(ages)}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=2000)
    arguments = parser.parse_args()
    figures = {
        f"{policy.__name__} on {pipeline_task}, {held} batches held": simulate(
            policy, limits, held, arguments.batches, seed=3
        )
        for pipeline_task, limits in LIMITS.items()
        for policy in (nearest, oldest)
        for held in (2, 4, 8, 16)
    }
    print(json.dumps({"question": "padding and age", "simulated": figures}, indent=2))


if __name__ == "__main__":
    main()
