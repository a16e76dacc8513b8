"""Lanes on SQS: each a queue, its dead-letter queue and the policies on both."""

from dataclasses import replace

import pulumi
import pulumi_aws as aws

from celery_inference.sqs.lanes import Lane
from deploy.infra.policies import tls_only
from deploy.infra.settings import StackSettings


def as_configured(lane: Lane, settings: StackSettings) -> Lane:
    """The lane as its file declares it, with what a stack may change."""
    queues = settings.queues
    visibility_timeout_seconds = _either(queues.visibility_timeout_seconds, lane.queue.visibility_timeout_seconds)
    max_receive_count = _either(queues.max_receive_count, lane.max_receive_count)
    if lane.consumer == "lambda":
        function = settings.aws_lambda
        visibility_timeout_seconds = (function or lane.queue).visibility_timeout_seconds
        max_receive_count = (function or lane).max_receive_count
    tags = dict(lane.queue.tags) | {"Environment": queues.environment}
    return replace(
        lane,
        queue=replace(
            lane.queue,
            delay_seconds=_either(queues.delay_seconds, lane.queue.delay_seconds),
            max_message_bytes=_either(queues.max_message_bytes, lane.queue.max_message_bytes),
            retention_seconds=_either(queues.retention_seconds, lane.queue.retention_seconds),
            receive_wait_seconds=_either(queues.receive_wait_seconds, lane.queue.receive_wait_seconds),
            visibility_timeout_seconds=visibility_timeout_seconds,
            tags=tags,
        ),
        dead_letter_queue=replace(
            lane.dead_letter_queue, retention_seconds=queues.dead_letter_retention_seconds, tags=tags
        ),
        max_receive_count=max_receive_count,
    )


def _either(configured: int | None, declared: int) -> int:
    return declared if configured is None else configured


class LaneQueues(pulumi.ComponentResource):
    """One lane. `queue` and `dead_letter_queue` are the two SQS queues."""

    def __init__(
        self, lane: Lane, *, kms_key_arn: str | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("celery-inference:sqs:Lane", lane.name, None, opts)
        self.lane = lane
        child = pulumi.ResourceOptions(parent=self)
        self.dead_letter_queue = aws.sqs.Queue(
            lane.dead_letter_queue.name, _queue_args(lane, dead_letters=True, kms_key_arn=kms_key_arn), opts=child
        )
        args = _queue_args(lane, dead_letters=False, kms_key_arn=kms_key_arn)
        args.redrive_policy = self.dead_letter_queue.arn.apply(lane.redrive_policy)
        self.queue = aws.sqs.Queue(lane.queue.name, args, opts=child)
        # Apart from its queue: it names the lane's queue, which names the dead-letter queue.
        aws.sqs.RedriveAllowPolicy(
            lane.dead_letter_queue.name,
            queue_url=self.dead_letter_queue.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [self.queue.arn]}
            ),
            opts=child,
        )
        for name, queue in ((lane.queue.name, self.queue), (lane.dead_letter_queue.name, self.dead_letter_queue)):
            aws.sqs.QueuePolicy(name, queue_url=queue.url, policy=tls_only("sqs", queue.arn), opts=child)
        self.register_outputs({"queue_url": self.queue.url, "dead_letter_queue_url": self.dead_letter_queue.url})


def _queue_args(lane: Lane, *, dead_letters: bool, kms_key_arn: str | None) -> aws.sqs.QueueArgs:
    queue = lane.dead_letter_queue if dead_letters else lane.queue
    args = aws.sqs.QueueArgs(
        name=queue.name,
        delay_seconds=queue.delay_seconds,
        max_message_size=queue.max_message_bytes,
        message_retention_seconds=queue.retention_seconds,
        receive_wait_time_seconds=queue.receive_wait_seconds,
        visibility_timeout_seconds=queue.visibility_timeout_seconds,
        tags=dict(queue.tags),
    )
    if queue.fifo:
        args.fifo_queue = True
    if kms_key_arn is None:
        args.sqs_managed_sse_enabled = True
    else:
        args.kms_master_key_id = kms_key_arn
    return args
