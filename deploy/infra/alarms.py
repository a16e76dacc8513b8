"""Alarms: what a person must know. docs/operations.md says what each means and what to do."""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from deploy.infra.queues import LaneQueues

QueryArgs = aws.cloudwatch.MetricAlarmMetricQueryArgsDict
PERIOD_SECONDS = 60  # the finest that CloudWatch keeps of SQS's metrics
VISIBLE = "ApproximateNumberOfMessagesVisible"
IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"


def metric(id_: str, name: str, dimension: str, value: pulumi.Input[str]) -> QueryArgs:
    """One metric of a queue (dimension QueueName) or of an Auto Scaling group (AutoScalingGroupName)."""
    namespace = {"QueueName": "AWS/SQS", "AutoScalingGroupName": "AWS/AutoScaling"}[dimension]
    return QueryArgs(
        id=id_,
        metric={
            "namespace": namespace,
            "metric_name": name,
            "dimensions": {dimension: value},
            "period": PERIOD_SECONDS,
            "stat": "Maximum",
        },
        return_data=False,
    )


def expression(id_: str, text: str) -> QueryArgs:
    """What an alarm looks at: a sum over the other queries."""
    return QueryArgs(id=id_, expression=text, label=id_, return_data=True)


def alarm(name: str, description: str, opts: pulumi.ResourceOptions, **facts: Any) -> None:
    """An alarm for people, raised while the metric is above `threshold`, 0 by default; no data is no alarm."""
    settings: dict[str, Any] = {
        "comparison_operator": "GreaterThanThreshold",
        "threshold": 0,
        "treat_missing_data": "notBreaching",
        **facts,
    }
    aws.cloudwatch.MetricAlarm(name, alarm_description=description, opts=opts, **settings)


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
        shared = {"namespace": "AWS/SQS", "statistic": "Maximum", "period": PERIOD_SECONDS, "alarm_actions": topics}
        alarm(
            f"{name}-dead-letters",
            f"Requests of lane {name} failed for good: celery-inference dlq list",
            child,
            metric_name=VISIBLE,
            dimensions={"QueueName": lane.dead_letter_queue.name},
            evaluation_periods=1,
            **shared,
        )
        alarm(
            f"{name}-oldest-age",
            f"Requests of lane {name} wait too long: too few workers, or none works",
            child,
            metric_name="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": lane.queue.name},
            evaluation_periods=3,
            threshold=oldest_age_seconds,
            ok_actions=topics,
            **shared,
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
        queries = [
            metric(f"{letter}{index}", name_, "QueueName", lane.queue.name)
            for letter, name_ in (("v", VISIBLE), ("f", IN_FLIGHT))
            for index, lane in enumerate(lanes)
        ]
        waiting, flying = ("+".join(f"{letter}{index}" for index, _ in enumerate(lanes)) for letter in "vf")
        alarm(
            f"{name}-nobody-works",
            "Requests wait and no worker takes any: celery -A tasks inspect ping",
            pulumi.ResourceOptions(parent=self),
            metric_queries=[
                *queries,
                expression("backlog_without_work", f"IF(({waiting}) > 0 AND ({flying}) == 0, 1, 0)"),
            ],
            evaluation_periods=10,
            alarm_actions=topics,
            ok_actions=topics,
        )
