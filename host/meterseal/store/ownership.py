"""One process writes to a store: two writing connections of different processes can damage an SQLite file."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterseal.errors import Failure

__all__ = ["sole_owner"]


@contextmanager
def sole_owner(store: Path) -> Iterator[None]:
    """Be the only process that owns `store`; the system lets go when the process ends, however it ends.

    `Failure` when another process is, or when there is no such directory. The lock is on a file beside the
    store: SQLite has locks of its own on the store itself.
    """
    beside = store.with_name(f"{store.name}.lock")
    try:
        file = beside.open("ab")
    except OSError as error:
        raise Failure(f"store {store}: {error.strerror}; give a file in a directory that is there") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"store {store}: a running system uses it; stop that first") from None
        yield
