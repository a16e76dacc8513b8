"""The Lambda function that consumes a lane, and the mapping that brings it the lane's messages.

The image is that of deploy/aws_lambda. No model needs more of AWS than the lane, its letters, the results and a log.
"""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from deploy.infra.alarms import alarm
from deploy.infra.policies import document, statement, trust
from deploy.infra.queues import LaneQueues
from deploy.infra.settings import LambdaConsumer


class Function(pulumi.ComponentResource):
    """`function` is the Lambda function, `role` its role."""

    def __init__(
        self,
        name: str,
        settings: LambdaConsumer,
        lane: LaneQueues,
        *,
        queue_prefix: str,
        policy_arn: pulumi.Input[str],
        result_backend: pulumi.Input[str],
        claim_check: pulumi.Input[str],
        topics: Sequence[str],
        tags: dict[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("celery-inference:lambda:Function", name, None, opts)
        self._name, self._settings, self._tags = name, settings, tags
        self._child = pulumi.ResourceOptions(parent=self)
        self._log = aws.cloudwatch.LogGroup(
            f"{name}-function",
            name=f"/aws/lambda/{name}",
            retention_in_days=settings.log_days,
            tags=tags,
            opts=self._child,
        )
        self.role = self._role(policy_arn)
        self.function = self._function(
            {
                "CELERY_INFERENCE_BROKER_URL": "sqs://",
                "CELERY_INFERENCE_RESULT_BACKEND": result_backend,
                "CELERY_INFERENCE_CLAIM_CHECK": claim_check,
                **({"CELERY_INFERENCE_QUEUE_PREFIX": queue_prefix} if queue_prefix else {}),
            }
        )
        # ReportBatchItemFailures: without it one failed message brings all of its event back.
        aws.lambda_.EventSourceMapping(
            f"{name}-lane",
            event_source_arn=lane.queue.arn,
            function_name=self.function.name,
            batch_size=settings.batch_size,
            maximum_batching_window_in_seconds=settings.batch_window_seconds,
            function_response_types=["ReportBatchItemFailures"],
            # Not reserved concurrency: what that throttles has been received, which counts as a delivery.
            scaling_config={"maximum_concurrency": settings.concurrency},
            opts=self._child,
        )
        alarm(
            f"{name}-function-errors",
            "The function ends without an answer: its log says why; its messages come back",
            self._child,
            namespace="AWS/Lambda",
            metric_name="Errors",
            dimensions={"FunctionName": name},
            statistic="Sum",
            period=60,
            evaluation_periods=5,
            alarm_actions=topics,
            ok_actions=topics,
        )
        self.register_outputs({"function": self.function.arn})

    def _role(self, policy_arn: pulumi.Input[str]) -> aws.iam.Role:
        role = aws.iam.Role(
            f"{self._name}-function", assume_role_policy=trust("lambda"), tags=self._tags, opts=self._child
        )
        aws.iam.RolePolicyAttachment(
            f"{self._name}-function-lane", role=role.name, policy_arn=policy_arn, opts=self._child
        )
        streams = pulumi.Output.concat(self._log.arn, ":*")
        aws.iam.RolePolicy(
            f"{self._name}-function-log",
            role=role.name,
            policy=document(statement("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], streams)),
            opts=self._child,
        )
        return role

    def _function(self, environment: dict[str, pulumi.Input[str]]) -> aws.lambda_.Function:
        return aws.lambda_.Function(
            self._name,
            name=self._name,
            package_type="Image",
            image_uri=self._settings.image,
            role=self.role.arn,
            timeout=self._settings.timeout_seconds,
            memory_size=self._settings.memory_mib,
            architectures=["x86_64"],
            environment={"variables": environment},
            logging_config={"log_format": "Text", "log_group": self._log.name},
            tags=self._tags,
            opts=self._child,
        )
