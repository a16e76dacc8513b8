"""The table: its keys, its indexes, and what lies where. `deploy/infra/storage.py` declares the same.

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
`ttl` is when an item expires, in seconds since the epoch. DynamoDB deletes it some time after that, so readers look at
it, too.
"""

import hashlib
from typing import Any

ID = "id"
PART = "part"
TTL = "ttl"
WHOLE = "-"  # the place of what is alone in its partition

BY_TIME = "by_time"
BY_STATE = "by_state"
AT = "at"
STATE = "state"

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html: a partition's name ends at 2,048
# bytes, a place's at 1,024, and neither may be empty.
MAX_NAME_BYTES = 900

ATTRIBUTES = {ID: "S", PART: "S", AT: "S", STATE: "S"}
# Of each index its place; its partition is the table's. Local ones can be read without lagging behind.
INDEXES: dict[str, tuple[str, dict[str, Any]]] = {
    BY_TIME: (AT, {"ProjectionType": "ALL"}),
    BY_STATE: (STATE, {"ProjectionType": "INCLUDE", "NonKeyAttributes": [TTL]}),
}


def named(name: str) -> str:
    """A name that others have given, such as a task's id, as a part of a key: its digest if it is too long or empty."""
    encoded = name.encode("utf-8", "surrogatepass")
    return name if 0 < len(encoded) <= MAX_NAME_BYTES else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def table(name: str) -> dict[str, Any]:
    """The parameters of CreateTable, for an emulator; on AWS the stack declares it."""

    def keys(place: str) -> list[dict[str, str]]:
        return [{"AttributeName": ID, "KeyType": "HASH"}, {"AttributeName": place, "KeyType": "RANGE"}]

    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in ATTRIBUTES.items()],
        "KeySchema": keys(PART),
        "LocalSecondaryIndexes": [
            {"IndexName": index, "KeySchema": keys(place), "Projection": projection}
            for index, (place, projection) in INDEXES.items()
        ],
    }


def differences(description: dict[str, Any]) -> list[str]:
    """What a table lacks, from DescribeTable's answer; each is a part of a sentence."""
    wanted = table(description["TableName"])
    found = {index["IndexName"]: index["KeySchema"] for index in description.get("LocalSecondaryIndexes", ())}
    lacks = [] if description["KeySchema"] == wanted["KeySchema"] else [f"its keys are not {ID} and {PART}"]
    return lacks + [
        f"it has no local index {index['IndexName']}"
        for index in wanted["LocalSecondaryIndexes"]
        if found.get(index["IndexName"]) != index["KeySchema"]
    ]
