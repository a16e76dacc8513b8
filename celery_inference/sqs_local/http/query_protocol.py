"""The older query protocol, of SDKs from before 2023: forms in, XML out, the operations and their fields the same.

Names differ: a form numbers the items of a list under a singular name (`Attribute.1.Name`), as does the XML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from celery_inference.sqs_local.http.errors import ApiError, malformed, missing
from celery_inference.sqs_local.http.server import Request
from celery_inference.sqs_local.http.validation import REFUSED_CHARACTERS

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 2_000  # ten entries with ten attributes each have 500
_MAX_DEPTH: Final = 8  # SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue has 6
_NAMESPACE: Final = "http://queue.amazonaws.com/doc/2012-11-05/"
_LISTS: Final = {
    "AttributeName": "AttributeNames",
    "MessageAttributeName": "MessageAttributeNames",
    "MessageSystemAttributeName": "MessageSystemAttributeNames",
    "TagKey": "TagKeys",
}
_MAPS: Final = {
    "Attribute": ("Attributes", "Name", "Value"),
    "MessageAttribute": ("MessageAttributes", "Name", "Value"),
    "MessageSystemAttribute": ("MessageSystemAttributes", "Name", "Value"),
    "Tag": ("Tags", "Key", "Value"),
}
_ENTRIES: Final = (
    "SendMessageBatchRequestEntry",
    "DeleteMessageBatchRequestEntry",
    "ChangeMessageVisibilityBatchRequestEntry",
)
_PLURALS: Final = frozenset((*_LISTS.values(), *(shown for shown, _, _ in _MAPS.values()), "Entries"))
_NUMBERS: Final = (
    "DelaySeconds",
    "MaxNumberOfMessages",
    "MaxNumberOfMessagesPerSecond",
    "MaxResults",
    "VisibilityTimeout",
    "WaitTimeSeconds",
)
_ITEMS: Final = {
    "Failed": "BatchResultErrorEntry",
    "Messages": "Message",
    "QueueUrls": "QueueUrl",
    "queueUrls": "QueueUrl",
    "Results": "ListMessageMoveTasksResultEntry",
}
_PAIRS: Final = {shown: (item, key, value) for item, (shown, key, value) in _MAPS.items()}
_Tree = dict[str, Any]


def is_query(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith(_FORM)


def parsed(request: Request) -> tuple[str, dict[str, Any]]:
    """Operation and fields as the JSON protocol has them. Raises ApiError."""
    try:
        pairs = parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise malformed("The request is not a form of UTF-8 text.") from None
    tree: _Tree = {}
    for name, value in pairs:
        _plant(tree, name.split("."), value)
    operation = tree.pop("Action", None)
    if not isinstance(operation, str) or not operation:
        raise missing("Action")
    fields = _fields(tree)
    path = request.line.split(" ")[1]
    if "QueueUrl" not in fields and path.count("/") > 1:
        fields["QueueUrl"] = path
    return operation, fields


def _plant(tree: _Tree, path: list[str], value: str) -> None:
    if len(path) > _MAX_DEPTH:
        raise malformed("A field of the form is nested too deeply.")
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            raise malformed(f"The field {step} of the form is both a value and a structure.")
    tree[path[-1]] = value


def _fields(tree: _Tree) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in tree.items():
        if value == "" and name in _PLURALS:
            continue  # how boto3 writes an empty list
        if name in _LISTS:
            fields[_LISTS[name]] = [value] if isinstance(value, str) else _numbered(name, value)
        elif name in _MAPS:
            shown, key, content = _MAPS[name]
            items = [item if isinstance(item, dict) else {} for item in _numbered(name, value)]
            fields[shown] = {str(item.get(key, "")): item.get(content, "") for item in items}
        elif name in _ENTRIES:
            fields["Entries"] = [_fields(item) if isinstance(item, dict) else item for item in _numbered(name, value)]
        elif name in _NUMBERS:
            fields[name] = _number(name, value)
        else:
            fields[name] = value
    return fields


def _numbered(name: str, tree: object) -> list[Any]:
    if not isinstance(tree, dict) or not all(number.isascii() and number.isdigit() for number in tree):
        raise malformed(f"The items of {name} must be numbered.")
    return [tree[number] for number in sorted(tree, key=lambda number: (len(number), number))]


def _number(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise malformed(f"{name} must be an integer.") from None


def shown(operation: str, answer: Mapping[str, Any], request_id: str) -> tuple[bytes, bytes]:
    """Headers and body."""
    inner = "".join(_element(operation, name, value) for name, value in answer.items())
    # Operations that never have anything to say leave the result out.
    result = f"<{operation}Result>{inner}</{operation}Result>"
    if not inner and not operation.startswith(("Get", "List", "Receive")):
        result = ""
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return _document(f"{operation}Response", result + metadata, request_id)


def shown_error(error: ApiError, request_id: str) -> tuple[bytes, bytes]:
    fault = "Receiver" if error.receiver_fault else "Sender"
    about = f"<Type>{fault}</Type><Code>{error.query_code}</Code><Message>{_text(error.message)}</Message><Detail/>"
    metadata = f"<RequestId>{request_id}</RequestId>"
    return _document("ErrorResponse", f"<Error>{about}</Error>{metadata}", request_id)


def _document(root: str, content: str, request_id: str) -> tuple[bytes, bytes]:
    text = f'<?xml version="1.0"?><{root} xmlns="{_NAMESPACE}">{content}</{root}>'
    return f"Content-Type: text/xml\r\nx-amzn-RequestId: {request_id}\r\n".encode(), text.encode()


def _element(operation: str, name: str, value: object) -> str:
    if isinstance(value, list):
        item = f"{operation}ResultEntry" if name == "Successful" else _ITEMS.get(name, name)
        return "".join(_element(operation, item, each) for each in value)
    if isinstance(value, dict):
        if name not in _PAIRS:
            return f"<{name}>{''.join(_element(operation, key, each) for key, each in value.items())}</{name}>"
        item, key_name, value_name = _PAIRS[name]
        pairs = ({key_name: key, value_name: each} for key, each in value.items())
        return "".join(_element(operation, item, pair) for pair in pairs)
    return f"<{name}>{str(value).lower() if isinstance(value, bool) else _text(str(value))}</{name}>"


def _text(text: str) -> str:
    """A carriage return would be read as a newline; errors may speak of characters that XML cannot hold."""
    return escape(REFUSED_CHARACTERS.sub("", text), {"\r": "&#13;"})
