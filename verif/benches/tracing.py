"""Long computations without the tracing of code coverage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["untraced"]


@contextmanager
def untraced() -> Iterator[None]:
    """Run without measuring code coverage, which would take longer than all the rest.

    What is measured, the code that makes designs and programs, has run by then.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
