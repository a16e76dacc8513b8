"""Where results and large inputs are kept: one DynamoDB table, one private S3 bucket."""

import pulumi
import pulumi_aws as aws
from pulumi_aws.s3 import BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs as AbortUploadArgs
from pulumi_aws.s3 import (
    BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs as DefaultEncryptionArgs,
)
from pulumi_aws.s3 import BucketServerSideEncryptionConfigurationRuleArgs as EncryptionRuleArgs

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
            aws.dynamodb.TableArgs(
                name=f"{name}-results",
                billing_mode="PAY_PER_REQUEST",
                hash_key="id",
                range_key="part",
                attributes=[aws.dynamodb.TableAttributeArgs(name=key, type="S") for key in KEYS],
                local_secondary_indexes=[
                    aws.dynamodb.TableLocalSecondaryIndexArgs(name="by_time", range_key="at", projection_type="ALL"),
                    aws.dynamodb.TableLocalSecondaryIndexArgs(
                        name="by_state", range_key="state", projection_type="INCLUDE", non_key_attributes=["ttl"]
                    ),
                ],
                ttl=aws.dynamodb.TableTtlArgs(attribute_name="ttl", enabled=True),
                point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
                server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(
                    enabled=True, kms_key_arn=kms_key_arn
                ),
                deletion_protection_enabled=True,
                tags=tags,
            ),
            opts=child,
        )
        self.bucket = aws.s3.Bucket(f"{name}-objects", aws.s3.BucketArgs(tags=tags), opts=child)
        self._close_bucket(name, object_days, kms_key_arn, child)
        self.register_outputs({"table": self.table.name, "bucket": self.bucket.bucket})

    def _close_bucket(self, name: str, days: int, kms_key_arn: str | None, child: pulumi.ResourceOptions) -> None:
        bucket = self.bucket.bucket
        aws.s3.BucketPublicAccessBlock(
            f"{name}-objects",
            aws.s3.BucketPublicAccessBlockArgs(
                bucket=bucket,
                block_public_acls=True,
                block_public_policy=True,
                ignore_public_acls=True,
                restrict_public_buckets=True,
            ),
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-objects",
            aws.s3.BucketServerSideEncryptionConfigurationInitArgs(
                bucket=bucket,
                rules=[
                    EncryptionRuleArgs(
                        apply_server_side_encryption_by_default=DefaultEncryptionArgs(
                            sse_algorithm="AES256" if kms_key_arn is None else "aws:kms", kms_master_key_id=kms_key_arn
                        ),
                        bucket_key_enabled=kms_key_arn is not None,
                    )
                ],
            ),
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-objects",
            aws.s3.BucketLifecycleConfigurationArgs(
                bucket=bucket,
                rules=[
                    aws.s3.BucketLifecycleConfigurationRuleArgs(
                        id="expire",
                        status="Enabled",
                        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
                        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
                        abort_incomplete_multipart_upload=AbortUploadArgs(days_after_initiation=1),
                    )
                ],
            ),
            opts=child,
        )
        aws.s3.BucketPolicy(
            f"{name}-objects",
            aws.s3.BucketPolicyArgs(
                bucket=bucket,
                policy=pulumi.Output.json_dumps(
                    {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Sid": "TlsOnly",
                                "Effect": "Deny",
                                "Principal": "*",
                                "Action": "s3:*",
                                "Resource": [self.bucket.arn, pulumi.Output.concat(self.bucket.arn, "/*")],
                                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                            }
                        ],
                    }
                ),
            ),
            opts=child,
        )
