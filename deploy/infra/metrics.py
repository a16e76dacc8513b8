"""CloudWatch's SQS metrics as the alarms and the fleet's scaling use them."""

import pulumi
import pulumi_aws as aws

QueryArgs = aws.cloudwatch.MetricAlarmMetricQueryArgs
PERIOD_SECONDS = 60  # the finest that CloudWatch keeps of SQS's metrics


def queue_metric(id_: str, name: str, queue: pulumi.Input[str]) -> QueryArgs:
    """One metric of one queue, by the queue's name."""
    return _query(id_, "AWS/SQS", name, {"QueueName": queue})


def group_metric(id_: str, name: str, group: pulumi.Input[str]) -> QueryArgs:
    """One metric of an Auto Scaling group, by the group's name."""
    return _query(id_, "AWS/AutoScaling", name, {"AutoScalingGroupName": group})


def _query(id_: str, namespace: str, name: str, dimensions: dict[str, pulumi.Input[str]]) -> QueryArgs:
    return QueryArgs(
        id=id_,
        metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
            namespace=namespace, metric_name=name, dimensions=dimensions, period=PERIOD_SECONDS, stat="Maximum"
        ),
        return_data=False,
    )


def expression(id_: str, text: str) -> QueryArgs:
    """What an alarm looks at: a sum over the other queries."""
    return QueryArgs(id=id_, expression=text, label=id_, return_data=True)
