"""Core current of an iCE40UP5K, estimated from published measurements."""

from itertools import pairwise

__all__ = ["CURRENT_UA", "current_ua"]

#: Core current in µA at 1.2 V by clock in Hz, published for a design that fills part of the device. The clock
#: dominates; the activity of the logic hardly matters.
CURRENT_UA = {10e3: 96.0, 6e6: 388.0, 12e6: 645.0}


def current_ua(clock_hz: float) -> float:
    """Return the core current in µA at `clock_hz`, 10 kHz to 12 MHz, interpolated between published points.

    Raises `ValueError` outside of them.
    """
    points = sorted(CURRENT_UA.items())
    for (low, at_low), (high, at_high) in pairwise(points):
        if low <= clock_hz <= high:
            return at_low + (at_high - at_low) * (clock_hz - low) / (high - low)
    raise ValueError(f"{clock_hz} Hz: the published currents are for 10 kHz to 12 MHz")
