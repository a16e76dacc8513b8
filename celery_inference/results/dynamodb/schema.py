"""The table as AWS declares it: its keys and its indexes. `deploy/infra/storage.py` declares the same.

`celery_inference.results.items` says what lies where.
"""

from typing import Any

from celery_inference.results.items import AT, BY_STATE, BY_TIME, ID, PART, STATE, TTL

ATTRIBUTES = {ID: "S", PART: "S", AT: "S", STATE: "S"}
# Of each index its place; its partition is the table's. Local ones can be read without lagging behind.
INDEXES: dict[str, tuple[str, dict[str, Any]]] = {
    BY_TIME: (AT, {"ProjectionType": "ALL"}),
    BY_STATE: (STATE, {"ProjectionType": "INCLUDE", "NonKeyAttributes": [TTL]}),
}


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
