"""One compiled seal on a simulated bus with its meter, for tests of the whole chip that say when and how."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from meterseal.domain.image import Identity, image
from meterseal.domain.record import SealRecord
from meterseal.domain.signing import verify
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import Write, read
from meterseal.sim.chip.bus import CLOCK_HZ, BusSim
from meterseal.sim.chip.flash_file import FlashFile
from sealchip.interface import Di

__all__ = ["IDENTITY", "BusBench"]

BAUD = 19200
IDENTITY = Identity("000000000101", "GD-101", "000000000201", key=bytes(range(16)), baud=BAUD)
ACKNOWLEDGED = Frame(IDENTITY.meter, 0x94).encode()
#: Seconds in which a seal that has something to report would have begun.
QUIET = 0.9
STEP = 0.005


class BusBench:
    """One seal on a bus with its meter."""

    def __init__(self, library: Path, folder: Path) -> None:
        path = folder / "seal.bin"
        path.write_bytes(image(IDENTITY))
        self.flash = FlashFile(path)
        self.bus = BusSim(library, chips=1, ends=1, clock_hz=CLOCK_HZ, baud=BAUD)
        # As fast as the model takes it: what is done while the flash is busy is nothing but asking it.
        self.bus.attach_flash(0, self.flash, page_program=0.0002, sector_erase=0.002)
        self.bus.open(0)

    def close(self) -> None:
        self.bus.close()
        self.flash.close()

    @property
    def clocks(self) -> int:
        return int(self.bus.chip(0).flash_clocks)

    @property
    def writes(self) -> int:
        """Programs and erases of the flash so far."""
        chip = self.bus.chip(0)
        return chip.flash_programs + chip.flash_erases

    def restart(self, content: bytes | None = None, *, closed: bool = True) -> None:
        """Power cut and power-up, with another content of the flash."""
        self.bus.power(0, False)
        if content is not None:
            self.flash.array[:] = content
        self.bus.position(0, closed)
        self.bus.run(0.001)
        self.bus.read(0)
        self.bus.power(0, True)

    def hear(self, seconds: float) -> Iterator[Frame]:
        """Frames of the coming `seconds`."""
        decoder, end = Decoder(), self.bus.now + seconds
        while self.bus.now < end:
            self.bus.run(STEP)
            for decoded in decoder.feed(self.bus.read(0), self.bus.now):
                if isinstance(decoded, Received):
                    yield decoded.frame

    def next_report(self, seconds: float = QUIET) -> SealRecord | None:
        """The next report, which is not answered; the identity is."""
        for frame in self.hear(seconds):
            if frame.di == Di.REPORT:
                raw = Write.parse(frame).data
                assert verify(IDENTITY.key, raw)
                return SealRecord.decode(raw)
            if frame.di == Di.REPORT_IDENTITY:
                self.acknowledge()
        return None

    def acknowledge(self) -> None:
        self.bus.run(0.025)
        self.bus.write(0, ACKNOWLEDGED)

    def collect(self) -> list[SealRecord]:
        """Take reports until none comes any more."""
        records = []
        while record := self.next_report():
            records.append(record)
            self.acknowledge()
        return records

    def read(self, di: int) -> bytes:
        """The data that a terminal reads."""
        self.bus.write(0, read(IDENTITY.seal, di).encode())
        for frame in self.hear(QUIET):
            if frame.from_slave and frame.di == di:
                return frame.content
        raise AssertionError(f"{di:08X} cannot be read")

    def history(self, nth: int) -> SealRecord:
        """The `nth` record before the newest."""
        return SealRecord.decode(self.read(Di.RECORD_HISTORY + nth))
