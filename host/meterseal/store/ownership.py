"""Only one process writes to a store: writing connections of two processes can damage an SQLite file."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterseal.errors import Failure

__all__ = ["sole_owner"]


@contextmanager
def sole_owner(store: Path) -> Iterator[None]:
    """Own `store` exclusively; the operating system frees it when the process ends, however it ends.

    Raises `Failure` when another process owns it, or when the directory does not exist. The lock is on a file
    next to the store: SQLite has locks of its own on the store itself.
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
