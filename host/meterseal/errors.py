"""Defines the only exception that a user sees, as one sentence."""

from __future__ import annotations

__all__ = ["Failure"]


class Failure(Exception):
    """Its message states in one clear sentence what went wrong and what to do; the command exits with 1."""
