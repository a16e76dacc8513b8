"""Alarms: what a person must know. docs/operations.md says what each means and what to do."""

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from deploy.infra.metrics import PERIOD_SECONDS, expression, queue_metric
from deploy.infra.queues import LaneQueues


class LaneAlarms(pulumi.ComponentResource):
    """Dead letters and the oldest age, for each lane."""

    def __init__(
        self,
        lane: LaneQueues,
        *,
        oldest_age_seconds: int,
        topics: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = lane.lane.name
        super().__init__("celery-inference:cloudwatch:LaneAlarms", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        aws.cloudwatch.MetricAlarm(
            f"{name}-dead-letters",
            aws.cloudwatch.MetricAlarmArgs(
                alarm_description=f"Requests of lane {name} failed for good: celery-inference dlq list",
                namespace="AWS/SQS",
                metric_name="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": lane.dead_letter_queue.name},
                statistic="Maximum",
                period=PERIOD_SECONDS,
                evaluation_periods=1,
                comparison_operator="GreaterThanThreshold",
                threshold=0,
                treat_missing_data="notBreaching",
                alarm_actions=list(topics),
            ),
            opts=child,
        )
        aws.cloudwatch.MetricAlarm(
            f"{name}-oldest-age",
            aws.cloudwatch.MetricAlarmArgs(
                alarm_description=f"Requests of lane {name} wait too long: too few workers, or none works",
                namespace="AWS/SQS",
                metric_name="ApproximateAgeOfOldestMessage",
                dimensions={"QueueName": lane.queue.name},
                statistic="Maximum",
                period=PERIOD_SECONDS,
                evaluation_periods=3,
                comparison_operator="GreaterThanThreshold",
                threshold=oldest_age_seconds,
                treat_missing_data="notBreaching",
                alarm_actions=list(topics),
                ok_actions=list(topics),
            ),
            opts=child,
        )


class NoWorkerAlarm(pulumi.ComponentResource):
    """A backlog, and nothing in flight for ten minutes: no worker is there, or none can work."""

    def __init__(
        self,
        name: str,
        lanes: Sequence[LaneQueues],
        *,
        topics: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("celery-inference:cloudwatch:NoWorkerAlarm", name, None, opts)
        waiting = [f"v{index}" for index, _ in enumerate(lanes)]
        flying = [f"f{index}" for index, _ in enumerate(lanes)]
        queries = [
            queue_metric(id_, metric, lane.queue.name)
            for ids, metric in (
                (waiting, "ApproximateNumberOfMessagesVisible"),
                (flying, "ApproximateNumberOfMessagesNotVisible"),
            )
            for id_, lane in zip(ids, lanes, strict=True)
        ]
        backlog = f"IF(({'+'.join(waiting)}) > 0 AND ({'+'.join(flying)}) == 0, 1, 0)"
        aws.cloudwatch.MetricAlarm(
            f"{name}-nobody-works",
            aws.cloudwatch.MetricAlarmArgs(
                alarm_description="Requests wait and no worker takes any: celery -A tasks inspect ping",
                metric_queries=[*queries, expression("backlog_without_work", backlog)],
                evaluation_periods=10,
                comparison_operator="GreaterThanThreshold",
                threshold=0,
                treat_missing_data="notBreaching",
                alarm_actions=list(topics),
                ok_actions=list(topics),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
