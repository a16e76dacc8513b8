"""Attempts in the table: with the state of their task, so that storing its outcome ends them for nothing."""

import json
import math
from collections.abc import Mapping

from celery_inference.results.dynamodb.items import Change, Item, Value, is_over
from celery_inference.results.dynamodb.schema import ID, PART, TTL
from celery_inference.results.protocol import KEEP_SECONDS, Start
from celery_inference.results.rules import Account

_PREFIX = "attempts-"


def attribute(generation: int) -> str:
    """Where the account of a generation is."""
    return f"{_PREFIX}{generation}"


def account_in(item: Mapping[str, Value], generation: int) -> Account:
    """The account of a generation."""
    text = item.get(attribute(generation))
    if text is None:
        return Account()
    delivery, *hosts = json.loads(str(text))
    return Account(tuple(hosts), delivery)


def beginning(item: Item, start: Start, now: float) -> Change | None:
    """What counts this attempt; None if it is counted."""
    name, ttl, over = attribute(start.generation), item.get(TTL), is_over(item, now)
    account = Account() if over else account_in(item, start.generation)
    begun = account.begun(start)
    if begun == account:
        return None
    put: dict[str, Value] = {name: _text(begun)}
    if not item or ttl is not None:  # what is there without an end is kept without one
        keep = math.ceil(now + KEEP_SECONDS)
        put[TTL] = keep if ttl is None or over else max(int(ttl), keep)
    # What DynamoDB has not deleted yet is no state of this request.
    stale = tuple(other for other in item if other not in (ID, PART, name, TTL)) if over else ()
    return Change(put=put, remove=stale, where={name: item.get(name), TTL: ttl})


def taking_back(item: Item, start: Start) -> Change | None:
    """What uncounts this attempt; None if the last one is another's."""
    account = account_in(item, start.generation)
    left = account.taken_back(start)
    if left == account:
        return None
    name = attribute(start.generation)
    return Change(put={name: _text(left)}, where={name: item[name]})


def accounts_to_forget(item: Item, generation: int | None) -> list[str]:
    """The attributes of generations that have ended with this one; None means all. Its own is among them, unseen."""
    found = {int(name.removeprefix(_PREFIX)) for name in item if name.startswith(_PREFIX)}
    ended = {each for each in found if generation is None or each <= generation}
    return [attribute(each) for each in sorted(ended | {generation or 0})]


def _text(account: Account) -> str:
    return json.dumps([account.delivery, *account.hosts], separators=(",", ":"))
