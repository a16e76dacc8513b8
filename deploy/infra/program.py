"""Everything that a stack declares, from its settings."""

import re
from typing import Any

import pulumi

from celery_inference.sqs.lanes import DEFAULT_TAGS
from deploy.infra.access import CLAIMS_PREFIX, Access, Role
from deploy.infra.alarms import LaneAlarms, NoWorkerAlarm
from deploy.infra.fleet import GpuFleet
from deploy.infra.function import Function
from deploy.infra.queues import LaneQueues, as_configured
from deploy.infra.settings import StackSettingError, StackSettings
from deploy.infra.storage import Storage

NAME = "ml-inference"
BROADCAST_PREFIX = "celery-broadcast"  # CELERY_INFERENCE_BROADCAST's default


def declare(settings: StackSettings) -> dict[str, pulumi.Output[Any]]:
    """Declare the stack's resources; returns its exports."""
    queues = settings.queues
    name = _name(queues.queue_prefix)
    tags = dict(DEFAULT_TAGS) | {"Environment": queues.environment}
    topics = [queues.alarm_topic_arn] if queues.alarm_topic_arn else []
    lanes = [LaneQueues(as_configured(lane, settings), kms_key_arn=queues.kms_key_arn) for lane in queues.declared()]
    workers = [lane for lane in lanes if lane.lane.consumer == "worker"]
    storage = Storage(name, object_days=queues.object_days, kms_key_arn=queues.kms_key_arn, tags=tags)
    access = Access(
        name,
        lanes,
        broadcast_prefix=f"{queues.queue_prefix}{BROADCAST_PREFIX}",
        table_arn=storage.table.arn,
        bucket_arn=storage.bucket.arn,
        endpoints=settings.endpoints,
        kms_key_arn=queues.kms_key_arn,
    )
    for lane in lanes:
        LaneAlarms(lane, oldest_age_seconds=queues.oldest_age_alarm_seconds, topics=topics)
    NoWorkerAlarm(name, workers, topics=topics)
    main = next(lane for lane in lanes if lane.lane.default)
    backend = pulumi.Output.concat("dynamodb://@/", storage.table.name)
    claims = pulumi.Output.concat("s3://", storage.bucket.bucket, f"/{CLAIMS_PREFIX}")
    exports: dict[str, pulumi.Output[Any]] = {
        "ml_inference_queue_arn": main.queue.arn,
        "ml_inference_queue_url": main.queue.url,
        "ml_inference_dead_letter_queue_arn": main.dead_letter_queue.arn,
        "ml_inference_dead_letter_queue_url": main.dead_letter_queue.url,
        "queue_urls": pulumi.Output.all(**{lane.lane.name: lane.queue.url for lane in lanes}),
        "result_backend": backend,
        "objects_bucket": storage.bucket.bucket,
        "claim_check": claims,
        **{f"{role.value}_policy_arn": access.policies[role].arn for role in Role},
    }
    if settings.fleet is not None:
        fleet = GpuFleet(
            name,
            settings.fleet,
            workers,
            queue_prefix=queues.queue_prefix,
            worker_policy_arn=access.policies[Role.WORKER].arn,
            result_backend=backend,
            claim_check=claims,
            tags=tags,
        )
        exports["fleet_group"] = fleet.group.name
    if settings.aws_lambda is not None:
        function = Function(
            name,
            settings.aws_lambda,
            _lambda_lane(lanes),
            queue_prefix=queues.queue_prefix,
            policy_arn=access.policies[Role.FUNCTION].arn,
            result_backend=backend,
            claim_check=claims,
            topics=topics,
            tags=tags,
        )
        exports["function_arn"] = function.function.arn
    return exports


def _lambda_lane(lanes: list[LaneQueues]) -> LaneQueues:
    found = [lane for lane in lanes if lane.lane.consumer == "lambda"]
    if len(found) != 1:
        raise StackSettingError(
            f'celery-inference:lambda needs one lane with consumer = "lambda"; there are {len(found)}.'
        )
    return found[0]


def _name(queue_prefix: str) -> str:
    """How the names of the stack's other resources begin: as its queues' do, in the signs that buckets may have."""
    return re.sub(r"[^a-z0-9-]", "-", queue_prefix.lower()) + NAME
