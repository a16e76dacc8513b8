"""What a worker refuses before it loads models: each is one sentence and status 1, and what may pass is waited for."""

import errno
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from celery import Celery

from celery_inference.celery_settings import BACKENDS
from celery_inference.redaction import without_secret
from celery_inference.results.protocol import StoreUnavailable
from celery_inference.sqs.claim_check.store_url import split_store_url
from celery_inference.sqs.errors import ClaimStoreError, OptionError, SqsError, classify
from tasks.worker.pool import EnginePool
from tasks.worker.startup import places
from tasks.worker.startup.lasting_faults import is_lasting, unknown_region
from tasks.worker.startup.options import refuse_options, refuse_time_limits
from tasks.worker.startup.places import check_claim_store, check_state_folder, claim_name
from tasks.worker.startup.result_store import check_result_store


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def answered(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("cause", "lasting"),
    [
        (answered("AccessDenied"), True),
        (answered("NoSuchBucket"), True),
        (answered("InvalidClientTokenId"), True),
        (answered("ServiceUnavailable"), False),
        (answered("ThrottlingException"), False),
        (NoCredentialsError(), True),
        (EndpointConnectionError(endpoint_url="http://sqs"), False),
        (ReadTimeoutError(endpoint_url="http://sqs"), False),
        (sqlite_error(sqlite3.SQLITE_CANTOPEN), True),
        (sqlite_error(sqlite3.SQLITE_READONLY_DIRECTORY), True),
        (sqlite_error(sqlite3.SQLITE_NOTADB), True),
        (sqlite_error(sqlite3.SQLITE_BUSY), False),
        (sqlite_error(sqlite3.SQLITE_FULL), False),
        (PermissionError(errno.EACCES, "no"), True),
        (OSError(errno.ENOSPC, "full"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), False),
    ],
)
def test_what_is_there_until_somebody_acts_is_told_from_what_may_pass(cause: Exception, lasting: bool) -> None:
    assert is_lasting(raised(StoreUnavailable("no"), cause)) == lasting
    assert is_lasting(raised(ClaimStoreError("store", "no"), cause)) == lasting


def test_a_region_that_aws_does_not_have_is_named_where_its_host_is_not_found() -> None:
    def lost(url: str) -> SqsError:
        cause = EndpointConnectionError(endpoint_url=url)
        error = classify(cause, "GetQueueUrl", "inference")
        error.__cause__ = cause
        return error

    sentence = unknown_region(lost("https://sqs.eu-nowhere-7.amazonaws.com"), "eu-nowhere-7")
    assert sentence is not None
    assert sentence.startswith("there is no AWS region 'eu-nowhere-7'")
    assert unknown_region(lost("https://sqs.eu-central-1.amazonaws.com"), "eu-central-1") is None
    assert unknown_region(lost("http://127.0.0.1:1"), None) is None


