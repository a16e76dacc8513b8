"""Stock Celery on stock kombu's SQS transport: a prefork child loads the model and takes one text at a time.

What `main_job.py` compares with. Its settings are read from the environment, as its threads are.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

app = Celery("benchmarks.stock_worker", broker=os.environ["STOCK_BROKER_URL"], backend=os.environ["STOCK_BACKEND"])
app.conf.update(
    override_backends={"sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend"},
    task_default_queue="stock",
    broker_transport_options={"region": "us-east-1", "visibility_timeout": 3600, "wait_time_seconds": 10},
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    result_extended=True,
    task_acks_late=True,
    # With fewer, stock kombu is idle for about a second whenever no slot is free.
    worker_prefetch_multiplier=int(os.environ.get("STOCK_PREFETCH", "64")),
    worker_proc_alive_timeout=120.0,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
)
app.loader.override_backends = app.conf.override_backends
loaded: dict[str, Any] = {}


@worker_process_init.connect
def load(**_: Any) -> None:
    """Load the model in the child, where the fork is over."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(int(os.environ["STOCK_THREADS"]))
    folder = os.environ["STOCK_MODEL"]
    loaded["tokenizer"] = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    loaded["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    loaded["model"] = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(loaded["device"])
    embed_now(["warm up"])


def embed_now(texts: list[str]) -> list[list[float]]:
    """Mean-pooled, normalized embeddings of the texts, as one batch."""
    import torch

    encoded = loaded["tokenizer"](texts, padding=True, truncation=True, max_length=512, return_tensors="pt").to(
        loaded["device"]
    )
    with torch.inference_mode():
        hidden = loaded["model"](**encoded).last_hidden_state
    mask = encoded["attention_mask"].unsqueeze(-1)
    pooled = (hidden * mask).sum(1) / mask.sum(1)
    rows: list[list[float]] = torch.nn.functional.normalize(pooled, dim=1).tolist()
    return rows


@app.task(name="stock.embed")
def embed(text: str) -> list[float]:
    """One text, one message, one forward pass."""
    return embed_now([text])[0]
