"""Every Celery setting, and the only reader of the environment.

Public names are Celery's own settings, or begin with `inference_`. Values are checked here, once, when the
application first reads its configuration; a wrong one raises SettingError, one sentence with the variable,
the value and what is allowed. Nothing needs to be set: the defaults are one machine with the embedded server.

CELERY_BROKER_URL (the embedded server on 127.0.0.1:9324)
    `sqs://` for AWS, with credentials and region from the usual AWS places, or
    `sqs://KEY:SECRET@HOST:PORT//` for any other SQS endpoint.
CELERY_RESULT_BACKEND (`sqlite:///` and var/results.sqlite)
    `sqlite:///FILE` for one machine, `dynamodb://REGION/TABLE` for a fleet (`dynamodb://KEY:SECRET@HOST:PORT/TABLE` for
    another endpoint), or the URL of one of Celery's result backends, which keep less: docs/outcomes.md.
CELERY_CATALOGUE (celery_inference/catalogue.toml)
    The TOML file of models.
CELERY_MODELS (all of the catalogue)
    Names of the models that this worker loads, separated by commas.
CELERY_ALLOW_UNSAFE (none)
    Names of models, separated by commas, that this host may load from pickle files and with code that they bring
    along; `celery -A tasks models check --help` says what that means.
CELERY_DEVICES (auto)
    `auto`, `cpu`, or `cpu:N` for N processes on the CPU.
CELERY_STATE (var/state)
    The folder in which a worker remembers what it measured on its devices, across restarts.
CELERY_LEASE_SECONDS (30)
    For how long a delivery is a worker's alone before it must be renewed, 5 to 43200.
CELERY_BROADCAST (celery-broadcast)
    How the names of the queues of Celery's events and remote control begin; deployments of one AWS account that
    shall not see each other need different ones. `off`: no events, no remote control, and no such queues.
CELERY_CLAIM_CHECK (with a broker on this machine the folder var/claims, else off)
    Where inputs are kept for many requests, and requests that do not fit into a message: `s3://BUCKET/PREFIX`, or
    `file:///FOLDER` for the processes of one host. `off`: nowhere, and they are refused. Senders and workers need the
    same.
CELERY_VERSION_WINDOW_SECONDS (1800)
    For how long after it was sent a task, model or option that this worker does not know is left to newer workers,
    before it fails, 0 to 43200.
CELERY_DEAD_LETTER_SHARE (0.5)
    A worker stops a lane when more than this share of its last requests became dead letters, 0 to 1; 1 never does.
CELERY_DEAD_LETTERS_AN_HOUR (1000)
    The fleet stops a lane when more of its requests became dead letters within an hour.
CELERY_SWEEP_SECONDS (60)
    How often one worker of the fleet looks for dead letters that SQS itself has made, 1 to 3600.
HF_HUB_CACHE, HF_HOME (~/.cache/huggingface)
    huggingface_hub's own variables: where fetched models are kept.
CELERY_ATTEMPTS (every)
    `every` attempt is written to the result store before it starts, or those of a `redelivered` request alone: that
    spares a write a batch, and an attempt that takes its worker along at the first delivery is not counted.
CELERY_RETRY_BASE_SECONDS (1), CELERY_RETRY_CAP_SECONDS (300)
    What bounds the wait before another attempt: base * 2 ** (attempts - 1), at most the cap, with full jitter.
CELERY_HOST (none)
    `ec2`, `ecs` or `kubernetes`: the platform that this worker's host belongs to. It is then asked to spare the host
    while it works, and what it says of the host's end stops the worker; one worker a host.
AWS_EC2_METADATA_SERVICE_ENDPOINT, ECS_AGENT_URI, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT
    The platforms' own variables: where they answer.
CELERY_KEEP_INPUTS (0)
    Characters of each request's inputs that events, logs and the index of dead letters may show.
OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT (none)
    OpenTelemetry's own variables: the collector that workers with the extra `otel` export traces to, over HTTP.
    docs/tracing.md says more.
CUDA_VISIBLE_DEVICES (all)
    NVIDIA's own variable: the GPUs that this worker may use.
"""

import difflib as _difflib
import os as _os
import re as _re
import warnings as _warnings
from pathlib import Path as _Path
from urllib.parse import urlsplit as _urlsplit

from celery.app.backends import BACKEND_ALIASES as _BACKEND_ALIASES
from celery.exceptions import ImproperlyConfigured as _ImproperlyConfigured
from click import ClickException as _ClickException
from kombu import Queue as _Queue

