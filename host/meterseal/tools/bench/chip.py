"""How fast the simulated chip is on its bus, beside the same chip alone in two simulators.

The workload is that of `meterseal chip run --pace max`: power-up, identity and event log from flash, reports
that are not acknowledged and therefore repeated, a host that reads the newest record every half second, the
seal head moving every two seconds, the power cut every ten; tap and host end are read every 10 ms of
simulated time. Peers, in the same run and in turn: the same compiled model in a bare loop as in Verilator's
manual, and the same source in Amaranth's own simulator. Figures are cycles per second of CPU time of one
core, so that other processes on the machine do not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from meterseal.domain.image import Identity, image
from meterseal.errors import Failure
from meterseal.protocols.dlt645.requests import read
from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import CLOCK_HZ, BusSim, run_bare
from meterseal.sim.chip.flash_file import FlashFile
from sealchip.interface import DEFAULT_BAUD, Di

__all__ = ["REQUIRED", "run"]

#: Cycles per second that the project requires of one chip with the bus.
REQUIRED = 5_000_000

_ROUNDS = 5
_BAUD = DEFAULT_BAUD
_STEP, _SLICE = 0.5, 0.010
_IDENTITY = Identity("000000000101", "BENCH-000101", "000000000201", key=bytes(range(16)), baud=_BAUD)
_REQUEST = read(_IDENTITY.seal, Di.RECORD_NEWEST).encode()

#: Simulates some cycles and returns their number.
_Contender = Callable[[], int]


def run(seconds: float) -> dict[str, float | str]:
    """Return medians of cycles per second over the rounds; `seconds` is the approximate time for all.

    Test: `verif/host/tools/test_bench_chip.py`.
    """
    library = chip_library(clock_hz=CLOCK_HZ)
    with ExitStack() as stack:
        bus = _new_bus(library, stack)
        contenders = (_workload(bus), _bare(library), _amaranth())
        shares = (0.5, 0.2, 0.3)
        rounds = [
            [_rate(each, seconds * share / _ROUNDS) for each, share in zip(contenders, shares, strict=True)]
            for _ in range(_ROUNDS)
        ]
        state = bus.chip(0)
        if not (bus.end(0).heard and state.flash_programs):
            raise Failure("the simulated chip neither answered nor wrote: the figures would mean nothing")
    chip, bare, amaranth = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    return {
        "workload": "power-up, reports and repeats, one read request every half second",
        "chip_with_bus_cycles_per_second": round(chip),
        "required_cycles_per_second": REQUIRED,
        "bare_verilator_cycles_per_second": round(bare),
        "amaranth_simulator_cycles_per_second": round(amaranth),
        "ratio_to_bare_verilator": round(statistics.median(row[0] / row[1] for row in rounds), 2),
        "ratio_to_amaranth_simulator": round(statistics.median(row[0] / row[2] for row in rounds)),
    }


def _new_bus(library: Path, stack: ExitStack) -> BusSim:
    """Make a bus with one powered chip, its flash, and a host end."""
    path = Path(stack.enter_context(TemporaryDirectory(prefix="meterseal-bench-"))) / "seal.bin"
    path.write_bytes(image(_IDENTITY))
    flash = FlashFile(path)
    stack.callback(flash.close)
    bus = stack.enter_context(BusSim(library, chips=1, ends=1, clock_hz=CLOCK_HZ, baud=_BAUD))
    bus.attach_flash(0, flash)
    bus.power(0, True)
    bus.open(0)
    return bus


def _workload(bus: BusSim) -> _Contender:
    step = 0

    def contender() -> int:
        nonlocal step
        begin = bus.state.cycle
        step += 1
        if step % 4 == 0:
            bus.position(0, step % 8 == 0)
        if step % 20 == 0:
            bus.power(0, False)
            bus.power(0, True)
        bus.write(0, _REQUEST)
        for _ in range(round(_STEP / _SLICE)):
            bus.run(_SLICE)
            bus.read(0)
            bus.tap()
        return bus.state.cycle - begin

    return contender


def _bare(library: Path) -> _Contender:
    cycles = 200_000

    def contender() -> int:
        run_bare(library, cycles)
        return cycles

    return contender


def _amaranth() -> _Contender:
    # Imported here because it takes a second, which other commands need not wait.
    from amaranth.sim import Simulator

    from sealchip.chip import SealChip

    make: Callable[..., Any] = SealChip
    simulator = Simulator(make(CLOCK_HZ, _BAUD))
    simulator.add_clock(1 / CLOCK_HZ)
    cycles, done = 100, 0

    def contender() -> int:
        nonlocal done
        done += cycles
        simulator.run_until(done / CLOCK_HZ)
        return cycles

    return contender


def _rate(contender: _Contender, seconds: float) -> float:
    """Return cycles per second of CPU time, measured for at least `seconds` of it."""
    done, begin = 0, time.process_time()
    while (elapsed := time.process_time() - begin) < seconds:
        done += contender()
    return done / elapsed
