"""Measures with the compiled chip and a model meter how soon a seal reports, and how well many share a bus.

*Reaction:* a settled seal on an idle bus is opened; from the movement to the falling edge of the first
start bit, less the debounce time, at the slowest clock and at that of common boards.

*Power-up:* seals are powered up within 2 ms, each closed and with a meter of its own at 2400 baud, and report
an event and their asset number; the time to the end of the last answer, as a multiple of the time that these
reports and answers take on the wire, each counted once. The meters answer after 20 to 25 ms, the shortest
delay that the standard allows. Collisions, repeats, pauses and the half second of silence after a power-up
make the figure exceed 1.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from meterseal.domain.image import Identity, image
from meterseal.errors import Failure
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import CLOCK_HZ, BusSim, ByteSeen
from meterseal.sim.chip.flash_file import FlashFile
from sealchip.interface import DEFAULT_BAUD

__all__ = ["power_up", "reaction", "run"]

#: What the project requires of the chip.
REQUIRED_REACTION_MS, REQUIRED_POWER_UP = 1.0, 1.3

DEBOUNCE = 0.020
_BAUD = DEFAULT_BAUD
_BOARD_CLOCK_HZ = 12_000_000
_CHARACTER = 11 / _BAUD
#: The tap records a byte in the middle of its stop bit.
_RECORDED = 10.5 / _BAUD
_STEP = 0.001
_TD = 0.020, 0.025


def run(seconds: float) -> dict[str, float | str]:
    """Return all figures, from one power-up of each number of seals for every 4 s of `seconds`.

    Tests: `verif/host/tools/test_bench_bus.py`.
    """
    seeds = range(1, 1 + max(1, round(seconds / 4)))
    figures: dict[str, float | str] = {
        f"opening_to_start_bit_beyond_debounce_ms_at_{clock_hz}_hz": round(
            statistics.median(reaction(clock_hz, times=3)), 3
        )
        for clock_hz in (CLOCK_HZ, _BOARD_CLOCK_HZ)
    }
    figures["required_ms"] = REQUIRED_REACTION_MS
    for seals in (2, 8, 32):
        ratios = [power_up(seals, seed) for seed in seeds]
        figures[f"power_up_of_{seals}_seals_to_bare_wire_time"] = round(statistics.median(ratios), 3)
        figures[f"power_up_of_{seals}_seals_worst"] = round(max(ratios), 3)
    figures["required_ratio_for_32"] = REQUIRED_POWER_UP
    return figures


def reaction(clock_hz: int, times: int) -> list[float]:
    """Return milliseconds from an opening on an idle bus to the first start bit, less the debounce time."""
    with ExitStack() as stack:
        street = _Street(stack, 1, clock_hz, seed=1)
        street.power()
        street.settle()
        return [_opening(street, 0.7 + 0.00037 * n) for n in range(times)]


def _opening(street: _Street, pause: float) -> float:
    """Measure one opening, `pause` seconds after the bus fell silent, and close the seal again."""
    street.run(pause)
    bus, seen = street.bus, len(street.bytes)
    moved = bus.now
    bus.position(0, closed=False)
    street.run(1.0, until=lambda: len(street.bytes) > seen)
    first = street.bytes[seen].at - _RECORDED
    street.settle()
    bus.position(0, closed=True)
    street.run(0.1)
    street.settle()
    return (first - moved - DEBOUNCE) * 1000


def power_up(seals: int, seed: int) -> float:
    """Return the time from a common power-up to the last acknowledgement, in multiples of the wire time."""
    with ExitStack() as stack:
        street = _Street(stack, seals, CLOCK_HZ, seed)
        street.power()
        street.run(4.0 * seals + 60.0, until=lambda: len(street.acknowledged) == 2 * seals)
        street.settle()
        if len(street.acknowledged) != 2 * seals:
            raise Failure(f"{len(street.acknowledged)} of {2 * seals} reports arrived: no figure")
        return street.last_answer / (_CHARACTER * sum(street.acknowledged.values()))


class _Street:
    """Closed seals without power on one bus, and a host end that acts as the meters of all of them."""

    def __init__(self, stack: ExitStack, seals: int, clock_hz: int, seed: int) -> None:
        self._chance = random.Random(seed)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="meterseal-bench-")))
        library = chip_library(clock_hz=clock_hz, front_end="comparator")
        self.bus = stack.enter_context(
            BusSim(library, chips=seals, ends=1, clock_hz=clock_hz, baud=_BAUD, seed=seed)
        )
        for seal in range(seals):
            path = folder / f"{seal}.bin"
            number = self._chance.randrange(10**8)
            path.write_bytes(
                image(
                    Identity(f"8104{number:08d}", f"GD-FY-{number}", f"4401{seal:08d}", key=bytes(range(16)))
                )
            )
            flash = FlashFile(path)
            stack.callback(flash.close)
            self.bus.attach_flash(seal, flash)
            self.bus.position(seal, closed=True)
        self.bus.open(0)
        #: Bytes that the seals have put on the bus.
        self.bytes: list[ByteSeen] = []
        #: Characters on the wire, report and answer, for each report acknowledged.
        self.acknowledged: dict[bytes, int] = {}
        self.last_answer = 0.0
        self._decoder = Decoder()
        self._answers: list[tuple[float, Frame]] = []

    def power(self) -> None:
        """Power all seals up within 2 ms, in random order."""
        for seal in self._chance.sample(range(self.bus.chips), self.bus.chips):
            self.bus.power(seal, True)
            self.bus.run(self._chance.uniform(0, 0.002 / self.bus.chips))

    def settle(self) -> None:
        """Run until the bus has been silent for longer than any pause of a seal."""
        while True:
            seen = len(self.bytes)
            self.run(2.0)
            if len(self.bytes) == seen:
                return

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Let time pass; stop early when `until` holds."""
        end = self.bus.now + seconds
        while self.bus.now < end and not (until and until()):
            self.bus.run(_STEP)
            self._answer(self.bus.now)
            tapped = (seen for seen in self.bus.tap() if isinstance(seen, ByteSeen))
            self.bytes.extend(seen for seen in tapped if seen.source < self.bus.chips)

    def _answer(self, now: float) -> None:
        for event in self._decoder.feed(self.bus.read(0), now):
            if isinstance(event, Received):
                frame, answer = event.frame, Frame(event.frame.address, 0x94)
                self._answers.append((now + self._chance.uniform(*_TD), answer))
                what = frame.address.encode() + frame.data[:4]
                self.acknowledged[what] = len(frame.encode()) + len(answer.encode())
        while self._answers and self._answers[0][0] <= now:
            raw = self._answers.pop(0)[1].encode()
            self.bus.write(0, raw)
            self.last_answer = now + len(raw) * _CHARACTER