from celery_inference.sqs import limits as _limits
from celery_inference.sqs.broadcast.queue_names import MAX_PREFIX_CHARACTERS as _MAX_PREFIX_CHARACTERS
from celery_inference.sqs.broadcast.queue_names import is_prefix as _is_prefix
from celery_inference.sqs.claim_check.stores import store_at as _store_at
from celery_inference.sqs.errors import OptionError as _OptionError
from celery_inference.sqs.lanes import GENERAL as _GENERAL
from celery_inference.sqs.lanes import LANES as _LANES

_ROOT = _Path(__file__).resolve().parent
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MIN_LEASE_SECONDS = 5  # renewed at a third of its length: shorter ones are lost to one slow answer
_MAX_KEPT_CHARACTERS = 100_000


class SettingError(_ClickException, _ImproperlyConfigured):
    """A variable of the environment has a value that cannot be.

    An ImproperlyConfigured for applications; a ClickException, so that `celery` prints its one sentence.
    """

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        super().__init__(f"{variable} is {value!r}: {allowed}.")

    def __str__(self) -> str:
        return self.message


_read: set[str] = set()
_OF_CELERY = ("CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")  # which it reads itself


def _variable(name: str, default: str) -> str:
    _read.add(name)
    return _os.environ.get(name, "").strip() or default


def _broker_url() -> str:
    value = _variable("CELERY_BROKER_URL", "sqs://local:local@127.0.0.1:9324//")
    allowed = "it must be sqs:// for AWS, or sqs://KEY:SECRET@HOST:PORT//, a / in SECRET written %2F"
    try:
        parts = _urlsplit(value)
        port = parts.port
    except ValueError:
        raise SettingError("CELERY_BROKER_URL", _without_secret(value), allowed) from None
    if parts.scheme != "sqs" or (parts.hostname and port is None):
        raise SettingError("CELERY_BROKER_URL", _without_secret(value), allowed)
    return value


