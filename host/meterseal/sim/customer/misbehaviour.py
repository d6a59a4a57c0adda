"""What a simulated modem does that a modem in the field may do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Misbehaviour"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Misbehaviour:
    """The faults of one modem; 0 or False stands for none.

    `echo`: ignore ATE0. `unsolicited`: transmit lines that answer no command. `fail_every`: refuse each N-th
    message with +CMS ERROR: 500. `silent_every`: take each N-th message without an answer. `slow`: seconds
    from taking a message to its answer.
    """

    echo: bool = False
    unsolicited: bool = False
    fail_every: int = 0
    silent_every: int = 0
    slow: float = 0.0
