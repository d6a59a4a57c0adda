"""The simulated bus as a Python object, in bytes and commands instead of clock edges. Mirrors `bus.h`."""

from __future__ import annotations

import ctypes
import random
from ctypes import (
    POINTER,
    Structure,
    c_double,
    c_int,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meterseal.errors import Failure
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.head import Loop
from sealchip.interface import DEFAULT_BAUD

__all__ = [
    "CLOCK_HZ",
    "END_COUNTERS",
    "BusSim",
    "BusState",
    "ByteSeen",
    "ChipState",
    "EndState",
    "LampsSeen",
    "run_bare",
]

#: Clock of the simulated chips: the slowest that the chip supports, and a whole multiple of every baud rate.
CLOCK_HZ: Final = 307_200
#: Seconds that one operation of the flash takes, as in common 25-series parts.
PAGE_PROGRAM: Final = 0.0007
SECTOR_ERASE: Final = 0.045

_READ_BYTES = 4096
_TAP_RECORDS = 4096
_BYTE, _LAMPS = 0, 1
_CORRUPTED, _MALFORMED = 1, 2
#: Characters that a host end sent, received, and discarded; `overflowed` were received and never read.
END_COUNTERS = ("sent", "heard", "bad_parity", "bad_framing", "overflowed")


class _Tap(Structure):
    _fields_ = (
        ("cycle", c_uint64),
        ("source", c_uint32),
        ("kind", c_uint8),
        ("value", c_uint8),
        ("flags", c_uint8),
        ("reserved", c_uint8),
    )


class ChipState(Structure):
    """The state of one chip and its surroundings.

    `closed` is the seal head, `loop_mv` the voltage of the loop while it is driven, `comparator` the pin.
    """

    _fields_ = (
        *(
            (name, c_uint32)
            for name in (
                *("powered", "closed", "loop_mv", "loop_driven", "comparator", "lamps"),
                *("flash_busy", "flash_programs", "flash_erases", "flash_cut"),
            )
        ),
        ("flash_clocks", c_uint64),
    )
    powered: int
    closed: int
    loop_mv: int
    loop_driven: int
    comparator: int
    lamps: int
    flash_busy: int
    flash_programs: int
    flash_erases: int
    flash_cut: int
    flash_clocks: int


class _LoopSetting(Structure):
    _fields_ = tuple(
        (name, c_int32) for name in ("contact_mv", "foreign_mv", "jumper", "offset_mv", "noise_mv")
    )


class EndState(Structure):
    """The state of one host end: `END_COUNTERS`, characters queued, and whether it drives the bus."""

    _fields_ = (
        *((name, c_uint64) for name in END_COUNTERS),
        *((name, c_uint32) for name in ("queued", "driving")),
    )
    sent: int
    heard: int
    bad_parity: int
    bad_framing: int
    overflowed: int
    queued: int
    driving: int


class BusState(Structure):
    """Simulated time in cycles, the part of it that was skipped, and disturbed bit times of the bus."""

    _fields_ = tuple(
        (name, c_uint64) for name in ("cycle", "collided_bits", "noisy_bits", "tap_overflowed", "skipped")
    )
    cycle: int
    collided_bits: int
    noisy_bits: int
    tap_overflowed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class ByteSeen:
    """Reports a byte that one driver put on the bus, `at` seconds of simulated time.

    `source` numbers the chips, then the host ends. `corrupted`: the bus had another level at some moment;
    `malformed`: the driver did not transmit 8E1.
    """

    at: float
    source: int
    byte: int
    corrupted: bool
    malformed: bool


@dataclass(frozen=True, slots=True)
class LampsSeen:
    """Reports a change of the lamps of chip `source`."""

    at: float
    source: int
    green: bool
    red: bool


class BusSim:
    """Simulates N chips and K host ends on one RS485 bus.

    Bytes go in and out at host ends. Each is an 8E1 UART that receives everything except what it transmits.
    Errors: `Failure` for a clock too slow for the baud rate. Tests: `verif/host/sim/chip/test_bus_*.py`.
    """

    def __init__(
        self,
        library: Path,
        *,
        chips: int,
        ends: int,
        clock_hz: int = CLOCK_HZ,
        baud: int = DEFAULT_BAUD,
        seed: int = 0,
    ) -> None:
        _check_rate(clock_hz, baud)
        self.clock_hz = clock_hz
        self.baud = baud
        self.chips = chips
        self.ends = ends
        self._random = random.Random(seed)
        self._library = _load(library)
        self._bus: int | None = self._library.bus_create(chips, ends, clock_hz, baud, seed)
        self._flashes: dict[int, FlashFile] = {}
        self._read_buffer = (c_uint8 * _READ_BYTES)()
        self._tap_buffer = (_Tap * _TAP_RECORDS)()

    def close(self) -> None:
        """Power everything off; calling it again has no effect."""
        if self._bus is not None:
            self._library.bus_destroy(self._bus)
            self._bus = None

    def __enter__(self) -> BusSim:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def now(self) -> float:
        """Return the simulated time in seconds."""
        return self.state.cycle / self.clock_hz

    def run(self, seconds: float) -> None:
        """Advance simulated time."""
        self._library.bus_run(self._bus, self._cycles(seconds))

    def run_until_seen(self, seconds: float) -> None:
        """Advance simulated time, at most until a driver has sent a byte or a lamp has changed."""
        self._library.bus_run_until_seen(self._bus, self._cycles(seconds))

    def skip_idle(self) -> None:
        """From now on, leave out time in which every chip does nothing but count it.

        Everything happens at the same cycles as without it, only sooner in real time. A chip that measures is
        never idle. `Failure` for a chip of gates, whose counters have no known names.
        Test: `verif/host/sim/chip/test_bus_idle.py`.
        """
        if not self._library.bus_skip_idle(self._bus):
            raise Failure("no time can be skipped: this chip is made of gates, give its source instead")

    def run_to_flash_clock(self, chip: int, clocks: int, *, at_most: float) -> bool:
        """Advance until the flash of `chip` has counted `clocks` SPI clocks, at most `at_most` seconds.

        Returns whether it has. Slower than `run`, because every cycle is examined.
        """
        return bool(self._library.bus_run_to_flash_clock(self._bus, chip, clocks, self._cycles(at_most)))

    def attach_flash(
        self,
        chip: int,
        flash: FlashFile,
        *,
        page_program: float = PAGE_PROGRAM,
        sector_erase: float = SECTOR_ERASE,
    ) -> None:
        """Attach a flash to `chip`, to stay open until the bus is closed; times are in seconds."""
        # The simulation writes into the flash's memory, which must not go away before it.
        self._flashes[chip] = flash
        page, erase = self._cycles(page_program), self._cycles(sector_erase)
        self._library.bus_flash(self._bus, chip, flash.array, len(flash.array), page, erase)

    def power(self, chip: int, on: bool) -> None:
        """Power one chip on or off; at power-up every register has its initial value."""
        self._library.bus_power(self._bus, chip, on)

    def change_baud(self, baud: int) -> None:
        """Switch all host ends and the tap to another rate; no end may be transmitting.

        Errors: `Failure` as above. Test: `verif/chip/test_chip_scenarios.py::test_every_rate_on_request`.
        """
        _check_rate(self.clock_hz, baud)
        self.baud = baud
        self._library.bus_change_baud(self._bus, baud)

    def position(self, chip: int, closed: bool) -> None:
        """Push the seal head in, or pull it, in one clean movement."""
        self._library.bus_position(self._bus, chip, closed)

    def bounce(self, chip: int, *, seconds: float, edges: int, closed: bool) -> int:
        """Let the contact touch and leave at least `edges` times within `seconds`, ending `closed` or open.

        Returns the number of edges: one more than `edges` where that number would end in the other position.
        """
        if (edges % 2 == 1) != (bool(self.chip(chip).closed) != closed):
            edges += 1
        inner = sorted(self._random.uniform(0, seconds) for _ in range(edges - 2))
        times = [0.0, *inner, seconds][:edges]
        after = (c_uint64 * edges)(*(self._cycles(time) + 1 for time in times))
        self._library.bus_edges(self._bus, chip, after, edges)
        return edges

    def loop(self, chip: int, loop: Loop) -> None:
        """Manipulate the loop; its voltage follows through resistor and capacitor."""
        foreign = -1 if loop.foreign_mv is None else loop.foreign_mv
        setting = _LoopSetting(loop.contact_mv, foreign, loop.jumper, loop.offset_mv, loop.noise_mv)
        self._library.bus_loop(self._bus, chip, setting)

    def noise(self, probability: float, seconds: float) -> None:
        """Invert each bit time of the coming `seconds` with `probability`."""
        self._library.bus_noise(self._bus, probability, self._cycles(seconds))

    def open(self, end: int) -> None:
        """Begin to receive at a host end; bytes received before are discarded."""
        self._library.bus_open(self._bus, end, True)

    def close_end(self, end: int) -> None:
        """Stop receiving; bytes already queued are still transmitted."""
        self._library.bus_open(self._bus, end, False)

    def write(self, end: int, data: bytes) -> int:
        """Queue bytes at a host end and return how many there was room for."""
        taken: int = self._library.bus_write(self._bus, end, data, len(data))
        return taken

    def read(self, end: int) -> bytes:
        """Return the bytes that a host end has received since the last call."""
        received = bytearray()
        while count := self._library.bus_read(self._bus, end, self._read_buffer, _READ_BYTES):
            received += memoryview(self._read_buffer)[:count]
        return bytes(received)

    def open_gsm(self, chip: int) -> None:
        """Begin to receive at the GSM port of `chip` (8N1, 9600 baud); earlier bytes are discarded."""
        self._library.bus_gsm_open(self._bus, chip, True)

    def write_gsm(self, chip: int, data: bytes) -> int:
        """Queue bytes for the GSM port of `chip` and return how many there was room for."""
        taken: int = self._library.bus_gsm_write(self._bus, chip, data, len(data))
        return taken

    def read_gsm(self, chip: int) -> bytes:
        """Return the bytes that `chip` has transmitted to its modem since the last call."""
        count = self._library.bus_gsm_read(self._bus, chip, self._read_buffer, _READ_BYTES)
        return bytes(self._read_buffer[:count])

    def tap(self) -> list[ByteSeen | LampsSeen]:
        """Return what drivers and lamps have done since the last call, in order."""
        seen: list[ByteSeen | LampsSeen] = []
        while count := self._library.bus_tap(self._bus, self._tap_buffer, _TAP_RECORDS):
            seen.extend(self._seen(record) for record in self._tap_buffer[:count])
        return seen

    @property
    def state(self) -> BusState:
        """Return time and counters of the bus."""
        state = BusState()
        self._library.bus_state(self._bus, state)
        return state

    def chip(self, chip: int) -> ChipState:
        """Return the state of one chip and its surroundings."""
        state = ChipState()
        self._library.bus_chip_state(self._bus, chip, state)
        return state

    def end(self, end: int) -> EndState:
        """Return the counters of one host end."""
        state = EndState()
        self._library.bus_end_state(self._bus, end, state)
        return state

    def _cycles(self, seconds: float) -> int:
        return round(seconds * self.clock_hz)

    def _seen(self, record: _Tap) -> ByteSeen | LampsSeen:
        at = record.cycle / self.clock_hz
        if record.kind == _LAMPS:
            return LampsSeen(at, record.source, bool(record.value & 1), bool(record.value & 2))
        return ByteSeen(
            at, record.source, record.value, bool(record.flags & _CORRUPTED), bool(record.flags & _MALFORMED)
        )


def run_bare(library: Path, cycles: int) -> None:
    """Run the chip alone, without bus, flash and loop: the baseline of a benchmark."""
    _load(library).bus_bare_run(cycles)


def _check_rate(clock_hz: int, baud: int) -> None:
    if clock_hz < 8 * baud:
        raise Failure(f"a clock of {clock_hz} Hz is too slow for {baud} baud: give at least {8 * baud}")


def _load(path: Path) -> ctypes.CDLL:
    """Load the library and declare the signatures of `bus.h`."""
    library = ctypes.CDLL(str(path))
    bus, index, array = c_void_p, c_uint32, POINTER(c_uint8)
    for name, result, arguments in (
        ("create", c_void_p, (c_uint32, c_uint32, c_uint32, c_uint32, c_uint64)),
        ("destroy", None, (bus,)),
        ("flash", None, (bus, index, array, c_size_t, c_uint64, c_uint64)),
        ("power", None, (bus, index, c_int)),
        ("change_baud", None, (bus, c_uint32)),
        ("position", None, (bus, index, c_int)),
        ("edges", None, (bus, index, POINTER(c_uint64), c_size_t)),
        ("loop", None, (bus, index, POINTER(_LoopSetting))),
        ("noise", None, (bus, c_double, c_uint64)),
        ("run", None, (bus, c_uint64)),
        ("run_until_seen", None, (bus, c_uint64)),
        ("skip_idle", c_int, (bus,)),
        ("run_to_flash_clock", c_int, (bus, index, c_uint64, c_uint64)),
        ("open", None, (bus, index, c_int)),
        ("write", c_size_t, (bus, index, ctypes.c_char_p, c_size_t)),
        ("read", c_size_t, (bus, index, array, c_size_t)),
        ("gsm_open", None, (bus, index, c_int)),
        ("gsm_write", c_size_t, (bus, index, ctypes.c_char_p, c_size_t)),
        ("gsm_read", c_size_t, (bus, index, array, c_size_t)),
        ("tap", c_size_t, (bus, POINTER(_Tap), c_size_t)),
        ("state", None, (bus, POINTER(BusState))),
        ("chip_state", None, (bus, index, POINTER(ChipState))),
        ("end_state", None, (bus, index, POINTER(EndState))),
        ("bare_run", None, (c_uint64,)),
    ):
        function = getattr(library, f"bus_{name}")
        function.restype, function.argtypes = result, arguments
    return library
