"""The Pulumi program run against mocks: every resource's inputs, and what the stack exports."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pulumi

from deploy.infra.settings import StackSettingError, read
from deploy.infra.settings import values as configured

ACCOUNT, REGION = "123456789012", "eu-central-1"
DIGEST = "sha256:" + "a" * 64
FLEET = {
    "ami_id": "ami-0123456789abcdef0",
    "worker_image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/celery-inference@{DIGEST}",
    "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "security_group_ids": ["sg-0123456789abcdef0"],
}
FUNCTION = {"image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/celery-inference-lambda@{DIGEST}"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One resource as the program declared it; keys as Pulumi's provider has them."""

    type: str
    name: str
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedStack:
    """All resources in the order of their registration, and the exports."""

    resources: list[Recorded]
    exports: dict[str, Any]

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """The inputs of all resources of a type, by name."""
        return {resource.name: resource.inputs for resource in self.resources if resource.type == type_}


class _Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.resources: list[Recorded] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        inputs = _whole_numbers(dict(args.inputs))
        if args.typ.startswith("aws:"):
            self.resources.append(Recorded(args.typ, args.name, inputs))
        return f"{args.name}-id", inputs | _outputs(args.typ, args.name, inputs)

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[Any, Any]:
        raise AssertionError(f"the program calls {args.token}; nothing is looked up")


def _outputs(type_: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    called = inputs.get("name") or inputs.get("bucket") or f"{name}-0a1b2c3"
    service = type_.split(":")[1].split("/", maxsplit=1)[0]
    arns = {
        "sqs": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{called}",
        "iam": f"arn:aws:iam::{ACCOUNT}:{type_.rsplit(':', 1)[1].lower()}/{called}",
        "s3": f"arn:aws:s3:::{called}",
        "dynamodb": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{called}",
        "lambda": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{called}",
        "autoscaling": f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:{called}",
    }
    if type_ == "aws:cloudwatch/logGroup:LogGroup":
        arns["cloudwatch"] = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{called}"
    return {
        "name": called,
        "bucket": called,
        "arn": arns.get(service, f"arn:aws:{service}:{REGION}:{ACCOUNT}:{called}"),
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{called}",
        "latestVersion": 1,
    }


def _whole_numbers(value: Any) -> Any:
    """Numbers arrive as floats."""
    if isinstance(value, dict):
        return {key: _whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def record(values: Mapping[str, Any]) -> RecordedStack:
    """Run the program with this configuration, in a process of its own: Pulumi keeps its state in globals.

    Raises StackSettingError, with nothing declared.
    """
    config = json.dumps({f"celery-inference:{key}": json.dumps(value) for key, value in values.items()})
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.recorded_stack"],
        env=os.environ | {"PULUMI_CONFIG": config},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if child.returncode == 2:
        raise StackSettingError(child.stderr.strip())
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout)
    return RecordedStack([Recorded(**resource) for resource in said["resources"]], said["exports"])


def _main() -> None:
    from deploy.infra.program import declare

    try:
        settings = read(configured())
    except StackSettingError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    asyncio.set_event_loop(asyncio.new_event_loop())  # without one, mocks can hang
    recorder = _Recorder()
    pulumi.runtime.set_mocks(recorder, project="celery-inference", stack="test", preview=False)
    exports: dict[str, Any] = {}

    @pulumi.runtime.test
    def run() -> pulumi.Output[Any]:
        return pulumi.Output.all(**declare(settings)).apply(exports.update)

    run()
    json.dump({"resources": [asdict(resource) for resource in recorder.resources], "exports": exports}, sys.stdout)


if __name__ == "__main__":
    _main()
