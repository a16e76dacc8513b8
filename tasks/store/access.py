"""How the rest of the program reaches the store."""

from typing import Any, cast

from tasks.store.protocol import Store


def store_of(app: Any) -> Store | None:
    """The store of an application's result backend; None for a backend that has none."""
    return cast("Store | None", getattr(app.backend, "store", None))
