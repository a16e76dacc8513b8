"""What a result store needs of a database: items by key, changed under conditions, and read in order."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from celery_inference.results.items import TTL, Item, ItemUpdate, Key, Query, is_over, key_of

# Asked about the item as it is, empty if there is none; None leaves it so. May be asked several times, and about an
# item that is not there though it is: the update's `where` then keeps it from being written.
Decide = Callable[[Item], ItemUpdate | None]


class ItemTable(ABC):
    """All methods may be called from any thread, block until their writes are durable, and raise StoreUnavailable.

    `bounded`: an item has a largest size, and each KiB its price: values are compressed, and kept in pieces.
    `look_seconds`: how often a process may read what others may have written, by what a call costs.
    """

    bounded: ClassVar[bool] = False
    look_seconds: ClassVar[float]

    @abstractmethod
    def get(self, keys: Iterable[Key], *attributes: str, lagging: bool = False) -> dict[Key, Item]:
        """The items that are there; with `attributes` at least those of them, beside the keys.

        `lagging` reads cost DynamoDB half, and may not see what was written a moment ago.
        """

    @abstractmethod
    def put(self, items: Sequence[Item]) -> None:
        """Put items, whatever was there."""

    @abstractmethod
    def delete(self, keys: Sequence[Key]) -> None:
        """Delete items, whether or not they are there."""

    @abstractmethod
    def pop(self, key: Key) -> Item:
        """Delete an item and return what it was, empty if it was not there."""

    @abstractmethod
    def revise(self, revisions: Sequence[tuple[Key, Decide]], *, expected: bool = False) -> list[Item]:
        """Change each item as its present state asks for, and return each as it then is; in the order given.

        `expected`: the items are mostly there already. Each is changed alone: after an error some may be.
        """

    @abstractmethod
    def query(self, query: Query, *, page: int | None = None) -> Iterator[Item]:
        """The items, read as they are iterated: `page` at a time, or as many as the store gives."""

    @abstractmethod
    def count(self, query: Query) -> int:
        """How many they are."""

    def put_new(self, items: Sequence[Item]) -> None:
        """Put items where none is, or one that has expired."""
        now = time.time()

        def decided(item: Item) -> Decide:
            def decide(present: Item) -> ItemUpdate | None:
                if present and not is_over(present, now):
                    return None
                stale = tuple(name for name in present if name not in item)
                return ItemUpdate(put=item, remove=stale, where={TTL: present.get(TTL)})

            return decide

        self.revise([(key_of(item), decided(item)) for item in items])

    def update(self, updates: Sequence[tuple[Key, ItemUpdate]]) -> None:
        """Update each item that is what its update takes it for; the others stay as they are."""

        def decided(change: ItemUpdate) -> Decide:
            return lambda present: change if change.fits(present) else None

        self.revise([(key, decided(change)) for key, change in updates], expected=True)

    def add(self, key: Key, numbers: Mapping[str, int], ttl: int) -> Item:
        """Add to numbers of an item, which begin at 0, and return it."""

        def decide(present: Item) -> ItemUpdate:
            sums = {name: int(present.get(name, 0)) + number for name, number in numbers.items()}
            return ItemUpdate(put={**sums, TTL: ttl}, where={name: present.get(name) for name in numbers})

        return self.revise([(key, decide)], expected=True)[0]

    def weaknesses(self) -> list[str]:
        """What of the server's settings promises less than this store does; each is a sentence's part."""
        return []

    def check(self) -> list[str]:
        """What the table lacks to be a result store's; each is a part of a sentence."""
        return []
