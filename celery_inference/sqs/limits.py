"""Amazon SQS's quotas, each with the page it comes from.

MESSAGES: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
QUEUES: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
POLICIES: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
ATTRIBUTES: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

from typing import Final

MAX_MESSAGE_BYTES: Final = 1_048_576  # MESSAGES: body and message attributes together; also a batch's total
MIN_MESSAGE_SIZE_SETTING_BYTES: Final = 1_024  # ATTRIBUTES: MaximumMessageSize
MAX_BATCH_ENTRIES: Final = 10  # MESSAGES: batched send, delete, change visibility; messages of one receive
MAX_MESSAGE_ATTRIBUTES: Final = 10  # MESSAGES
MAX_RECEIVE_WAIT_SECONDS: Final = 20  # QUEUES: long polling
MAX_DELAY_SECONDS: Final = 900  # QUEUES: per queue and per message
MAX_VISIBILITY_SECONDS: Final = 43_200  # MESSAGES: 12 hours, counted from the first receive
MIN_RETENTION_SECONDS: Final = 60  # MESSAGES
MAX_RETENTION_SECONDS: Final = 1_209_600  # MESSAGES: 14 days
MAX_POLICY_BYTES: Final = 8_192  # POLICIES
MAX_RECEIVE_COUNT: Final = 1_000  # ATTRIBUTES: RedrivePolicy.maxReceiveCount
MAX_IN_FLIGHT_STANDARD: Final = 120_000  # QUEUES
MAX_IN_FLIGHT_FIFO: Final = 120_000  # QUEUES
MAX_QUEUE_NAME_CHARACTERS: Final = 80  # QUEUES: letters, digits, hyphen, underscore; FIFO names end in .fifo
MAX_QUEUE_TAGS: Final = 50  # QUEUES
