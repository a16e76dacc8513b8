"""Invocations by way of objects, against moto's canned runtime, which writes its answers to moto's S3."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from moto import mock_aws

from deploy.sagemaker.runtime import Asynchronous, ModelFault, RealTime, Refused, endpoint_of

BUCKET = "objects"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


def canned(kind: str, *results: dict[str, Any]) -> None:
    """What moto answers next."""
    body = json.dumps({"region": "us-east-1", "results": list(results)}).encode()
    url = f"http://motoapi.amazonaws.com/moto-api/static/sagemaker/{kind}"

    assert requests.post(url, data=body, timeout=5).status_code == 201


def objects(s3: Any) -> list[str]:
    found = [s3.list_objects_v2(Bucket=bucket["Name"]) for bucket in s3.list_buckets()["Buckets"]]
    return [each["Key"] for page in found for each in page.get("Contents", [])]


def test_an_answer_is_found_and_nothing_is_left(s3: Any) -> None:
    canned("async-endpoint-results", {"data": '[{"label": "a"}]'})
    endpoint = Asynchronous("there", f"s3://{BUCKET}/some/where", 1)
    assert endpoint.invoke(b'{"inputs": ["x"]}', "celery-inference; model=m", 30.0) == b'[{"label": "a"}]'
    assert objects(s3) == []


def test_a_failure_is_the_containers(s3: Any) -> None:
    canned("async-endpoint-results", {"is_failure": True, "data": "the worker\ndied"})
    with pytest.raises(ModelFault, match="the container failed: the worker died") as caught:
        Asynchronous("there", f"s3://{BUCKET}/x", 1).invoke(b"{}", "", 30.0)
    assert caught.value.status == 500
    assert objects(s3) == []


def test_an_answer_that_never_comes_is_waited_for_as_long_as_was_said(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Asynchronous("there", f"s3://{BUCKET}/x", 1)
    monkeypatch.setattr(endpoint, "_fetch", lambda _: None)
    with pytest.raises(ModelFault, match="in time") as caught:
        endpoint.invoke(b"{}", "", 0.2)
    assert caught.value.status == 0


def test_a_bucket_that_is_not_there_is_nobodys_input(s3: Any) -> None:
    with pytest.raises(Refused, match="NoSuchBucket"):
        Asynchronous("there", "s3://nowhere/x", 1).invoke(b"{}", "", 5.0)


def test_an_answer_in_real_time_is_its_body(s3: Any) -> None:
    canned(
        "endpoint-results",
        {"Body": "[1]", "ContentType": "application/json", "InvokedProductionVariant": "v", "CustomAttributes": ""},
    )
    assert RealTime("there", 1).invoke(b'{"inputs": ["x"]}', "celery-inference; model=m", 5.0) == b"[1]"


def test_without_a_region_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(Refused, match="region"):
        endpoint_of("there", None, 1)
