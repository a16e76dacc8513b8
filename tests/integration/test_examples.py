"""Every example, run as a reader runs it, against a real server and a worker with the real models."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import ROOT
from demo.stack import Stack
from tests.support.collector import Collector

EXAMPLES = ROOT / "examples"
SECONDS = 180
PUBLIC = {"celery_inference", "celery_inference.errors", "celery_inference.types"}
ID = r"[0-9a-f-]{36}"
# What each prints: a pattern for each line.
PRINTED = {
    "sending/send_one.py": [f"request {ID}", r"384 numbers, the first is -?0\.\d+"],
    "sending/send_many.py": [
        "list: 3 vectors",
        r"group: My parcel never arrived\. 384",
        r"group: I would like my money back\. 384",
        r"group: Thank you, all is well\. 384",
    ],
    "sending/pick_up_later.py": ["SUCCESS 384"],
    "sending/choose_a_lane.py": ["interactive: 384", "bulk: 384"],
    "sending/upload_once.py": [r"uploaded \d+ bytes", "best: (Egyptian|tiger) cat", r"five: \['.*cat'(, '.*'){4}\]"],
    "sending/deduplicate.py": ["one request: True", "one answer: True"],
    "sending/expire.py": [
        rf"no answer yet: .* no outcome of request {ID} within 0\.1 s; .*",
        "the request went on: 384",
        "REVOKED .*deadline.*",
    ],
    "sending/revoke.py": ["REVOKED .*"],
    "sending/chain_and_link.py": [
        r"chain: a vector of length 1\.0",
        "chain: the vector has 384 numbers",
        "link: the vector has 384 numbers",
        r"link: it has length 1\.0",
    ],
    "sending/chord.py": ["the mean of 3 vectors has 384 numbers"],
    "answers/text_generation.py": ["prompt: .*[A-Za-z].*", "chat: .*Paris.*"],
    "answers/image_classification.py": [r"\w+ → .+ [01]\.\d\d, .+ [01]\.\d\d"] * 3,
    "answers/provenance.py": ["model all-minilm-l6-v2 as float32", r"torch 2\..*", r"transformers 5\..*", ".*", ".*"],
    "answers/error_facts.py": [
        r"delay: inputs\[1\] is an empty text \(field inputs\[1\], index 1\)",
        r'delay: option "max_new_token" .*\(nearest max_new_tokens, allowed .*max_new_tokens.*\)',
        r'delay: model "all-minilm" .*\(nearest all-minilm-l6-v2\)',
        r"get: inputs\[1\] has .*\(field inputs\[1\], index 1, limit 20000\)",
    ],
    "answers/return_errors.py": [
        "384 numbers",
        "no vector",
        "no vector",
        "384 numbers",
        r"1: InvalidInput: inputs\[1\] is an empty text \(fault caller, limit None\)",
        r"2: InvalidInput: inputs\[2\] has 602 tokens; at most 512 are allowed \(fault caller, limit 512\)",
    ],
    "applications/beside_your_celery.py": ["ours: celery_inference 384", f"yours: shop shop {ID}"],
    "applications/django_app.py": ["in the transaction: PENDING", "after it: 384 numbers for review 1"],
    "applications/fastapi_app.py": ["empty: inputs is an empty text", "by its id: 384", "in one call: 384"],
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    """The server and the worker that examples/README.md starts."""
    settings = {
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES / "applications"), str(ROOT)]),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with Stack(tmp_path_factory.mktemp("examples"), **settings) as stack:
        stack.start_server()
        stack.start_worker("worker", "-I", "own_tasks")
        yield stack


def run(environment: dict[str, str], *command: str) -> str:
    """What a command prints, having ended well."""
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment, "PATH": scripts},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def assert_printed(said: str, patterns: list[str]) -> None:
    lines = said.splitlines()
    assert len(lines) == len(patterns), said
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line), said


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_its_feature_does(stack: Stack, name: str) -> None:
    assert_printed(run(stack.environment, f"examples/{name}"), PRINTED[name])


def test_a_trace_goes_on_in_the_worker(stack: Stack, collector: Collector) -> None:
    said = run(stack.environment, "examples/answers/trace_a_request.py")
    assert_printed(said, [r"\w{32} send inference", r"\w{32} answer a customer", "384 numbers"])
    (trace,) = {line.split()[0] for line in said.splitlines()[:2]}
    spans = collector.wait_for(
        lambda spans: any(span.trace == trace and span.name == "store result" for span in spans), "the worker's spans"
    )
    assert "batch all-minilm-l6-v2" in {span.name for span in spans if span.trace == trace}


def test_a_dead_letter_is_found_mended_and_sent_again(stack: Stack) -> None:
    letter = rf"{ID}\.\w{{8}} .* invalid-input .* PrinterOff: \(withheld\)"
    said = run(stack.environment, "examples/answers/dead_letters.py")
    assert_printed(said, ["FAILURE the printer is off", letter, "1 letter sent", "sent again: label of parcel 17"])


def test_code_says_where_the_queue_is(stack: Stack, tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(ROOT),
        "SHOP_QUEUE": stack.environment["CELERY_INFERENCE_BROKER_URL"],
        "SHOP_RESULTS": stack.environment["CELERY_INFERENCE_RESULT_BACKEND"],
        "SHOP_STATE": str(tmp_path),
    }
    said = run(environment, "examples/applications/configure_in_code.py")
    assert_printed(said, [f"queue: {environment['SHOP_QUEUE']}", "384 numbers"])


def test_an_application_is_tested_without_a_server() -> None:
    # Broker and result store are where nothing answers.
    nowhere = {"PYTHONPATH": str(ROOT), "CELERY_INFERENCE_BROKER_URL": "sqs://any:any@127.0.0.1:1//"}
    said = run(nowhere, "-m", "pytest", "-p", "no:cacheprovider", "examples/applications/test_without_a_server.py")
    assert "3 passed" in said


def test_every_example_is_run_and_listed_and_short_and_uses_the_public_face() -> None:
    others = {"answers/dead_letters.py", "answers/trace_a_request.py", "applications/configure_in_code.py"}
    others |= {"applications/own_tasks.py", "applications/test_without_a_server.py"}
    names = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.py")}
    assert names == {*PRINTED, *others}
    listed = re.findall(r"^- \[(.+)\]\((.+)\): .+$", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(path for _, path in listed) == sorted(names)
    assert all(Path(path).name == name for name, path in listed)
    for name in names:
        text = (EXAMPLES / name).read_text("utf-8")
        assert len(text.splitlines()) <= 50, name
        for node in ast.walk(ast.parse(text)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = [module for module in modules if module.split(".")[0] in ("celery_inference", "tasks", "models")]
            assert set(ours) <= PUBLIC, name
