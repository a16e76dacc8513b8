"""How many GPU hosts there are, from what waits in the lanes.

It counts messages visible and in flight: on visible ones alone, a fleet whose GPUs are busy with the last messages
would be ended at work. From zero it is woken in one step to what the backlog needs; it sleeps when nothing has been
visible or in flight for `idle_minutes`. CloudWatch's figures of a queue are a minute old or more.
"""

import math
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from deploy.infra.alarms import IN_FLIGHT, VISIBLE, QueryArgs, expression, metric
from deploy.infra.queues import LaneQueues
from deploy.infra.settings import FleetSettings

TrackedQueryArgs = aws.autoscaling.PolicyTargetTrackingConfigurationCustomizedMetricSpecificationMetricArgsDict
StepArgs = aws.autoscaling.PolicyStepAdjustmentArgs
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-quotas.html: step adjustments a policy
MAX_STEPS = 20


def wake_steps(max_workers: int, backlog_per_worker: float) -> list[tuple[float, float | None, int]]:
    """(from, to, workers): which fleet a backlog wakes, in at most MAX_STEPS steps; bounds are messages."""
    count = min(max_workers, MAX_STEPS)
    sizes = [math.ceil(max_workers * (step + 1) / count) for step in range(count)]
    bounds = [0.0, *(size * backlog_per_worker for size in sizes[:-1])]
    ends: list[float | None] = [*bounds[1:], None]
    return list(zip(bounds, ends, sizes, strict=True))


class BacklogScaling(pulumi.ComponentResource):
    """Target tracking of the backlog a worker, a wake from zero and a sleep, for one Auto Scaling group."""

    def __init__(
        self,
        name: str,
        group: aws.autoscaling.Group,
        lanes: Sequence[LaneQueues],
        fleet: FleetSettings,
        *,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("celery-inference:autoscaling:BacklogScaling", name, None, opts)
        self._name, self._group, self._lanes, self._fleet = name, group, lanes, fleet
        self._child = pulumi.ResourceOptions(parent=self)
        self._visible = "+".join(f"v{index}" for index, _ in enumerate(lanes))
        self._everything = "+".join(f"v{index}+f{index}" for index, _ in enumerate(lanes))
        self._track()
        self._wake()
        self._sleep()
        self.register_outputs({})

    def _depths(self, letters: str) -> list[QueryArgs]:
        return [
            metric(f"{letter}{index}", METRICS[letter], "QueueName", lane.queue.name)
            for index, lane in enumerate(self._lanes)
            for letter in letters
        ]

    def _track(self) -> None:
        queries = [
            _tracked(f"{letter}{index}", "AWS/SQS", name, "QueueName", lane.queue.name)
            for index, lane in enumerate(self._lanes)
            for letter, name in METRICS.items()
        ]
        of_group = "AutoScalingGroupName", self._group.name
        queries.append(_tracked("w", "AWS/AutoScaling", "GroupInServiceInstances", *of_group))
        # Never by zero: with no worker the whole backlog is one's.
        per_worker = f"({self._everything}) / IF(w > 1, w, 1)"
        queries.append(TrackedQueryArgs(id="per_worker", expression=per_worker, return_data=True))
        aws.autoscaling.Policy(
            f"{self._name}-backlog",
            autoscaling_group_name=self._group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "target_value": self._fleet.backlog_per_worker,
                "customized_metric_specification": {"metrics": queries},
            },
            opts=self._child,
        )

    def _wake(self) -> None:
        steps = [
            StepArgs(
                metric_interval_lower_bound=f"{start:g}",
                metric_interval_upper_bound=None if end is None else f"{end:g}",
                scaling_adjustment=workers,
            )
            for start, end, workers in wake_steps(self._fleet.max_workers, self._fleet.backlog_per_worker)
        ]
        self._step(
            "wake",
            steps,
            queries=[
                *self._depths("v"),
                metric("w", "GroupInServiceInstances", "AutoScalingGroupName", self._group.name),
            ],
            text=f"IF(FILL(w, 0) < 1, {self._visible}, 0)",
            comparison="GreaterThanThreshold",
            minutes=1,
        )

    def _sleep(self) -> None:
        self._step(
            "sleep",
            [StepArgs(metric_interval_upper_bound="0", scaling_adjustment=0)],
            queries=self._depths("vf"),
            text=self._everything,
            comparison="LessThanOrEqualToThreshold",
            minutes=self._fleet.idle_minutes,
        )

    def _step(
        self,
        what: str,
        steps: list[StepArgs],
        *,
        queries: list[QueryArgs],
        text: str,
        comparison: str,
        minutes: int,
    ) -> None:
        """A policy that sets an exact capacity, and the alarm that calls it when `text` compares so with 0."""
        policy = aws.autoscaling.Policy(
            f"{self._name}-{what}",
            autoscaling_group_name=self._group.name,
            policy_type="StepScaling",
            adjustment_type="ExactCapacity",
            step_adjustments=steps,
            opts=self._child,
        )
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            alarm_description=f"Scales the fleet {self._name}; nothing for a person to do",
            metric_queries=[*queries, expression("messages", text)],
            comparison_operator=comparison,
            threshold=0,
            evaluation_periods=minutes,
            treat_missing_data="ignore",
            alarm_actions=[policy.arn],
            opts=self._child,
        )


METRICS = {"v": VISIBLE, "f": IN_FLIGHT}


def _tracked(id_: str, namespace: str, name: str, dimension: str, value: pulumi.Input[str]) -> TrackedQueryArgs:
    return TrackedQueryArgs(
        id=id_,
        metric_stat={
            "metric": {
                "namespace": namespace,
                "metric_name": name,
                "dimensions": [{"name": dimension, "value": value}],
            },
            "stat": "Maximum",
        },
        return_data=False,
    )
