"""The lanes of the default file, by name."""

from celery_inference.sqs.lanes import LANES, lane_named

INFERENCE = lane_named("inference", LANES)
INTERACTIVE = lane_named("inference-interactive", LANES)
BULK = lane_named("inference-bulk", LANES)
GENERAL = lane_named("inference-general", LANES)
LAMBDA = lane_named("inference-lambda", LANES)
