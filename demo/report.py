"""What the demo prints: samples with their results, figures, and what became of the bad requests."""

import textwrap
from collections.abc import Sequence
from itertools import combinations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from celery_inference.sqs.dead_letters.letter import DeadLetter
from demo.work import Sent


def samples(console: Console, sent: Sequence[Sent]) -> None:
    """Nearest sentences, generated texts and image labels."""
    texts = [request for request in sent if request.kind == "feature_extraction"]
    table = Table(title="Nearest sentences, by cosine of their embeddings", show_header=False, title_justify="left")
    for near, one, other in nearest(texts, 3):
        table.add_row(f"{near:.2f}", f"{one.label}\n{other.label}")
    console.print(table)

    table = Table(title="Generated", show_header=False, title_justify="left")
    for request in [r for r in sent if r.kind == "text_generation"][:3]:
        table.add_row(request.label, " ".join(request.result.result[0]["generated_text"].split()))
    console.print(table)

    table = Table(title="Image labels", show_header=False, title_justify="left")
    seen: dict[str, Sent] = {}
    for request in sent:
        if request.kind == "image_classification":
            seen.setdefault(request.label, request)
    for name, request in sorted(seen.items()):
        best = request.result.result[:2]
        table.add_row(name, ", ".join(f"{label['label']} {label['score']:.2f}" for label in best))
    console.print(table)


def nearest(texts: Sequence[Sent], count: int) -> list[tuple[float, Sent, Sent]]:
    """The pairs of texts whose embeddings, which are normalized, have the largest dot products."""
    pairs = (
        (sum(a * b for a, b in zip(one.result.result, other.result.result, strict=True)), one, other)
        for one, other in combinations(texts, 2)
    )
    return sorted(pairs, key=lambda pair: -pair[0])[:count]


def figures(console: Console, sent: Sequence[Sent], seconds: float, calls: dict[str, int]) -> None:
    """Latency by kind, throughput, and what the requests cost in SQS calls."""
    table = Table(title="Figures of this run", title_justify="left")
    for column in ("kind", "requests", "p50 s", "p99 s"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    for kind in sorted({request.kind for request in sent}):
        latencies = [request.latency_seconds for request in sent if request.kind == kind]
        table.add_row(kind, str(len(latencies)), *(f"{percentile(latencies, p):.2f}" for p in (50, 99)))
    console.print(table)
    total = sum(calls.values())
    each = ", ".join(f"{count} {operation}" for operation, count in sorted(calls.items()))
    console.print(
        f"{len(sent)} requests in {seconds:.1f} s: {len(sent) / seconds:.0f} requests/s, "
        f"{total / len(sent):.2f} SQS calls a request ({each})"
    )
    console.print(
        "[dim]All were sent at once, so latency is mostly the wait in the queue; two kinds share the CPU "
        "with text generation.[/dim]"
    )


def alone(console: Console, seconds: Sequence[float]) -> None:
    """What one request takes with nothing else in flight."""
    console.print(
        f"One request alone: {percentile(seconds, 50) * 1000:.0f} ms from delay() to its result "
        f"(median of {len(seconds)} embeddings, sent one after the other)"
    )


def own_request(console: Console, environment: str, python: str) -> None:
    """How to send a request from another terminal to what the demo started."""
    console.print("Send a request of your own, from another terminal in this folder:\n")
    # Soft wrapping, so that the commands can be copied as they stand.
    for line in (
        f". {environment}",
        f"{python} -c 'from celery_inference import feature_extraction as embed; "
        'print(embed.delay("Any text.").get(timeout=30)[:3])\'',
    ):
        console.print(Text("  " + line, style="bold"), soft_wrap=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * int(percent) // 100) - 1))]


def outcome(console: Console, what: str, state: str, error: object) -> None:
    """One line: what a request ended with."""
    # Text, not markup: the words of an error are the sender's, who may have put brackets in.
    console.print(Text.assemble((what, "bold"), ": ", (state, "red" if state == "FAILURE" else "green"), f"  {error}"))


def dead_letters(console: Console, name: str, letters: Sequence[DeadLetter]) -> None:
    """The content of a dead-letter queue."""
    table = Table(title=f"Dead letters in {name}", title_justify="left")
    for column in ("task", "error", "attempts", "reason"):
        table.add_column(column)
    for letter in letters:
        reason = letter.reason
        table.add_row(
            (reason.task_id if reason else None) or "?",
            reason.error_type if reason else "",
            str(reason.attempts) if reason else "",
            Text(textwrap.shorten(reason.message, 200)) if reason else "",
        )
    console.print(table)
