"""Defines the times of sending SMS through a modem, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SmsTiming"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class SmsTiming:
    """The modem must answer a command or a message in these seconds; `pause` precedes a new dialogue."""

    command: float = 5.0
    message: float = 60.0
    pause: float = 1.0
