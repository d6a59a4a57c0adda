"""Model the loop and the converter's analogue parts, sample by sample, with all voltages in mV at the loop.

The divider scales loop and comparator alike, so the model works at the loop: the capacitor there goes from 0
to full scale.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from sealchip.interface import DIVIDER_OHM, HEAD_OHM, LOOP_RAIL_MV
from sealchip.sense.sigma_delta import FULL_SCALE_MV, OVERSAMPLING, STEP

__all__ = ["Capacitor", "Loop", "Parts", "convert", "measurements"]


@dataclass(frozen=True)
class Parts:
    """The converter's parts; the defaults are those of the converter's docstring."""

    ohm: float = 22e3
    farad: float = 100e-9
    #: Offset of the comparator, at the loop: 4 mV at its pin are 10 mV before the divider of 2.48.
    offset_mv: float = 0.0
    #: Noise of loop and comparator together, rms.
    noise_mv: float = 2.0
    #: Supply of the feedback pin and divider, as a factor.
    scale: float = 1.0


class Capacitor:
    """The capacitor and the comparator."""

    def __init__(self, hz, parts=None, *, mv=0.0, seed=1):
        """`hz`: rate of the modulator."""
        self.parts = parts or Parts()
        self.mv = mv
        self._share = 1 - math.exp(-1 / (hz * self.parts.ohm * self.parts.farad))
        self._random = random.Random(seed)

    def compare(self, loop_mv):
        """Return the comparator's output."""
        seen = loop_mv + self.parts.offset_mv + self._random.gauss(0, self.parts.noise_mv)
        return int(seen > self.mv)

    def follow(self, fb):
        """Advance by one sample with the feedback pin at `fb`."""
        self.mv += (FULL_SCALE_MV * self.parts.scale * fb - self.mv) * self._share


def convert(loop_mv, samples, capacitor):
    """Return the feedback bits of a modulator, one per sample; `loop_mv` maps sample numbers to voltages."""
    bits, fb = [], 0
    for number in range(samples):
        capacitor.follow(fb)
        fb = capacitor.compare(loop_mv(number))
        bits.append(fb)
    return bits


def measurements(bits):
    """Return the filter's millivolts at the end of each frame, computed from its bits and those before."""
    # A triangle with steps: k = 0 to 511 up to the middle and down again.
    weights = [min(k // STEP, 2 * OVERSAMPLING // STEP - k // STEP) for k in range(2 * OVERSAMPLING)]
    padded = [0] * OVERSAMPLING + list(bits)
    return [
        sum(w for w, bit in zip(weights, padded[start:], strict=False) if bit) * FULL_SCALE_MV // sum(weights)
        for start in range(0, len(bits) - OVERSAMPLING + 1, OVERSAMPLING)
    ]


@dataclass(frozen=True)
class Loop:
    """The rail, the seal head with its end-of-line resistor, the divider, and an attacker's additions."""

    rail_mv: float = LOOP_RAIL_MV
    #: Buffer of `loop_drive`.
    driver_ohm: float = 50.0
    #: End-of-line resistor in the head; `math.inf`: the head is pulled; 0: a jumper across the plates.
    head_ohm: float = HEAD_OHM
    divider_ohm: float = sum(DIVIDER_OHM)
    #: A voltage from outside on the second plate.
    foreign_mv: float = 0.0
    foreign_ohm: float = math.inf

    def mv(self, drive):
        """Return the voltage of the second plate with the drive on or off."""
        sources = [
            (self.rail_mv * drive, self.driver_ohm + self.head_ohm),
            (0.0, self.divider_ohm),
            (self.foreign_mv, self.foreign_ohm),
        ]
        return sum(mv / ohm for mv, ohm in sources) / sum(1 / ohm for _, ohm in sources)
