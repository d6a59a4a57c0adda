"""The one exception that a user sees."""

from __future__ import annotations

__all__ = ["Failure"]


class Failure(Exception):
    """What went wrong and what to do, in one clear sentence; the command ends with exit code 1."""
