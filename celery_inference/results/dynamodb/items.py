"""Items of a table as Python's values, and the changes that are made to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_inference.results.dynamodb.schema import ID, INDEXES, PART, TTL

Value = str | bytes | int | float | bool
Item = dict[str, Value]
Key = tuple[str, str]  # partition and place in it, see `celery_inference.results.dynamodb.schema`


@dataclass(frozen=True, slots=True)
class ItemUpdate:
    """What an update does to one item, if the item still is what it was taken for.

    `where` has the attributes that decided, with the values they had; None stands for one that was not there.
    """

    put: Mapping[str, Value] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    where: Mapping[str, Value | None] = field(default_factory=dict)

    def expressions(self) -> dict[str, Any]:
        """The parameters of UpdateItem."""
        words = ExpressionNames()
        sets = [f"{words.name(attribute)} = {words.value(given)}" for attribute, given in self.put.items()]
        removes = [words.name(attribute) for attribute in self.remove]
        conditions = [
            f"attribute_not_exists({words.name(attribute)})"
            if was is None
            else f"{words.name(attribute)} = {words.value(was)}"
            for attribute, was in self.where.items()
        ]
        parts = [f"SET {', '.join(sets)}" if sets else "", f"REMOVE {', '.join(removes)}" if removes else ""]
        return {
            "UpdateExpression": " ".join(part for part in parts if part),
            **({"ConditionExpression": " AND ".join(conditions)} if conditions else {}),
            **words.parameters(),
        }


@dataclass(frozen=True, slots=True)
class Query:
    """Items of one partition, in the order of their places: in the table, or in one of its indexes.

    `place` is an operator (`=`, `<`, `>=`, `begins_with`) and a value; `conditions` are on other attributes, which
    are looked at after what they leave out has been read, and paid for.
    """

    partition: str
    index: str | None = None
    place: tuple[str, Value] | None = None
    conditions: tuple[tuple[str, str, Value], ...] = ()
    backwards: bool = False
    lagging: bool = False  # half the price, and may not see what was written a moment ago

    def parameters(self) -> dict[str, Any]:
        """Those of the operation Query."""
        words = ExpressionNames()
        condition = f"{words.name(ID)} = {words.value(self.partition)}"
        if self.place is not None:
            name = words.name(PART if self.index is None else INDEXES[self.index][0])
            operator, value = self.place
            term = words.value(value)
            condition += (
                f" AND {f'begins_with({name}, {term})' if operator == 'begins_with' else f'{name} {operator} {term}'}"
            )
        filters = [f"{words.name(name)} {operator} {words.value(value)}" for name, operator, value in self.conditions]
        return {
            "KeyConditionExpression": condition,
            "ScanIndexForward": not self.backwards,
            "ConsistentRead": not self.lagging,
            **({"IndexName": self.index} if self.index else {}),
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


def is_over(item: Mapping[str, Value], now: float) -> bool:
    """Whether an item has expired, though DynamoDB has not deleted it yet."""
    ttl = item.get(TTL)
    return isinstance(ttl, int | float) and ttl <= now
