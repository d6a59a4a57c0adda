"""Settings and thresholds (定值) of the metering system."""

from __future__ import annotations

from dataclasses import dataclass

from meterseal.protocols.csg1209022.timing import ANSWER_TIME, HEARTBEAT

__all__ = ["Settings"]


# Without slots, so that the command line reads each default from the class.
@dataclass(frozen=True)
class Settings:
    """All times in seconds."""

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
    #: How long a terminal may wait for a meter or seal behind it.
    bus_timeout: int = 5
    #: Connections served at a time.
    connections: int = 10_000
    #: A seal whose key is known may send unsigned records: they are believed.
    allow_unsigned: bool = False
    #: P0 P1 P2 of writes to meters, as on the wire.
    meter_password: bytes = bytes(3)

    @property
    def patience(self) -> float:
        """Seconds of silence after which a terminal counts as lost."""
        return self.heartbeat * self.silence
