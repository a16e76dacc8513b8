"""Where results and large inputs are kept: one DynamoDB table, one private S3 bucket."""

import pulumi
import pulumi_aws as aws

from deploy.infra.policies import tls_only

# Of the table and its indexes. `celery_inference/results/dynamodb/schema.py` says what lies where; a test compares the
# two.
KEYS = ("id", "part", "at", "state")
INDEXES = ("by_time", "by_state")


class Storage(pulumi.ComponentResource):
    """`table` is the result store, see `celery_inference/results/dynamodb`, whose items expire by themselves.

    `bucket` holds inputs that do not fit into a message.
    """

    def __init__(
        self,
        name: str,
        *,
        object_days: int,
        kms_key_arn: str | None = None,
        tags: dict[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("celery-inference:storage:Storage", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.table = aws.dynamodb.Table(
            f"{name}-results",
            name=f"{name}-results",
            billing_mode="PAY_PER_REQUEST",
            hash_key="id",
            range_key="part",
            attributes=[{"name": key, "type": "S"} for key in KEYS],
            local_secondary_indexes=[
                {"name": "by_time", "range_key": "at", "projection_type": "ALL"},
                {
                    "name": "by_state",
                    "range_key": "state",
                    "projection_type": "INCLUDE",
                    "non_key_attributes": ["ttl"],
                },
            ],
            ttl={"attribute_name": "ttl", "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True, kms_key_arn=kms_key_arn),
            deletion_protection_enabled=True,
            tags=tags,
            opts=child,
        )
        self.bucket = aws.s3.Bucket(f"{name}-objects", tags=tags, opts=child)
        self._close_bucket(name, object_days, kms_key_arn, child)
        self.register_outputs({"table": self.table.name, "bucket": self.bucket.bucket})

    def _close_bucket(self, name: str, days: int, kms_key_arn: str | None, child: pulumi.ResourceOptions) -> None:
        bucket = self.bucket.bucket
        aws.s3.BucketPublicAccessBlock(
            f"{name}-objects",
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        encryption = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256" if kms_key_arn is None else "aws:kms", kms_master_key_id=kms_key_arn
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-objects",
            bucket=bucket,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=encryption, bucket_key_enabled=kms_key_arn is not None
                )
            ],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-objects",
            bucket=bucket,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=child,
        )
        everything = [self.bucket.arn, pulumi.Output.concat(self.bucket.arn, "/*")]
        aws.s3.BucketPolicy(f"{name}-objects", bucket=bucket, policy=tls_only("s3", everything), opts=child)
