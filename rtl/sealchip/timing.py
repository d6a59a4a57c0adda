"""Time to clock cycles, with the rounding error checked: the one place where seconds meet the clock."""

from math import ceil

__all__ = ["at_least", "bit_cycles", "cycles"]


def cycles(clock_hz, seconds, *, tolerance=0.01):
    """Whole clock cycles nearest to `seconds`.

    Raises `ValueError` when rounding moves the time by more than `tolerance` (relative).
    """
    exact = clock_hz * seconds
    whole = round(exact)
    if whole < 1 or abs(whole - exact) > tolerance * exact:
        raise ValueError(
            f"{seconds} s is {exact:.3f} cycles of a {clock_hz} Hz clock: cannot round within {tolerance:.1%}"
        )
    return whole


def bit_cycles(clock_hz, baud):
    """Clock cycles of one UART bit; at most 2 % off, so that 8E1 still meets the middle of the stop bit."""
    whole = cycles(clock_hz, 1 / baud, tolerance=0.02)
    if whole < 8:
        raise ValueError(f"{baud} baud needs at least 8 clock cycles a bit; {clock_hz} Hz gives {whole}")
    return whole


def at_least(clock_hz, seconds):
    """The fewest clock cycles that take `seconds` or longer: for times that may be exceeded at will."""
    return ceil(clock_hz * seconds)