def _without_secret(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host = rest.rpartition("@")[2] if "@" in rest else rest.partition(":")[0]
    return f"{scheme}{separator}***@{host}" if "@" in rest or ":" in rest else url


def _result_backend() -> str:
    value = _variable("CELERY_RESULT_BACKEND", f"sqlite:///{_ROOT / 'var' / 'results.sqlite'}")
    scheme = value.partition("://")[0].partition("+")[0]
    known = sorted({"sqlite", *_BACKEND_ALIASES} - {"rpc", "disabled"})
    if "://" not in value or scheme not in known:
        raise SettingError(
            "CELERY_RESULT_BACKEND",
            _without_secret(value),
            "it must be sqlite:///FILE, dynamodb://REGION/TABLE or a URL of one of Celery's result backends"
            f" ({', '.join(known)})",
        )
    file = value.removeprefix("sqlite:///")
    if scheme == "sqlite" and (file == value or not file or _Path(file).is_dir()):
        raise SettingError("CELERY_RESULT_BACKEND", value, "a SQLite file is written sqlite:///FILE")
    if scheme == "dynamodb" and not _is_table(value):
        allowed = (
            "a table is written dynamodb://REGION/TABLE, or dynamodb://KEY:SECRET@HOST:PORT/TABLE, without options"
        )
        raise SettingError("CELERY_RESULT_BACKEND", _without_secret(value), allowed)
    return value


def _is_table(url: str) -> bool:
    try:
        parts = _urlsplit(url)
        both = bool(parts.username) == bool(parts.password)
        return (
            both
            and parts.port != 0
            and not parts.query
            and bool(_re.fullmatch(r"/[A-Za-z0-9_.-]{3,255}/?", parts.path))
        )
    except ValueError:
        return False


def _catalogue() -> str:
    value = _variable("CELERY_CATALOGUE", str(_ROOT / "celery_inference" / "catalogue.toml"))
    path = _Path(value).expanduser().resolve()
    if not path.is_file():
        raise SettingError("CELERY_CATALOGUE", value, "it must be the path of a TOML file that exists")
    return str(path)


def _model_names(variable: str) -> tuple[str, ...]:
    value = _variable(variable, "")
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if value and not names:
        raise SettingError(variable, value, "it must be names of models, separated by commas")
    return names


def _hub_cache() -> str:
    home = _variable("HF_HOME", f"{_variable('XDG_CACHE_HOME', '~/.cache')}/huggingface")
    return str(_Path(_variable("HF_HUB_CACHE", f"{home}/hub")).expanduser())


def _devices() -> str:
    value = _variable("CELERY_DEVICES", "auto")
    kind, separator, count = value.partition(":")
    counted = separator == ":" and count.isdecimal() and 1 <= int(count) <= 64
    if value not in ("auto", "cpu") and not (kind == "cpu" and counted):
        raise SettingError("CELERY_DEVICES", value, "it must be auto, cpu, or cpu:N with N from 1 to 64")
    return value


def _state() -> str:
    value = _variable("CELERY_STATE", str(_ROOT / "var" / "state"))
    path = _Path(value).expanduser().resolve()
    if path.exists() and not path.is_dir():
        raise SettingError("CELERY_STATE", value, "it must be the path of a folder, which need not exist yet")
    return str(path)


def _lease_seconds() -> int:
    value = _variable("CELERY_LEASE_SECONDS", "30")
    if not value.isdecimal() or not _MIN_LEASE_SECONDS <= int(value) <= _limits.MAX_VISIBILITY_SECONDS:
        allowed = f"it must be a whole number from {_MIN_LEASE_SECONDS} to {_limits.MAX_VISIBILITY_SECONDS}"
        raise SettingError("CELERY_LEASE_SECONDS", value, allowed)
    return int(value)


def _broadcast() -> str | None:
    value = _variable("CELERY_BROADCAST", "celery-broadcast")
    if value.lower() == "off":
        return None
    if not _is_prefix(value):
        allowed = f"it must be off, or 1 to {_MAX_PREFIX_CHARACTERS} letters, digits, hyphens and underscores"
        raise SettingError("CELERY_BROADCAST", value, allowed)
    return value


def _claim_check() -> str | None:
    value = _variable("CELERY_CLAIM_CHECK", "")
    if not value:
        return (_ROOT / "var" / "claims").as_uri() if _is_local(broker_url) else None
    if value.lower() == "off":
        return None
    try:
        _store_at(value)
    except _OptionError:
        raise SettingError(
            "CELERY_CLAIM_CHECK", value, "it must be off, s3://BUCKET/PREFIX or file:///FOLDER"
        ) from None
    return value


def _is_local(url: str) -> bool:
    """Whether an endpoint is on loopback, where the embedded server is, and nobody else who would make its queues."""
    return _urlsplit(url).hostname in _LOOPBACK


def _version_window_seconds() -> int:
    value = _variable("CELERY_VERSION_WINDOW_SECONDS", "1800")
    if not value.isdecimal() or int(value) > _limits.MAX_VISIBILITY_SECONDS:
        allowed = f"it must be a whole number from 0 to {_limits.MAX_VISIBILITY_SECONDS}"
        raise SettingError("CELERY_VERSION_WINDOW_SECONDS", value, allowed)
    return int(value)


def _number(variable: str, default: str, least: float, most: float) -> float:
    value = _variable(variable, default)
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise SettingError(variable, value, f"it must be a number from {least:g} to {most:g}")
    return number


def _attempts() -> str:
    value = _variable("CELERY_ATTEMPTS", "every")
    if value not in ("every", "redelivered"):
        raise SettingError("CELERY_ATTEMPTS", value, "it must be every or redelivered")
    return value


_METADATA_ADDRESS = "http://169.254.169.254"


def _host() -> str | None:
    value = _variable("CELERY_HOST", "none")
    if value not in ("none", "ec2", "ecs", "kubernetes"):
        raise SettingError("CELERY_HOST", value, "it must be none, ec2, ecs or kubernetes")
    return None if value == "none" else value


def _host_address(host: str | None) -> str:
    if host == "ec2":
        return _variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", _METADATA_ADDRESS)
    name = _variable("KUBERNETES_SERVICE_HOST", "")
    server = (
        f"https://{f'[{name}]' if ':' in name else name}:{_variable('KUBERNETES_SERVICE_PORT', '443')}" if name else ""
    )
    address = {"ecs": _variable("ECS_AGENT_URI", ""), "kubernetes": server}.get(host or "", "")
    if host and not address:
        variable = {"ecs": "ECS_AGENT_URI", "kubernetes": "KUBERNETES_SERVICE_HOST"}[host]
        raise SettingError("CELERY_HOST", host, f"this process does not run there, {variable} is not set")
    return address


def _keep_inputs() -> int:
    value = _variable("CELERY_KEEP_INPUTS", "0")
    if not value.isdecimal() or int(value) > _MAX_KEPT_CHARACTERS:
        allowed = f"it must be a whole number of characters from 0 to {_MAX_KEPT_CHARACTERS}"
        raise SettingError("CELERY_KEEP_INPUTS", value, allowed)
    return int(value)


def _warn_of_misspelt() -> None:
    """A variable that is nearly one of ours was meant to be: it would leave the default in force without a word."""
    for name in sorted(_os.environ):
        if name.startswith("CELERY") and name not in _read and name not in _OF_CELERY:
            for meant in _difflib.get_close_matches(name, _read, n=1, cutoff=0.85):
                _warnings.warn(f"{name} is no setting and has no effect; did you mean {meant}?", stacklevel=2)


# Broker: SQS, through our own transport.
broker_url = _broker_url()
broker_transport = "celery_inference.sqs.transport.connection:Transport"
broker_transport_options = {
    "lease_seconds": _lease_seconds(),
    "wait_time_seconds": 10,
    "broadcast_prefix": _broadcast(),
    "version_window_seconds": _version_window_seconds(),
    "claim_check": _claim_check(),
    "create_missing_lanes": _is_local(broker_url),
}
broker_connection_retry_on_startup = True

# Queues: the declared lanes and no others; a worker takes from all of them, or from those that `-Q` names. Requests go
# to the lane of their model, everything else to the lane that takes no slot from them.
task_queues = [_Queue(lane.queue.name, routing_key=lane.queue.name) for lane in _LANES]
task_default_queue = _GENERAL.name
task_default_routing_key = _GENERAL.name
task_routes = ("tasks.routing:route",)
task_create_missing_queues = False

# Messages: JSON only. Unpickling what came over a queue runs whatever its sender wrote.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]

# Results.
result_backend = _result_backend()
if result_backend.startswith("s3://"):  # Celery's S3 backend takes bucket and prefix as settings of their own
    s3_bucket = _urlsplit(result_backend).netloc
    s3_base_path = _urlsplit(result_backend).path.strip("/")
override_backends = {
    "sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend",
    "dynamodb": "celery_inference.results.dynamodb.backend:DynamoDBBackend",
}
result_expires = 86_400
# The extended form would keep each request's inputs a second time.
result_extended = False
# Ours are; Celery's own backends are used one a thread.
result_backend_thread_safe = result_backend.startswith(("sqlite:", "dynamodb:"))

# Deliveries are acknowledged after their result is stored, and what fails for good is rejected, which the
# transport turns into a dead letter. With Celery's defaults neither ever reaches a dead-letter queue.
task_acks_late = True
task_acks_on_failure = False
task_acks_on_timeout = False
task_reject_on_worker_lost = True
# What a redelivery finds done is not done again; tasks.delivery sees to it, failures and generations included.
worker_deduplicate_successful_tasks = False

# Worker: threads that wait for the engine; how many is worked out from devices and batch sizes.
worker_pool = "tasks.pool:EnginePool"
worker_concurrency = None
worker_prefetch_multiplier = 1
worker_consumer = "tasks.consumer:Consumer"
# Events and remote control, over SQS. Events of tasks are sent only while somebody watches, see tasks/consumer.py.
worker_enable_remote_control = broker_transport_options["broadcast_prefix"] is not None
worker_send_task_events = False
task_send_sent_event = False

# Ours.
inference_catalogue = _catalogue()
inference_models = _model_names("CELERY_MODELS")
inference_hub_cache = _hub_cache()
inference_allow_unsafe = _model_names("CELERY_ALLOW_UNSAFE")
inference_devices = _devices()
inference_dead_letter_share = _number("CELERY_DEAD_LETTER_SHARE", "0.5", 0, 1)
inference_dead_letter_least = 50  # requests, before a share of them says anything
inference_dead_letters_an_hour = int(_number("CELERY_DEAD_LETTERS_AN_HOUR", "1000", 1, 1_000_000))
inference_sweep_seconds = _number("CELERY_SWEEP_SECONDS", "60", 1, 3_600)
inference_state = _state()
inference_endpoint_program = "deploy.sagemaker.forwarder"  # what sends batches to the endpoints of models that have one
inference_visible_devices = _os.environ.get("CUDA_VISIBLE_DEVICES")
inference_traces = (
    any(_variable(f"OTEL_EXPORTER_OTLP_{which}", "") for which in ("ENDPOINT", "TRACES_ENDPOINT"))
    and _variable("OTEL_SDK_DISABLED", "").lower() != "true"
)
inference_stop_seconds = 15.0  # of running work at SIGTERM; container platforms kill after 30
inference_host = _host()
inference_host_address = _host_address(inference_host)
inference_attempts = _attempts()
inference_keep_inputs = _keep_inputs()
inference_retry_base_seconds = _number("CELERY_RETRY_BASE_SECONDS", "1", 0, _limits.MAX_VISIBILITY_SECONDS)
inference_retry_cap_seconds = _number("CELERY_RETRY_CAP_SECONDS", "300", 0, _limits.MAX_VISIBILITY_SECONDS)

_warn_of_misspelt()
