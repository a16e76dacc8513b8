"""Items, updates and queries in DynamoDB's words."""

from collections.abc import Mapping
from typing import Any

from celery_inference.results.items import ID, Item, ItemUpdate, Query, Value


def update_expressions(change: ItemUpdate) -> dict[str, Any]:
    """The parameters of UpdateItem."""
    words = ExpressionNames()
    sets = [f"{words.name(attribute)} = {words.value(given)}" for attribute, given in change.put.items()]
    removes = [words.name(attribute) for attribute in change.remove]
    conditions = [
        f"attribute_not_exists({words.name(attribute)})"
        if was is None
        else f"{words.name(attribute)} = {words.value(was)}"
        for attribute, was in change.where.items()
    ]
    parts = [f"SET {', '.join(sets)}" if sets else "", f"REMOVE {', '.join(removes)}" if removes else ""]
    return {
        "UpdateExpression": " ".join(part for part in parts if part),
        **({"ConditionExpression": " AND ".join(conditions)} if conditions else {}),
        **words.parameters(),
    }


def query_expressions(query: Query) -> dict[str, Any]:
    """The parameters of the operation Query."""
    words = ExpressionNames()
    condition = f"{words.name(ID)} = {words.value(query.partition)}"
    if query.place is not None:
        name = words.name(query.order)
        operator, value = query.place
        term = words.value(value)
        condition += (
            f" AND {f'begins_with({name}, {term})' if operator == 'begins_with' else f'{name} {operator} {term}'}"
        )
    filters = [f"{words.name(name)} {operator} {words.value(value)}" for name, operator, value in query.conditions]
    return {
        "KeyConditionExpression": condition,
        "ScanIndexForward": not query.backwards,
        "ConsistentRead": not query.lagging,
        **({"IndexName": query.index} if query.index else {}),
        **({"FilterExpression": " AND ".join(filters)} if filters else {}),
        **words.parameters(),
    }


class ExpressionNames:
    """The names and values of an expression: attributes may be reserved words, so that each gets a short name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, dict[str, Any]] = {}

    def name(self, attribute: str) -> str:
        """What stands for an attribute."""
        return self._names.setdefault(attribute, f"#n{len(self._names)}")

    def value(self, value: Value) -> str:
        """What stands for a value."""
        word = f":v{len(self._values)}"
        self._values[word] = typed(value)
        return word

    def parameters(self) -> dict[str, Any]:
        """What the operation is given for them."""
        names = {word: attribute for attribute, word in self._names.items()}
        return {
            **({"ExpressionAttributeNames": names} if names else {}),
            **({"ExpressionAttributeValues": self._values} if self._values else {}),
        }


def typed(value: Value) -> dict[str, Any]:
    """A value as DynamoDB's JSON has it."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    return {"S": value} if isinstance(value, str) else {"B": value}


def plain(value: Mapping[str, Any]) -> Value:
    """The value of DynamoDB's JSON."""
    ((kind, given),) = value.items()
    if kind == "N":
        text = str(given)
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    found: Value = given
    return found


def typed_item(item: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    """An item as DynamoDB's JSON has it."""
    return {name: typed(value) for name, value in item.items()}


def plain_item(item: Mapping[str, Mapping[str, Any]]) -> Item:
    """The item of DynamoDB's JSON."""
    return {name: plain(value) for name, value in item.items()}
