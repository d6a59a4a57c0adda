"""Conversion of times to clock cycles, with the rounding error checked; nothing else converts them."""

from math import ceil

__all__ = ["at_least", "bit_cycles", "bit_steps", "cycles"]


def cycles(clock_hz, seconds, *, tolerance=0.01):
    """Return the number of clock cycles nearest to `seconds`.

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
    """Return the clock cycles of one UART bit.

    At most 2 % of error is allowed: over the 11 bits of 8E1 it adds up to a fifth of a bit, so that the
    receiver still samples the stop bit well inside. Raises `ValueError` where the clock cannot do that.
    """
    whole = cycles(clock_hz, 1 / baud, tolerance=0.02)
    if whole < 8:
        raise ValueError(f"{baud} baud needs at least 8 clock cycles a bit; {clock_hz} Hz gives {whole}")
    return whole


def bit_steps(clock_hz, baud):
    """Return one UART bit as (cycles of a step, steps), with the fewest steps, from eight on, within 0.5 %.

    If no number of steps below 64 is that exact, a step is one cycle. A counter of steps is smaller than one
    of cycles, and several of them can share the counter of a step's cycles.
    """
    exact = clock_hz / baud
    for steps in range(8, 64):
        whole = round(exact / steps)
        if whole and abs(whole * steps - exact) <= 0.005 * exact:
            return whole, steps
    return 1, bit_cycles(clock_hz, baud)


def at_least(clock_hz, seconds):
    """Return the fewest clock cycles that take `seconds` or longer, for times that may be exceeded freely."""
    return ceil(clock_hz * seconds)
