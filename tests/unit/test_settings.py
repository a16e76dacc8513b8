"""Settings are read once, checked, and hold nothing that Celery does not know."""

import os
import re
import runpy
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.app.defaults import NAMESPACES, flatten
from celery.exceptions import ImproperlyConfigured

from celery_inference import settings
from celery_inference.celery_settings import celery_settings
from celery_inference.errors import SettingError
from celery_inference.settings import near_misses, read

ROOT = Path(__file__).resolve().parents[2]
OURS = "inference_"
PREFIX = "CELERY_INFERENCE_"


def celery_with(**environment: str) -> dict[str, Any]:
    return celery_settings(read({f"{PREFIX}{name}": value for name, value in environment.items()}))


def test_an_empty_environment_means_one_machine_with_the_embedded_server(tmp_path: Path) -> None:
    given = celery_settings(read({"XDG_STATE_HOME": str(tmp_path)}))
    assert given["broker_url"] == "sqs://local:local@127.0.0.1:9324//"
    assert given["result_backend"] == f"sqlite:///{tmp_path}/celery-inference/results.sqlite"
    assert given["broker_transport_options"]["create_missing_lanes"] is True
    assert given["broker_transport_options"]["claim_check"] == (tmp_path / "celery-inference" / "claims").as_uri()


def test_everything_lives_in_the_state_folder_that_is_named(tmp_path: Path) -> None:
    given = read({f"{PREFIX}STATE": str(tmp_path)})
    assert given.state == str(tmp_path)
    assert given.result_backend == f"sqlite:///{tmp_path}/results.sqlite"
    assert given.claim_check == (tmp_path / "claims").as_uri()


def test_aws_is_one_variable_away_and_its_queues_are_not_created_by_themselves() -> None:
    given = celery_with(BROKER_URL="sqs://")
    assert given["broker_url"] == "sqs://"
    assert given["broker_transport_options"]["create_missing_lanes"] is False
    assert given["broker_transport_options"]["claim_check"] is None
    with_claims = celery_with(BROKER_URL="sqs://", CLAIM_CHECK="s3://bucket/claims")
    assert with_claims["broker_transport_options"]["claim_check"] == "s3://bucket/claims"


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("BROKER_URL", "redis://localhost", "sqs://"),
        ("BROKER_URL", "sqs://key:secret@host:notaport//", "sqs://"),
        ("BROKER_URL", "sqs://key:secret@host//", "sqs://"),
        ("RESULT_BACKEND", "nonsense", "result backend"),
        ("RESULT_BACKEND", "sqlite:results.sqlite", "sqlite"),
        ("RESULT_BACKEND", "rpc://", "result backend"),
        ("RESULT_BACKEND", "dynamodb://eu-central-1", "a table is written"),
        ("RESULT_BACKEND", "dynamodb://key:secret@host:1/table?read=5", "a table is written"),
        ("CATALOGUE", "does/not/exist.toml", "exists"),
        ("LANES", "does/not/exist.toml", "exists"),
        ("QUEUE_PREFIX", "staging.", "letters, digits"),
        ("QUEUE_PREFIX", "x" * 41, "at most 40"),
        ("BROADCAST", "a b", "letters, digits"),
        ("MODELS", ",", "names of models"),
        ("ALLOW_UNSAFE", ",", "names of models"),
        ("DEVICES", "gpu", "cpu:N"),
        ("DEVICES", "cpu:0", "cpu:N"),
        ("DEVICES", "cpu:³", "cpu:N"),
        ("LEASE_SECONDS", "4", "from 5"),
        ("LEASE_SECONDS", "1e9", "from 5"),
        ("LEASE_SECONDS", "²", "from 5"),
        ("CLAIM_CHECK", "http://key:secret@host/claims", "s3://BUCKET/PREFIX"),
        ("CLAIM_CHECK", "file://relative/claims", "file:///FOLDER"),
        ("CLAIM_CHECK", "s3://key:secret@bucket/claims", "without credentials"),
        ("HOST", "gcp", "ec2, ecs or kubernetes"),
        ("HOST", "ecs", "ECS_AGENT_URI is not set"),
        ("HOST", "kubernetes", "KUBERNETES_SERVICE_HOST is not set"),
        ("DEAD_LETTER_SHARE", "50%", "from 0 to 1"),
        ("DEAD_LETTERS_AN_HOUR", "0", "from 1"),
        ("RECONCILE_SECONDS", "nan", "from 1 to 3600"),
        ("ATTEMPTS", "none", "every or redelivered"),
        ("KEEP_INPUTS", "-1", "from 0"),
        ("RETRY_BASE_SECONDS", "soon", "from 0"),
        ("RETRY_CAP_SECONDS", "1e9", "from 0 to 43200"),
        ("UNKNOWN_TASK_GRACE_SECONDS", "1h", "from 0 to 43200"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_variable_value_and_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        celery_with(**{variable: value})
    sentence = str(caught.value)
    assert sentence.startswith(f"{PREFIX}{variable}")
    assert allowed in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "secret" not in sentence.replace("SECRET", "")


def test_a_relative_sqlite_path_is_one_file_wherever_it_is_read() -> None:
    assert read({f"{PREFIX}RESULT_BACKEND": "sqlite:///var/x.sqlite"}).result_backend == (
        f"sqlite:///{Path.cwd() / 'var' / 'x.sqlite'}"
    )


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("CELERY_INFERENCE_RESULTS_BACKEND", "did you mean CELERY_INFERENCE_RESULT_BACKEND?"),
        ("CELERY_INFERENCE_DEVICE", "did you mean CELERY_INFERENCE_DEVICES?"),
        ("CELERY_INFERENCES_DEVICES", "did you mean CELERY_INFERENCE_DEVICES?"),
        ("CELERY_INFERENCE_QQQQQQQQQQQQQQQQQQQ", "docs/settings.md"),
        ("CELERY_CATALOGUE", "called CELERY_INFERENCE_CATALOGUE"),
        ("CELERY_VERSION_WINDOW_SECONDS", "called CELERY_INFERENCE_UNKNOWN_TASK_GRACE_SECONDS"),
        ("CELERY_SWEEP_SECONDS", "called CELERY_INFERENCE_RECONCILE_SECONDS"),
    ],
)
def test_a_near_miss_and_a_former_name_are_named(variable: str, said: str) -> None:
    (sentence,) = near_misses({variable: "x"})
    assert sentence.startswith(variable)
    assert said in sentence


