"""Time to clock cycles, with the rounding error checked: the one place where seconds meet the clock."""

from math import ceil

__all__ = ["at_least", "bit_cycles", "bit_steps", "cycles"]


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


def bit_steps(clock_hz, baud):
    """One UART bit as (cycles of a step, steps): as few steps as keep it within 0.5 %, eight at least.

    Where there are none, steps of one cycle. What counts steps is smaller than what counts cycles.
    """
    exact = clock_hz / baud
    for steps in range(8, 64):
        whole = round(exact / steps)
        if whole and abs(whole * steps - exact) <= 0.005 * exact:
            return whole, steps
    return 1, bit_cycles(clock_hz, baud)


def at_least(clock_hz, seconds):
    """The fewest clock cycles that take `seconds` or longer: for times that may be exceeded at will."""
    return ceil(clock_hz * seconds)
