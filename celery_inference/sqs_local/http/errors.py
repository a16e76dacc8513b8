"""What the server refuses, in SQS's own words.

ApiError carries the three names that one error has: the shape that boto3 makes an exception class of, the code of
the older query protocol (which boto3 shows as `response["Error"]["Code"]`), and the HTTP status.
"""

from typing import Final

# Shapes that SQS has from the framework that it is built with.
_OF_CORAL: Final = ("InvalidParameterValueException", "MissingRequiredParameterException")


class ApiError(Exception):
    """One refused request or batch entry. `receiver_fault` says whether it is the server's fault."""

    def __init__(self, shape: str, message: str, *, query_code: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.shape = shape
        self.message = message
        self.query_code = query_code or shape
        self.status = status

    @property
    def type(self) -> str:
        """The shape, with its namespace before it."""
        return f"{'com.amazon.coral.service' if self.shape in _OF_CORAL else 'com.amazonaws.sqs'}#{self.shape}"

    @property
    def receiver_fault(self) -> bool:
        return self.status >= 500


def no_such_queue() -> ApiError:
    return ApiError(
        "QueueDoesNotExist",
        "The specified queue does not exist.",
        query_code="AWS.SimpleQueueService.NonExistentQueue",
    )


def queue_exists(attribute: str) -> ApiError:
    return ApiError(
        "QueueNameExists",
        f"A queue already exists with the same name and a different value for attribute {attribute}",
        query_code="QueueAlreadyExists",
    )


def missing(parameter: str) -> ApiError:
    reason = f"The request must contain the parameter {parameter}."
    return ApiError("MissingRequiredParameterException", reason, query_code="MissingParameter")


def invalid(reason: str) -> ApiError:
    return ApiError("InvalidParameterValueException", reason, query_code="InvalidParameterValue")


def invalid_value(value: object, parameter: str, reason: str) -> ApiError:
    return invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def unknown_attribute(name: str) -> ApiError:
    return ApiError("InvalidAttributeName", f"Unknown Attribute {name}.")


def fifo_only(name: str) -> ApiError:
    return ApiError("InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true.")


def invalid_attribute(name: str, reason: str = "") -> ApiError:
    text = f"Invalid value for the parameter {name}."
    return ApiError("InvalidAttributeValue", f"{text} Reason: {reason}" if reason else text)


def bad_handle(handle: str) -> ApiError:
    return ApiError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')


def not_in_flight() -> ApiError:
    return ApiError(
        "MessageNotInflight",
        "The specified message isn't in flight.",
        query_code="AWS.SimpleQueueService.MessageNotInflight",
    )


def over_limit(reason: str) -> ApiError:
    return ApiError("OverLimit", reason, status=403)


def in_batch(shape: str, message: str) -> ApiError:
    """The errors of a batch as a whole, whose query codes all share one prefix."""
    return ApiError(shape, message, query_code=f"AWS.SimpleQueueService.{shape}")


def unsupported(reason: str) -> ApiError:
    return ApiError("UnsupportedOperation", reason, query_code="AWS.SimpleQueueService.UnsupportedOperation")


def unknown_operation(name: str) -> ApiError:
    return ApiError("UnknownOperationException", f"The operation {name!r} is not known.", status=404)


def unknown_action(name: str) -> ApiError:
    """The same in the query protocol."""
    return ApiError("InvalidAction", f"The action {name} is not valid for this endpoint.")


def malformed(reason: str) -> ApiError:
    return ApiError("SerializationException", reason)


def unavailable(reason: str) -> ApiError:
    return ApiError("ServiceUnavailable", reason, status=503)
