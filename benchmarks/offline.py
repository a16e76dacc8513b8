"""The same texts in a loop without any queue: batches of similar lengths; prints texts a second.

With a batch of 1 it keeps their order, and prints the seconds of each.
"""

import argparse
import json
import os
import sys
import time


def main() -> None:
    """Read texts as a JSON list from standard input; print {"texts_per_second": …, "seconds": […]} as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    os.environ.update(STOCK_BROKER_URL="memory://", STOCK_BACKEND="cache+memory://")
    os.environ.update(STOCK_MODEL=arguments.model, STOCK_THREADS=str(arguments.threads))
    from benchmarks.stock_worker import embed_now, load

    texts = json.load(sys.stdin)
    if arguments.batch > 1:
        texts.sort(key=len)
    load()
    seconds = []
    for start in range(0, len(texts), arguments.batch):
        begun = time.perf_counter()
        embed_now(texts[start : start + arguments.batch])
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"texts_per_second": len(texts) / sum(seconds), "seconds": seconds}))


if __name__ == "__main__":
    main()
