"""The same texts in a loop without any queue: batches of similar lengths, best threads; prints texts a second."""

import argparse
import json
import os
import sys
import time


def main() -> None:
    """Read texts as a JSON list from standard input; print {"texts_per_second": …}."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    os.environ.update(STOCK_BROKER_URL="memory://", STOCK_BACKEND="cache+memory://")
    os.environ.update(STOCK_MODEL=arguments.model, STOCK_THREADS=str(arguments.threads))
    from benchmarks.stock_worker import embed_now, load

    texts = sorted(json.load(sys.stdin), key=len)
    load()
    begun = time.perf_counter()
    for start in range(0, len(texts), arguments.batch):
        embed_now(texts[start : start + arguments.batch])
    print(json.dumps({"texts_per_second": len(texts) / (time.perf_counter() - begun)}))


if __name__ == "__main__":
    main()
