"""Simulate one chip from Python: open its loop and look at the frame that it transmits.

The chip is the real gateware, compiled by Verilator into a library, on an RS485 bus simulated bit by bit.
Time advances only when `run` is called. The first start compiles the chip, which takes half a minute.

Run it with `python docs/examples/simulate_chip.py`. It prints:

    0.98 s  event 1, boot: loop open, 0 mV
    1.83 s  event 2, closed: loop sealed, 4460 mV
    2.85 s  event 3, opened: loop open, 0 mV
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from meterseal.domain.image import Identity, image
from meterseal.domain.record import SealRecord
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write
from meterseal.sim.chip.build import SIGMA_DELTA, chip_library
from meterseal.sim.chip.bus import CLOCK_HZ, BusSim
from meterseal.sim.chip.flash_file import FlashFile
from sealchip.interface import Di

METER = "440100000001"


def listen(bus: BusSim, seconds: float) -> None:
    """Let time pass; print each report and acknowledge it as the meter would."""
    decoder, until = Decoder(), bus.now + seconds
    while bus.now < until:
        bus.run(0.01)
        for found in decoder.feed(bus.read(0), bus.now):
            if isinstance(found, Received) and found.frame.control == Function.WRITE:
                if found.frame.di == Di.REPORT:  # not its identity, which it announces after power-up
                    show(SealRecord.decode(Write.parse(found.frame).data), bus.now)
                bus.write(0, Frame(METER, 0x94).encode())


def show(record: SealRecord, at: float) -> None:
    """Print what a report holds, and when it was complete."""
    event = f"event {record.counter}, {record.kind.name.lower()}"
    print(f"{at:.2f} s  {event}: loop {record.state.name.lower()}, {record.loop_mv} mV")


library = chip_library(clock_hz=CLOCK_HZ, front_end=SIGMA_DELTA)
with TemporaryDirectory() as folder, BusSim(library, chips=1, ends=1) as bus:
    path = Path(folder) / "seal.bin"
    path.write_bytes(image(Identity("810400000001", "EXAMPLE-1", METER)))
    bus.attach_flash(0, FlashFile(path))
    bus.open(0)  # a host end of the bus: here, the meter's
    bus.power(0, True)
    listen(bus, 1.5)
    bus.position(0, True)  # push the seal head in
    listen(bus, 1.0)
    bus.position(0, False)  # and pull it
    listen(bus, 1.0)
