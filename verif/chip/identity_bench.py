"""What the bytes of an identity mean, for the tests that compare it with the gateware."""

from __future__ import annotations

from functools import reduce

from sealchip.interface import BAUD_FEATURE

__all__ = ["DEFAULT_BAUD", "rate_number", "seed_of"]

DEFAULT_BAUD = 2400


def rate_number(word):
    """The number of a baud feature word, slowest rate first; that of the default where it is none."""
    rates = sorted(BAUD_FEATURE.values())
    return rates.index(BAUD_FEATURE.get(word, DEFAULT_BAUD))


def seed_of(seal):
    """Each byte of the seal's address upon what those before have made, turned by five."""
    return reduce(lambda seed, byte: (seed << 5 & 0xFFFF | seed >> 11) ^ byte, seal, 0)
