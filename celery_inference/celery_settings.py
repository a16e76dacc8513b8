"""Celery's settings of our application, from the settings of this process.

Names are Celery's own, or begin with `inference_`. Senders and workers have the same ones; a worker's deployment adds
its own in `celeryconfig.py`.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kombu import Queue

from celery_inference import setting_values
from celery_inference.settings import Settings, current, refuse_near_misses
from celery_inference.sqs.lanes import default_lane, general_lane, load_lanes

BACKENDS = {
    "sqlite": "celery_inference.results.sqlite.backend:SQLiteBackend",
    "dynamodb": "celery_inference.results.dynamodb.backend:DynamoDBBackend",
    "redis": "celery_inference.results.redis.backend:RedisBackend",
    "rediss": "celery_inference.results.redis.backend:RedisBackend",
}


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Every Celery setting that we give, for senders and workers. Raises LanesError."""
    return {**_broker(settings), **_results(settings.result_backend), **_WORKER, **_ours(settings)}


def worker_settings() -> dict[str, Any]:
    """The same for a worker of this process's settings. Raises SettingError, also for a variable that is nearly one."""
    refuse_near_misses()
    return celery_settings(current())


def _broker(settings: Settings) -> dict[str, Any]:
    lanes = load_lanes(Path(settings.lanes), settings.queue_prefix)
    other = general_lane(lanes) or default_lane(lanes)
    broadcast = None if settings.broadcast is None else f"{settings.queue_prefix}{settings.broadcast}"
    return {
        "broker_url": settings.broker_url,
        "broker_transport": "celery_inference.sqs.transport.connection:Transport",
        "broker_transport_options": {
            "lanes": lanes,
            "queue_prefix": settings.queue_prefix,
            "lease_seconds": settings.lease_seconds,
            "wait_time_seconds": 10,
            "broadcast_prefix": broadcast,
            "unknown_task_grace_seconds": settings.unknown_task_grace_seconds,
            "claim_check": settings.claim_check,
            "create_missing_lanes": setting_values.is_local(settings.broker_url),
        },
        "broker_connection_retry_on_startup": True,
        # The declared lanes and no others. Requests go to the lane of their model, everything else to the lane that
        # takes no slot from them.
        "task_queues": [Queue(lane.name, routing_key=lane.name) for lane in lanes],
        "task_default_queue": other.name,
        "task_default_routing_key": other.name,
        "task_routes": ("celery_inference.client.lanes.route",),
        "task_create_missing_queues": False,
        # Events and remote control, over SQS. Events of tasks are sent only while somebody watches, see
        # tasks/worker/consumer.py.
        "worker_enable_remote_control": broadcast is not None,
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        # JSON only: unpickling what came over a queue runs whatever its sender wrote.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
    }


def _results(url: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "result_backend": url,
        "override_backends": BACKENDS,
        "result_expires": 86_400,
        # The extended form would keep each request's inputs a second time.
        "result_extended": False,
        # Ours are; Celery's own backends are used one a thread.
        "result_backend_thread_safe": url.startswith(("sqlite:", "dynamodb:")),
    }
    if url.startswith("s3://"):  # Celery's S3 backend takes bucket and prefix as settings of their own
        given |= {"s3_bucket": urlsplit(url).netloc, "s3_base_path": urlsplit(url).path.strip("/")}
    return given


_WORKER: dict[str, Any] = {
    # Deliveries are acknowledged after their result is stored, and what fails for good is rejected, which the
    # transport turns into a dead letter. With Celery's defaults neither ever reaches a dead-letter queue.
    "task_acks_late": True,
    "task_acks_on_failure": False,
    "task_acks_on_timeout": False,
    "task_reject_on_worker_lost": True,
    # What a redelivery finds done is not done again; tasks/execution sees to it, failures and generations included.
    "worker_deduplicate_successful_tasks": False,
    # Threads that wait for the engine; how many is worked out from devices and batch sizes.
    "worker_pool": "tasks.worker.pool:EnginePool",
    "worker_concurrency": None,
    "worker_prefetch_multiplier": 1,
    "worker_consumer": "tasks.worker.consumer:Consumer",
}


def _ours(settings: Settings) -> dict[str, Any]:
    return {
        "inference_catalogue": settings.catalogue,
        "inference_models": settings.models,
        "inference_hub_cache": settings.hub_cache,
        "inference_allow_unsafe": settings.allow_unsafe,
        "inference_devices": settings.devices,
        "inference_dead_letter_share": settings.dead_letter_share,
        "inference_dead_letter_least": 50,  # requests, before a share of them says anything
        "inference_dead_letters_an_hour": settings.dead_letters_an_hour,
        "inference_reconcile_seconds": settings.reconcile_seconds,
        "inference_state": settings.state,
        # What sends batches to the endpoints of models that have one.
        "inference_endpoint_program": "deploy.sagemaker.forwarder",
        "inference_visible_devices": settings.visible_devices,
        "inference_traces": settings.traces,
        "inference_stop_seconds": 15.0,  # of running work at SIGTERM; container platforms kill after 30
        "inference_host": settings.host,
        "inference_host_address": settings.host_address,
        "inference_attempts": settings.attempts,
        "inference_keep_inputs": settings.keep_inputs,
        "inference_retry_base_seconds": settings.retry_base_seconds,
        "inference_retry_cap_seconds": settings.retry_cap_seconds,
    }
