"""Least-privilege policies: what this project's own calls need, by role, and no more.

Queue names are looked up by GetQueueUrl; depths and checks read GetQueueAttributes; nothing here lists, creates or
purges a lane's queue. Broadcast queues (events and remote control, `sqs/broadcast`) are made and deleted by the
processes
themselves, under one prefix; ListQueues has no per-queue permission on AWS.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import pulumi
import pulumi_aws as aws

from deploy.infra.policies import document, statement
from deploy.infra.queues import LaneQueues
from deploy.infra.storage import INDEXES

CLAIMS_PREFIX = "claims"  # of the objects in the bucket that messages claim
_SEND = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SendMessage"]
_CONSUME = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
_LOOK = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes"]
_BROADCAST = [
    "sqs:CreateQueue",
    "sqs:DeleteQueue",
    "sqs:TagQueue",
    "sqs:SetQueueAttributes",
    *_SEND,
    *_CONSUME,
]
# What `celery_inference/results/dynamodb` calls: results, cancellations and submissions for a producer, and for the
# others attempts,
# chords, leases and the index of dead letters as well, with a look at the table's keys when a worker starts.
_RESULTS = [
    "dynamodb:GetItem",
    "dynamodb:BatchGetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
]
_STORE = [*_RESULTS, "dynamodb:Query", "dynamodb:DescribeTable"]


_OBJECT_ACTIONS = {
    # A producer may forget the inputs that it keeps before their age does. A worker sends, too: links and retries. It
    # removes what was done.
    "producer": ["s3:PutObject", "s3:DeleteObject"],
    "worker": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "function": ["s3:GetObject", "s3:PutObject"],
    "operator": ["s3:GetObject"],
}


class Role(Enum):
    """Who calls. `FUNCTION` is the one that consumes the Lambda lane. `OPERATOR` is Flower, and the commands of people
    on call: it redrives and drops dead letters.
    """

    PRODUCER = "producer"
    WORKER = "worker"
    FUNCTION = "function"
    OPERATOR = "operator"


def statements(
    role: Role,
    *,
    queues: Any,
    consumed: Any,
    dead_letter_queues: Any,
    broadcast: Any,
    table: Any,
    indexes: Any,
    objects: Any,
    bucket: Any,
) -> list[dict[str, Any]]:
    """The policy's statements; each argument is an ARN or a list of ARNs, `indexes` those of the table. `consumed` are
    those that the role takes from, `dead_letter_queues` those that it buries in, or works on. `objects` are those of
    the claim check.
    """
    if role is Role.PRODUCER:
        # Results are read, and PENDING ones forgotten or cancelled, by the application.
        allowed: list[tuple[str, list[str], Any]] = [("Send", _SEND, queues), ("Results", _RESULTS, table)]
    else:
        # The function only writes its dead letters. A worker, too, reconciles what SQS itself moved there.
        buries = ("Bury", _SEND) if role is Role.FUNCTION else ("DeadLetters", [*_SEND, *_CONSUME])
        # Links, callbacks, and what the reconciler or an operator brings back.
        sends = "Redrive" if role is Role.OPERATOR else "Send"
        allowed = [
            *([] if role is Role.OPERATOR else [("Consume", [*_SEND, *_CONSUME], consumed)]),
            (sends, _SEND, queues),
            (*buries, dead_letter_queues),
            ("Results", _STORE, table),
            ("Letters", ["dynamodb:Query"], indexes),
        ]
    allowed.append(("Claims", _OBJECT_ACTIONS[role.value], objects))
    if role is not Role.PRODUCER:
        # Without it S3 answers 403 for an object that is gone, as if it were there.
        allowed.append(("ClaimIsGone", ["s3:ListBucket"], bucket))
    rows: list[dict[str, Any]] = [statement(*row) for row in allowed]
    if role in (Role.WORKER, Role.OPERATOR):
        rows += [statement("Broadcast", _BROADCAST, broadcast), statement("FindBroadcast", ["sqs:ListQueues"], "*")]
    return rows


def endpoint_statements(endpoints: Any, objects: Any, bucket: Any) -> list[dict[str, Any]]:
    """What a worker needs whose models have these SageMaker endpoints, or send batches there as objects."""
    rows = [
        ("Endpoints", ["sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync"], endpoints),
        ("EndpointObjects", ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"], objects),
        # Without it S3 says 403 of an answer that is not there yet.
        ("EndpointAnswers", ["s3:ListBucket"], bucket),
    ]
    return [statement(*row) for row in rows]


class Access(pulumi.ComponentResource):
    """One managed policy for each role, `policies[Role.WORKER].arn`."""

    def __init__(
        self,
        name: str,
        lanes: Sequence[LaneQueues],
        *,
        broadcast_prefix: str,
        table_arn: pulumi.Input[str],
        bucket_arn: pulumi.Output[str],
        endpoints: Sequence[str] = (),
        kms_key_arn: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("celery-inference:iam:Access", name, None, opts)
        here = lanes[0].queue.arn.apply(lambda arn: arn.rpartition(":")[0])
        self.policies: dict[Role, aws.iam.Policy] = {}
        for role in Role:
            own = "lambda" if role is Role.FUNCTION else "worker"
            rows = statements(
                role,
                queues=[lane.queue.arn for lane in lanes],
                consumed=[lane.queue.arn for lane in lanes if lane.lane.consumer == own],
                dead_letter_queues=[
                    lane.dead_letter_queue.arn
                    for lane in lanes
                    if role is not Role.FUNCTION or lane.lane.consumer == own
                ],
                broadcast=here.apply(lambda prefix: f"{prefix}:{broadcast_prefix}-*"),
                table=table_arn,
                indexes=[pulumi.Output.concat(table_arn, f"/index/{index}") for index in INDEXES],
                objects=pulumi.Output.concat(bucket_arn, f"/{CLAIMS_PREFIX}/*"),
                bucket=bucket_arn,
            )
            if endpoints and role in (Role.WORKER, Role.FUNCTION):
                names = here.apply(
                    lambda prefix: [f"{prefix.replace(':sqs:', ':sagemaker:')}:endpoint/{name}" for name in endpoints]
                )
                rows += endpoint_statements(names, bucket_arn.apply(lambda arn: f"{arn}/*"), bucket_arn)
            if kms_key_arn is not None:
                rows.append(statement("Key", ["kms:Decrypt", "kms:GenerateDataKey"], kms_key_arn))
            self.policies[role] = aws.iam.Policy(
                f"{name}-{role.value}",
                description=f"What the {role.value} of celery-inference needs",
                policy=document(*rows),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({role.value: policy.arn for role, policy in self.policies.items()})
