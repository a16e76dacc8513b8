"""What every result store keeps: items in partitions, and the changes that are made to them.

| partition `id` | place `part` | what |
|---|---|---|
| Celery's key of a task | `-` | its state and generation, and its attempts until it ends |
| | `past#GENERATION` | an outcome of an earlier generation |
| | `piece#TOKEN#NUMBER` | a piece of a large value |
| any other key of Celery's | `-` | its value, as of groups |
| `cancelled#TASK` | `-` | a revocation |
| `lease#NAME` | `-` | whose it is |
| `killers` | a digest | inputs that end a device process |
| `submission#TASK` | `-` | who sends the work of a deduplication key |
| `chord#GROUP` | `-` | how often a part has ended, and whether the body was sent |
| `parts#GROUP` | the part's task id | a part that has ended |
| `hosts` | `MINUTE#HOST` | attempts that a host has begun, and that failed there |
| `letters#LANE` | the letter's id | an entry of the index of dead letters |
| `lanes` | a lane | that it has or had dead letters |
| `stops` | a lane | that its consumption is paused |

Letters alone have `at` (the time they failed at, then their id) and `state`, and so are alone in the two indexes.
`ttl` is when an item expires, in seconds since the epoch. A store deletes it some time after that, so readers look at
it, too.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

ID = "id"
PART = "part"
TTL = "ttl"
FINAL = "final"  # of a state: whether it stays
VALUE = "value"  # the only attribute that holds bytes
WHOLE = "-"  # the place of what is alone in its partition

AT = "at"
STATE = "state"
BY_TIME = "by_time"
BY_STATE = "by_state"
INDEXED = {BY_TIME: AT, BY_STATE: STATE}  # of each index the attribute that orders a partition

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: a partition's name ends at 2,048
# bytes, a place's at 1,024, and neither may be empty.
MAX_NAME_BYTES = 900

Value = str | bytes | int | float | bool
Item = dict[str, Value]
Key = tuple[str, str]  # partition and place in it


def key_of(item: Mapping[str, Value]) -> Key:
    """Where an item lies."""
    return str(item[ID]), str(item[PART])


def named(name: str) -> str:
    """A name that others have given, such as a task's id, as a part of a key: its digest if it is too long or empty."""
    encoded = name.encode("utf-8", "surrogatepass")
    return name if 0 < len(encoded) <= MAX_NAME_BYTES else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def is_over(item: Mapping[str, Value], now: float) -> bool:
    """Whether an item has expired, though the store has not deleted it yet."""
    ttl = item.get(TTL)
    return ttl is not None and float(ttl) <= now


def ttl_of(expires_at: float) -> int:
    """When an item expires, in whole seconds, as DynamoDB wants it."""
    return math.ceil(expires_at)


class ItemUpdate(NamedTuple):
    """What an update does to one item, if the item still is what it was taken for.

    `where` has the attributes that decided, with the values they had; None stands for one that was not there. `beside`
    is another item, which is put before.
    """

    put: Mapping[str, Value] = MappingProxyType({})
    remove: tuple[str, ...] = ()
    where: Mapping[str, Value | None] = MappingProxyType({})
    beside: Item | None = None

    def fits(self, item: Item) -> bool:
        """Whether the item is what it was taken for."""
        return all(item.get(name) == was for name, was in self.where.items())

    def applied(self, key: Key, item: Item) -> Item:
        """The item after the update."""
        applied = {**item, **self.put, ID: key[0], PART: key[1]}
        for name in self.remove:
            if name not in self.put:
                applied.pop(name, None)
        return applied


@dataclass(frozen=True, slots=True)
class Query:
    """Items of one partition, in the order of their places, or of one of the indexes.

    `place` is an operator (`=`, `<`, `>=`, `begins_with`) and a value; `conditions` are on other attributes, which
    are looked at after what they leave out has been read, and with DynamoDB paid for.
    """

    partition: str
    index: str | None = None
    place: tuple[str, Value] | None = None
    conditions: tuple[tuple[str, str, Value], ...] = ()
    backwards: bool = False
    lagging: bool = False  # may not see what was written a moment ago; half the price with DynamoDB

    @property
    def order(self) -> str:
        """The attribute that orders the items."""
        return PART if self.index is None else INDEXED[self.index]