class Conf(dict[str, Any]):
    """Settings, as attributes and as items."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pool", object),
        ("autoscale", "4,1"),
        ("time_limit", 3.0),
        ("soft_time_limit", 3.0),
        ("max_tasks_per_child", 3),
        ("pool_start_method", "spawn"),
    ],
)
def test_options_of_other_pools_are_refused(option: str, value: Any) -> None:
    refuse_options(Conf(), {"pool": EnginePool, "concurrency": 4, "max_memory_per_child": 9})
    with pytest.raises(SystemExit, match=f"celery-inference: --{option.replace('_', '-')} has no effect"):
        refuse_options(Conf(), {"pool": EnginePool} | {option: value})


@pytest.mark.parametrize("setting", ["task_time_limit", "task_soft_time_limit", "worker_max_tasks_per_child"])
def test_settings_of_other_pools_are_refused(setting: str) -> None:
    with pytest.raises(SystemExit, match=f"the setting {setting} = 3 has no effect"):
        refuse_options(Conf({setting: 3}), {})


def test_a_task_whose_time_limit_nothing_would_keep_is_refused() -> None:
    app = Celery("limits", set_as_current=False)

    def work() -> None:
        """Of a deployment."""

    app.task(work, name="free")
    refuse_time_limits(app)
    app.task(work, name="bounded", time_limit=2)
    with pytest.raises(SystemExit, match="the task bounded has time_limit=2"):
        refuse_time_limits(app)


def test_a_state_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    check_state_folder(Conf(inference_state=str(tmp_path / "new")))
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"CELERY_INFERENCE_STATE is '.*/file/state', which cannot be written"):
        check_state_folder(Conf(inference_state=str(tmp_path / "file" / "state")))


def claims(url: str | None) -> Conf:
    return Conf(broker_transport_options={"claim_check": url})


def test_a_claim_store_is_written_to_once_and_left_as_it_was(tmp_path: Path) -> None:
    check_claim_store(claims(None))
    check_claim_store(claims((tmp_path / "claims").as_uri()))
    assert list((tmp_path / "claims").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"CELERY_INFERENCE_CLAIM_CHECK is .*cannot be written: NotADirectoryError"):
        check_claim_store(claims((tmp_path / "file" / "claims").as_uri()))


@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied"])
def test_a_bucket_that_cannot_be_written_ends_the_start_and_one_that_is_away_does_not(
    code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    error = [raised(ClaimStoreError("s3://bucket/claims", code), answered(code))]

    def put(key: str, payload: bytes) -> None:
        raise error[0]

    monkeypatch.setattr(places, "store_at", lambda url: SimpleNamespace(put=put))
    with pytest.raises(SystemExit, match=f"'s3://bucket/claims', which cannot be written: {code}"):
        check_claim_store(claims("s3://bucket/claims"))
    error[0] = raised(ClaimStoreError("s3://bucket/claims", "503"), answered("SlowDown"))
    check_claim_store(claims("s3://bucket/claims"))
    assert "the worker starts, and tries it again" in caplog.text


def test_two_workers_of_one_name_at_the_same_queues_do_not_both_start_on_a_machine(tmp_path: Path) -> None:
    conf = Conf(inference_state=str(tmp_path), broker_url="sqs://", broker_transport_options={})
    claim_name(conf, "celery@here")
    claim_name(conf, "second@here")
    claim_name(Conf(conf, broker_url="sqs://other@host:1//"), "celery@here")
    with pytest.raises(SystemExit, match="a worker called celery@here runs on this machine"):
        claim_name(conf, "celery@here")


def app_with(backend: str) -> Celery:
    app = Celery("stores", set_as_current=False, broker="sqs://local:local@127.0.0.1:1//")
    app.loader.override_backends = BACKENDS
    app.conf.result_backend = backend
    return app


def test_a_store_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    check_result_store(app_with(f"sqlite:///{tmp_path / 'results.sqlite'}"))
    (tmp_path / "noise.sqlite").write_bytes(b"this is no database, and long enough to be read as one" * 40)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "noise.sqlite", tmp_path / "file" / "results.sqlite"):
        with pytest.raises(SystemExit, match=f"the result store sqlite:///{place} cannot be used: "):
            check_result_store(app_with(f"sqlite:///{place}"))


def test_a_store_whose_package_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "celery_inference.results.redis.table", None)
    monkeypatch.delitem(__import__("sys").modules, "celery_inference.results.redis.backend", raising=False)
    with pytest.raises(SystemExit, match=r"the result backend redis://\*\*\*@host cannot be used: .*redis-py"):
        check_result_store(app_with("redis://:secret@host"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqs://", "sqs://"),
        ("sqs://key:secret@host:1//", "sqs://***@host:1//"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://host/0?password=secret", "redis://host/0?***"),
        ("redis://host/0?password=sec@ret", "redis://***"),
        ("s3://AKIA:secret@bucket/claims", "s3://***@bucket/claims"),
        ("s3://AKIA:secret", "***AKIA"),
        ("AKIA:secret@host", "***@host"),
        ("file:///folder", "file:///folder"),
    ],
)
def test_no_part_of_a_url_s_credentials_is_shown(url: str, shown: str) -> None:
    assert "sec" not in without_secret(url)
    assert without_secret(url).replace("s3://***@AKIA", "***AKIA") == shown


@pytest.mark.parametrize("url", ["s3://AKIA:secret@bucket/claims", "s3://key@bucket/x", "file://key:secret@/claims"])
def test_a_claim_store_takes_no_credentials_and_does_not_repeat_them(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        split_store_url(url)
    assert "secret" not in str(caught.value)
    assert "AKIA" not in str(caught.value)
