"""GPU hosts on EC2: an Auto Scaling group from zero, one worker a host.

The worker protects its host from scale-in while it works, and stops at EC2's notice that spot capacity goes
(`tasks/hosts`, CELERY_INFERENCE_HOST). A host that is taken all the same shuts down: systemd ends the worker by
SIGTERM, which
releases what has not begun and finishes what it can; the rest is delivered again when its leases end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws

from deploy.infra.policies import document, trust
from deploy.infra.queues import LaneQueues
from deploy.infra.scaling import BacklogScaling
from deploy.infra.settings import FleetSettings
from deploy.infra.user_data import user_data


class GpuFleet(pulumi.ComponentResource):
    """`group` is the Auto Scaling group, `role` the hosts' role."""

    def __init__(
        self,
        name: str,
        fleet: FleetSettings,
        lanes: Sequence[LaneQueues],
        *,
        queue_prefix: str,
        worker_policy_arn: pulumi.Input[str],
        result_backend: pulumi.Input[str],
        claim_check: pulumi.Input[str],
        tags: dict[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("celery-inference:ec2:GpuFleet", name, None, opts)
        self._name, self._fleet, self._tags = name, fleet, tags
        self._child = pulumi.ResourceOptions(parent=self)
        self._queue_prefix = queue_prefix
        profile = self._profile(worker_policy_arn)
        region = lanes[0].queue.arn.apply(_region)
        template = self._template(profile, pulumi.Output.all(result_backend, claim_check, region))
        self.group = self._group(template)
        self._allow_protection()
        BacklogScaling(name, self.group, lanes, fleet, opts=self._child)
        self.register_outputs({"group": self.group.name})

    def _profile(self, worker_policy_arn: pulumi.Input[str]) -> aws.iam.InstanceProfile:
        self.role = aws.iam.Role(
            f"{self._name}-host", assume_role_policy=trust("ec2"), tags=self._tags, opts=self._child
        )
        attached = {
            "worker": worker_policy_arn,
            "registry": "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly",
        }
        for what, arn in attached.items():
            aws.iam.RolePolicyAttachment(
                f"{self._name}-host-{what}", role=self.role.name, policy_arn=arn, opts=self._child
            )
        return aws.iam.InstanceProfile(f"{self._name}-host", role=self.role.name, opts=self._child)

    def _allow_protection(self) -> None:
        """A policy of its own: the group's ARN is known when the group is there."""
        rows: list[dict[str, Any]] = [
            {
                "Effect": "Allow",
                "Action": "autoscaling:SetInstanceProtection",
                "Resource": self.group.arn,
            },
            # It has no permission by group.
            {"Effect": "Allow", "Action": "autoscaling:DescribeAutoScalingInstances", "Resource": "*"},
        ]
        aws.iam.RolePolicy(
            f"{self._name}-host-protection",
            role=self.role.name,
            policy=document(*rows),
            opts=self._child,
        )

    def _template(self, profile: aws.iam.InstanceProfile, known: pulumi.Output[list[str]]) -> aws.ec2.LaunchTemplate:
        return aws.ec2.LaunchTemplate(
            f"{self._name}-host",
            image_id=self._fleet.ami_id,
            instance_type=self._fleet.instance_types[0],
            iam_instance_profile={"arn": profile.arn},
            vpc_security_group_ids=self._fleet.security_group_ids,
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 2,  # the worker's container is one hop away
            },
            block_device_mappings=[
                {
                    "device_name": self._fleet.root_device,
                    "ebs": {
                        "volume_size": self._fleet.volume_gib,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            monitoring={"enabled": True},
            update_default_version=True,
            user_data=known.apply(
                lambda known: user_data(
                    image=self._fleet.worker_image,
                    result_backend=known[0],
                    claim_check=known[1],
                    queue_prefix=self._queue_prefix,
                    region=known[2],
                    units=Path(__file__).parent.parent / "systemd",
                )
            ),
            tag_specifications=[{"resource_type": "instance", "tags": self._tags}],
            opts=self._child,
        )

    def _group(self, template: aws.ec2.LaunchTemplate) -> aws.autoscaling.Group:
        return aws.autoscaling.Group(
            self._name,
            min_size=0,
            max_size=self._fleet.max_workers,
            vpc_zone_identifiers=self._fleet.subnet_ids,
            mixed_instances_policy={
                "launch_template": {
                    "launch_template_specification": {
                        "launch_template_id": template.id,
                        "version": template.latest_version.apply(lambda version: str(int(version))),
                    },
                    "overrides": [{"instance_type": kind} for kind in self._fleet.instance_types],
                },
                "instances_distribution": {
                    "on_demand_base_capacity": self._fleet.on_demand_base,
                    "on_demand_percentage_above_base_capacity": 100 - self._fleet.spot_percent,
                    "spot_allocation_strategy": "price-capacity-optimized",
                },
            },
            capacity_rebalance=True,
            health_check_type="EC2",
            health_check_grace_period=self._fleet.boot_seconds,
            default_instance_warmup=self._fleet.boot_seconds,
            enabled_metrics=[aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES],
            tags=[{"key": key, "value": value, "propagate_at_launch": True} for key, value in self._tags.items()],
            # What scaling has set is not Pulumi's to set back.
            opts=pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(ignore_changes=["desiredCapacity"])),
        )


def _region(arn: str) -> str:
    return arn.split(":")[3]
