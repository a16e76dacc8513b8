"""Names of spans and attributes: a closed list, described in docs/tracing.md.

OpenTelemetry's own where its semantic conventions have one. Inputs, results and messages of errors are never among
the values.
"""

# Of the conventions for messaging, databases, generative models and errors, https://opentelemetry.io/docs/specs/semconv/
SYSTEM = "messaging.system"
DESTINATION = "messaging.destination.name"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
MESSAGE_ID = "messaging.message.id"  # SQS's
CONVERSATION_ID = "messaging.message.conversation_id"  # the task's id
DATABASE = "db.system.name"
MODEL = "gen_ai.request.model"
ERROR_TYPE = "error.type"
# As Celery's instrumentation has them.
TASK_NAME = "celery.task_name"
STATE = "celery.state"
# Ours.
DELIVERY = "inference.delivery"  # SQS's count of receives
GENERATION = "inference.generation"
DEVICE = "inference.device"
ROWS = "inference.batch.rows"
PASSES = "inference.batch.passes"
TOKENS = "inference.batch.tokens"
PADDED_TOKENS = "inference.batch.padded_tokens"

ATTRIBUTES = (
    SYSTEM,
    DESTINATION,
    OPERATION,
    OPERATION_TYPE,
    MESSAGE_ID,
    CONVERSATION_ID,
    DATABASE,
    MODEL,
    ERROR_TYPE,
    TASK_NAME,
    STATE,
    DELIVERY,
    GENERATION,
    DEVICE,
    ROWS,
    PASSES,
    TOKENS,
    PADDED_TOKENS,
)

AWS_SQS = "aws_sqs"

# Spans; the queue's or the model's name follows where it makes sense.
SEND = "send"
WAIT = "wait in"
PROCESS = "process"
REDEEM = "redeem inputs"
WAIT_FOR_BATCH = "wait for a batch"
BATCH = "batch"
STEPS = ("prepare", "forward", "finish")
STORE = "store result"
