"""A device process whose generation takes its time: `program="tests.support.slow_generation"` of an engine.

Each step of continuous batching takes a hundredth of a second more. What a row asks for as `max_new_tokens` makes the
loop misbehave: CRAMPED runs out of memory beside others, BROKEN ends the loop, though in a pass of its own it runs.
"""

from __future__ import annotations

import time
from typing import Any

CRAMPED, BROKEN = 33, 34
SECONDS_A_STEP = 0.01


def main() -> None:
    """As models.device_process, which imports torch only now."""
    from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

    from models.device_process import __main__

    step = ContinuousBatchProcessor._generation_step

    def slow(self: Any, model: Any) -> None:
        time.sleep(SECONDS_A_STEP)
        asked = [state.max_new_tokens for state in self.scheduler.active_requests.values()]
        if CRAMPED in asked and len(asked) > 1:
            raise MemoryError("out of memory, as the test asked for")
        if BROKEN in asked:
            raise RuntimeError("the loop is broken, as the test asked for")
        step(self, model)

    ContinuousBatchProcessor._generation_step = slow
    __main__.main()


if __name__ == "__main__":
    main()
