"""The settings and thresholds (定值) of the metering system stand here, each with its one default."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.protocols.csg1209022.timing import ANSWER_TIME, HEARTBEAT

__all__ = ["Settings"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Settings:
    """The settings of the metering system have all times in seconds."""

    #: Heartbeat period of the terminals.
    heartbeat: float = HEARTBEAT
    #: A terminal silent for so many heartbeats is lost.
    silence: float = 2.5
    #: Largest accepted difference between a meter's clock and this one, above the terminals' poll period.
    clock_drift: float = 60.0
    #: How long a meter's cover alarm waits for the seal record that explains it.
    cover_grace: float = 30.0
    #: How far the times of a cover alarm and of the seal's opening may differ.
    cover_tolerance: float = 5.0
    #: How long a terminal may take to answer a request.
    request_timeout: float = ANSWER_TIME
    #: How long a terminal may wait for a meter or seal on its bus.
    bus_timeout: int = 5
    #: Connections served at a time.
    connections: int = 10_000
    #: Unsigned records of a seal whose key is known are accepted.
    allow_unsigned: bool = False
    #: P0 P1 P2 of writes to meters, as on the wire.
    meter_password: bytes = bytes(3)

    @property
    def patience(self) -> float:
        """Return the seconds of silence after which a terminal counts as lost."""
        return self.heartbeat * self.silence