def test_variables_of_celery_and_of_others_are_none_of_ours() -> None:
    others = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_RESULT_BACKEND", "CELERY_TRACE_APP", "INFERENCE_X")
    assert near_misses(dict.fromkeys([*others, *settings.VARIABLES], "x")) == []


@pytest.mark.parametrize("service", ["CELERY_INFERENCE", "CELERY_INFERENCE_FLOWER"])
def test_what_kubernetes_sets_for_a_service_of_our_name_is_no_near_miss(service: str) -> None:
    port = f"{service}_PORT_5555_TCP"
    names = [f"{service}_SERVICE_HOST", f"{service}_SERVICE_PORT", f"{service}_SERVICE_PORT_HTTP", f"{service}_PORT"]
    assert near_misses(dict.fromkeys([*names, port, f"{port}_PROTO", f"{port}_PORT", f"{port}_ADDR"], "x")) == []


def test_a_worker_refuses_a_near_miss_and_an_application_warns() -> None:
    environment = {**os.environ, "CELERY_INFERENCE_DEVICE": "cpu"}
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker"]
    worker = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert worker.returncode != 0
    assert "did you mean CELERY_INFERENCE_DEVICES?" in worker.stderr
    assert "Traceback" not in worker.stderr
    program = "from celery_inference import app; print(app.conf.broker_url)"
    sender = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert sender.returncode == 0
    assert "UserWarning: CELERY_INFERENCE_DEVICE is no setting" in sender.stderr


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module as it is before anything has read a setting."""
    monkeypatch.setattr(settings, "_current", None)
    monkeypatch.setattr(settings, "_configured", {})
    return


@pytest.mark.usefixtures("unread")
def test_configure_wins_over_the_environment_and_may_be_said_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}BROKER_URL", "sqs://")
    for _ in range(2):
        settings.configure(broker="sqs://a:b@127.0.0.1:1//", results="dynamodb://eu-central-1/results")
    assert settings.current().broker_url == "sqs://a:b@127.0.0.1:1//"
    assert settings.current().result_backend == "dynamodb://eu-central-1/results"
    settings.configure(broker="sqs://a:b@127.0.0.1:1//")


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("used", [False, True])
def test_another_value_is_refused_without_its_secret(used: bool) -> None:
    settings.configure(broker="sqs://a:secret@127.0.0.1:1//")
    if used:
        settings.current()
    with pytest.raises(SettingError, match="configure once") as caught:
        settings.configure(broker="sqs://a:secret@127.0.0.1:2//")
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("unread")
def test_after_the_first_use_only_what_is_in_force_may_be_configured() -> None:
    in_force = settings.current()
    settings.configure(results=in_force.result_backend)
    with pytest.raises(SettingError, match=r"^configure\(queue_prefix=…\)"):
        settings.configure(queue_prefix="staging-")


@pytest.mark.usefixtures("unread")
def test_a_wrong_argument_is_refused_at_once_and_leaves_nothing_behind() -> None:
    with pytest.raises(SettingError, match=r"^broker is"):
        settings.configure(broker="redis://localhost")
    assert settings.current().broker_url == "sqs://local:local@127.0.0.1:9324//"


def test_every_public_name_is_a_setting_of_celery_or_begins_with_ours() -> None:
    # Celery reads these two without listing them among its defaults.
    known = {name for name, _ in flatten(NAMESPACES)} | {"override_backends", "result_backend_thread_safe"}
    public = {name for name in runpy.run_path(str(ROOT / "celeryconfig.py")) if not name.startswith("_")}
    assert {name for name in public if not name.startswith(OURS)} <= known
    assert set(celery_with()) <= public


def test_nothing_else_reads_the_environment() -> None:
    # The embedded server imports no sibling, and so not the settings; a device process is told, and sets its own.
    own = {
        "celery_inference/settings.py",
        "celery_inference/sqs_local/__main__.py",
        "models/device_process/__main__.py",
    }
    readers = {
        str(path.relative_to(ROOT))
        for room in ("celery_inference", "tasks", "models", "monitor", "deploy")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    }
    assert readers == own


def test_the_page_lists_every_variable() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert {variable for variable in settings.VARIABLES if f"`{variable}`" not in page} == set()


def test_the_command_line_prints_the_sentence_and_no_traceback() -> None:
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker"]
    environment = {"CELERY_INFERENCE_DEVICES": "tpu", "PATH": "", "HOME": "/nonexistent"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "CELERY_INFERENCE_DEVICES is 'tpu'" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_celerys_own_options_for_broker_and_results_are_obeyed(tmp_path: Path) -> None:
    results = f"sqlite:///{tmp_path}/other.sqlite"
    options = ("-b", "sqs://a:b@127.0.0.1:1//", "--result-backend", results)
    command = [sys.executable, "-m", "celery", "-A", "tasks", *options, "report"]
    ended = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert "127.0.0.1:1//" in ended.stdout, ended.stderr
    assert results in ended.stdout
    refused = subprocess.run(
        [*command[:5], "-b", "redis://localhost", "report"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode != 0
    assert "it must be sqs://" in refused.stderr


def test_aws_without_a_region_is_one_sentence_at_delay_and_on_the_command_line(tmp_path: Path) -> None:
    environment = {
        "CELERY_INFERENCE_BROKER_URL": "sqs://",
        "CELERY_INFERENCE_STATE": str(tmp_path),
        "PATH": "",
        "AWS_CONFIG_FILE": "/nonexistent",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )

    program = "from kombu.exceptions import OperationalError\nfrom celery_inference import feature_extraction\ntry:\n"
    program += "    feature_extraction.delay('text')\nexcept OperationalError as error:\n    print(error)"
    assert "no AWS region is set" in run("-c", program).stdout
    for command in (("celery_inference", "queues", "list"), ("celery", "-A", "tasks", "flower", "--port=0")):
        ended = run("-m", *command)
        assert ended.returncode == 1
        assert "no AWS region is set" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_nothing_warns_where_nothing_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_current", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings.current()
