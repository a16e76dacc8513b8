"""A producer and a worker under the Pulumi program's own policies, enforced by moto: their actions, for moto 5.2
knows no resource of SQS; that resources are named is tests/unit/deploy's to say.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from moto.server import ThreadedMotoServer

from demo.processes import Process
from demo.stack import Stack
from deploy.infra.access import CLAIMS_PREFIX
from tests.support.moto_bridge import Bridge
from tests.support.recorded_stack import REGION, record

SECONDS = 90
BUCKET = "objects-of-the-test"
BATCHED = {"sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
PRODUCER = """
from celery.exceptions import TimeoutError
from celery_inference import delete_upload, infer, upload
delete_upload(upload(b"a picture"))
good = infer.delay("fragile", "A parcel is late.")
bad = infer.delay("fragile", "please divide by zero")
# Four bytes a character, and one token each run of them.
large = infer.delay("fragile", ["\U0001f600" * 3_000] * 32)
print(len(good.get(timeout=90)), len(large.get(timeout=90)))
try:
    bad.get(timeout=90)
except TimeoutError:
    raise
except Exception as error:
    print(type(error).__name__)
"""


@dataclass
class Account:
    """An AWS account on moto with the program's queues and policies; who has no policy may do nothing."""

    bridge: Bridge
    endpoint: str

    def user(self, name: str, policy: str) -> dict[str, str]:
        """The environment of a new user with one policy: queues and result store."""
        document = json.loads(policy)
        for statement in document["Statement"]:
            statement["Resource"] = "*"
            # AWS allows a batch by the single action; moto asks for one of the batch's own name.
            statement["Action"] += [f"{action}Batch" for action in statement["Action"] if action in BATCHED]
        iam = self.bridge.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        secret = quote(key["SecretAccessKey"], safe="")
        place = f"{key['AccessKeyId']}:{secret}@{self.endpoint.removeprefix('http://')}"
        return {
            "CELERY_INFERENCE_BROKER_URL": f"sqs://{place}//",
            "CELERY_INFERENCE_RESULT_BACKEND": f"dynamodb://{place}/ml-inference-results",
        }

    def enforce(self, after_calls: str = "0") -> None:
        """After so many calls each is checked against its caller's policy."""
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth",
            data=after_calls.encode(),
            method="POST",
            headers={"Content-Type": "text/plain"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200


@pytest.fixture(scope="module")
def policies() -> dict[str, str]:
    recorded = record({})
    found = recorded.of("aws:iam/policy:Policy")
    return {name.removeprefix("ml-inference-"): inputs["policy"] for name, inputs in found.items()}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bridge = Bridge(f"http://{host}:{port}", aws_access_key_id="any", aws_secret_access_key="any")
    bridge.make(record({}), only=("aws:sqs/queue:Queue", "aws:dynamodb/table:Table"))
    account = Account(bridge, f"http://{host}:{port}")
    yield account
    account.enforce("inf")  # moto keeps it, and the table, for the whole process
    account.bridge.client("dynamodb").delete_table(TableName="ml-inference-results")
    server.stop()


def s3_environment(user: dict[str, str], endpoint: str) -> dict[str, str]:
    """What finds the claim check's bucket, as that user."""
    key, secret = user["CELERY_INFERENCE_BROKER_URL"].removeprefix("sqs://").partition("@")[0].split(":")
    return {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": unquote(secret),
        "CELERY_INFERENCE_CLAIM_CHECK": f"s3://{BUCKET}/{CLAIMS_PREFIX}",
    }


@pytest.fixture
def stack(tmp_path: Path, catalogue_of_one: Path) -> Iterator[Stack]:
    with Stack(tmp_path / "stack", catalogue=catalogue_of_one, CELERY_INFERENCE_LEASE_SECONDS="5") as stack:
        yield stack


def letters(account: Account, url: str) -> list[dict[str, Any]]:
    answer = account.bridge.client("sqs").receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    found: list[dict[str, Any]] = answer.get("Messages", [])
    return found


def test_producer_and_worker_need_no_more_than_their_policies_and_a_poison_message_reaches_the_dlq(
    account: Account, stack: Stack, policies: dict[str, str]
) -> None:
    anything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": "*"}]}
    )
    producer, worker = account.user("producer", policies["producer"]), account.user("worker", policies["worker"])
    operator = account.user("operator", policies["operator"])
    everything = account.user("everything", anything)
    poison = account.bridge.client("sqs").get_queue_url(QueueName="inference")["QueueUrl"]
    account.bridge.client("sqs").send_message(QueueUrl=poison, MessageBody="\u2603 no message of Celery's")
    key, secret = everything["CELERY_INFERENCE_BROKER_URL"].removeprefix("sqs://").partition("@")[0].split(":")
    account.bridge.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    account.enforce()
    account.bridge = Bridge(account.endpoint, aws_access_key_id=key, aws_secret_access_key=unquote(secret))

    stack.environment |= worker | s3_environment(worker, account.endpoint)
    process = stack.start_worker()
    environment = stack.environment | producer | s3_environment(producer, account.endpoint)
    sender = Process("producer", [sys.executable, "-c", PRODUCER], stack.folder / "producer.log", environment)
    try:
        assert sender.wait(SECONDS) == 0, sender.text()
    finally:
        sender.stop()
    assert sender.text().split() == ["384", "32", "DeviceCrash"]

    url = account.bridge.client("sqs").get_queue_url(QueueName="inference-dlq")["QueueUrl"]
    until = time.monotonic() + SECONDS
    seen: set[str] = set()
    while len(seen) < 2:
        assert time.monotonic() < until, process.text()
        seen |= {
            letter["MessageAttributes"]["celery-inference.reason"]["StringValue"] for letter in letters(account, url)
        }
    assert {json.loads(reason)["error_type"] for reason in seen} == {"DeviceCrash", "UndecodableMessage"}
    while account.bridge.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents"):
        assert time.monotonic() < until, "the claimed payload is still there"
    listed: list[dict[str, Any]] = []
    while len(listed) < 2:  # the worker notes its letters a moment after it has sent them
        assert time.monotonic() < until, process.text()
        asked = [sys.executable, "-m", "celery_inference", "dlq", "list", "--json"]
        environment = os.environ | stack.environment | operator
        answer = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=SECONDS)
        assert answer.returncode == 0, answer.stderr
        listed = json.loads(answer.stdout)["groups"]
    assert {group["cause"] for group in listed} == {"crash", "unreadable"}
    assert "AccessDenied" not in process.text() + sender.text()


def test_a_policy_that_lacks_an_action_is_noticed(account: Account, stack: Stack, policies: dict[str, str]) -> None:
    poor = json.loads(policies["worker"])
    for statement in poor["Statement"]:
        statement["Action"] = [action for action in statement["Action"] if action != "sqs:ReceiveMessage"]
    stack.environment |= account.user("poor", json.dumps(poor))
    account.enforce()
    process = stack.start("worker", "celery", "-A", "tasks", "worker")
    process.wait_until(lambda text: "ReceiveMessage" in text and "inference" in text, SECONDS)
