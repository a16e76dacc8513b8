"""checkov's rules for what the Pulumi program declares, with the one fault each that it must catch."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloudformation import template
from tests.support.recorded_stack import FLEET, FUNCTION, RecordedStack, record

CHECKOV = Path(__file__).parents[3] / ".venv-checkov" / "bin" / "checkov"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d"
# Rules that are not for this stack, and why.
LEFT_OUT = {
    "CKV_AWS_18": "access logs of a bucket of inputs would name who asked for what",
    "CKV_AWS_21": "objects are written once, and their expiry is meant to be final",
    "CKV_AWS_115": "reserved concurrency throttles what is received already; the mapping bounds how many run",
    "CKV_AWS_116": "that queue is for asynchronous invocations; a mapping invokes, and its lane has dead letters",
    "CKV_AWS_117": "the function reaches AWS's public endpoints, and nothing inside a network of one's own",
    "CKV_AWS_158": "the log holds ids and no inputs, and a key for logs needs a policy of its own",
    "CKV_AWS_173": "the variables name a broker, a table and no secret",
}

pytestmark = pytest.mark.skipif(
    not CHECKOV.exists() and "CI" not in os.environ, reason="no checkov here: `make scanners` installs it"
)


@pytest.fixture(scope="module")
def stack() -> RecordedStack:
    """With a key of one's own: checkov takes SQS's own encryption for none."""
    return record({"fleet": FLEET, "lambda": FUNCTION, "queues": {"kms_key_arn": KEY}})


def findings(folder: Path, *stacks: RecordedStack) -> list[set[str]]:
    """The failed rules of each stack; checkov is started once, which takes most of its time."""
    for index, stack in enumerate(stacks):
        (folder / f"{index}.json").write_text(template(stack))
    command = [CHECKOV, "--directory", folder, "--framework", "cloudformation", "--output", "json", "--skip-download"]
    environment = os.environ | {"BC_API_KEY": "", "LOG_LEVEL": "ERROR"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    report = json.loads(ran.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 0
    failed = report["results"]["failed_checks"]
    return [
        {f"{check['check_id']} {check['check_name']}" for check in failed if check["file_path"] == f"/{index}.json"}
        for index, _ in enumerate(stacks)
    ]


def with_fault(stack: RecordedStack, type_: str, name: str, **inputs: Any) -> RecordedStack:
    found = [resource.type == type_ and resource.name == name for resource in stack.resources]
    assert any(found)
    return replace(
        stack,
        resources=[
            replace(resource, inputs=resource.inputs | inputs) if is_it else resource
            for resource, is_it in zip(stack.resources, found, strict=True)
        ],
    )


FAULTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "CKV_AWS_27": ("aws:sqs/queue:Queue", "inference", {"kmsMasterKeyId": None}),
    "CKV_AWS_28": ("aws:dynamodb/table:Table", "ml-inference-results", {"pointInTimeRecovery": {"enabled": False}}),
    "CKV_AWS_53": (
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "ml-inference-objects",
        {"blockPublicAcls": False},
    ),
    "CKV_AWS_111": (
        "aws:iam/policy:Policy",
        "ml-inference-worker",
        {
            "policy": json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": ["sqs:DeleteQueue"], "Resource": "*"}],
                }
            )
        },
    ),
    "CKV_AWS_79": (
        "aws:ec2/launchTemplate:LaunchTemplate",
        "ml-inference-host",
        {"metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "optional"}},
    ),
}


def test_checkov_has_nothing_to_say_but_what_is_left_out_and_finds_each_fault(
    stack: RecordedStack, tmp_path: Path
) -> None:
    faulty = [with_fault(stack, type_, name, **inputs) for type_, name, inputs in FAULTS.values()]
    ours, *theirs = findings(tmp_path, stack, *faulty)
    assert {text.split()[0] for text in ours} == set(LEFT_OUT)
    for rule, found in zip(FAULTS, theirs, strict=True):
        assert any(text.startswith(f"{rule} ") for text in found), (rule, found - ours)
