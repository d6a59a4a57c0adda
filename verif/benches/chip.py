"""A bench for the whole chip, compiled by Verilator, on the simulated bus, with the host's own codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from meterseal.domain.image import Identity, image
from meterseal.domain.record import SealRecord
from meterseal.domain.signing import verify
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame
from meterseal.protocols.dlt645.requests import read
from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.flash_file import FlashFile
from sealchip.interface import Di

CLOCK_HZ, BAUD = 307_200, 2400
STEP = 0.005
#: Seconds in which a seal that has something to report begins, at a fast rate.
QUIET = 0.9
#: Seconds after which a meter acknowledges.
ANSWERS_AFTER = 0.025
#: A report on the wire: 4 FE and 62 bytes.
REPORT_BYTES = 4 + 62
REPORT_SECONDS = REPORT_BYTES * 11 / BAUD
#: Seconds from power-up to the end of the first report: identity and log are read, then the last slot waited.
FIRST_REPORT = 0.700 + 0.062 + REPORT_SECONDS
#: Seconds between the making and the sending of a record, at most.
MAKING_SECONDS = 0.1


def seal_address(n: int) -> str:
    return f"8104{n:08d}"


def meter_address(n: int) -> str:
    return f"4401{n:08d}"


def seal_key(n: int) -> bytes:
    return bytes(range(n, n + 16))


def identity(n: int = 1) -> Identity:
    return Identity(
        seal=seal_address(n),
        asset=f"GD-FY-{n:06d}",
        meter=meter_address(n),
        key=seal_key(n),
        baud=BAUD,
    )


@dataclass
class ReceivedFrame:
    """Holds a frame from the bus and the time at which it was complete."""

    at: float
    frame: Frame

    @property
    def record(self) -> SealRecord:
        """The record in the report; every record of these chips is signed."""
        raw = self.frame.data[12:]
        record = SealRecord.decode(raw)
        assert verify(seal_key(int(record.seal[4:])), raw)
        return record

    @property
    def is_report(self) -> bool:
        return self.frame.control == 0x14 and self.frame.di == Di.REPORT


class Bench:
    """Simulates chips on a bus, and one host end that acts as the meters of all of them.

    The meters acknowledge every write while `answering`; `by_hand`, they leave reports to `acknowledge`.
    """

    def __init__(
        self,
        folder: Path,
        chips: int = 1,
        *,
        seed: int = 1,
        front_end: str = "comparator",
        gsm: bool = False,
        model: Path | None = None,
        baud: int = BAUD,
        by_hand: bool = False,
    ) -> None:
        self.bus = BusSim(
            model or chip_library(clock_hz=CLOCK_HZ, front_end=front_end, gsm=gsm),
            chips=chips,
            ends=1,
            clock_hz=CLOCK_HZ,
            baud=baud,
            seed=seed,
        )
        self.bus.open(0)
        self.flashes: list[FlashFile] = []
        for chip in range(chips):
            path = folder / f"{chip}.bin"
            path.write_bytes(image(replace(identity(chip + 1), baud=baud)))
            self.flashes.append(FlashFile(path))
            self.bus.attach_flash(chip, self.flashes[chip])
        self.decoder = Decoder()
        self.heard: list[ReceivedFrame] = []
        self.answering, self._by_hand = True, by_hand
        self._answers: list[tuple[float, bytes]] = []

    def close(self) -> None:
        self.bus.close()
        for flash in self.flashes:
            flash.close()

    @property
    def clocks(self) -> int:
        """The number of clocks of the first chip's flash so far."""
        return int(self.bus.chip(0).flash_clocks)

    @property
    def writes(self) -> int:
        """The number of programs and erases of the first chip's flash so far."""
        chip = self.bus.chip(0)
        return chip.flash_programs + chip.flash_erases

    def power(self, *, on: bool = True, chip: int | None = None) -> None:
        for each in range(self.bus.chips) if chip is None else [chip]:
            self.bus.power(each, on)

    def restart(self, content: bytes | None = None, *, closed: bool = True) -> None:
        """Cut the power of a single chip and power it up again, with new `content` of its flash if given."""
        self.power(on=False)
        if content is not None:
            self.flashes[0].array[:] = content
        self.bus.position(0, closed)
        self.bus.run(0.001)
        self.bus.read(0)
        self.decoder = Decoder()
        self._answers.clear()
        self.power()

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Let time pass, and stop early when `until` holds."""
        end = self.bus.now + seconds
        while self.bus.now < end and not (until and until()):
            self.bus.run(STEP)
            self._listen()

    def ask(self, request: Frame, seconds: float = 1.0) -> list[ReceivedFrame]:
        """Send a request as the terminal does, and return the frames until the answer's time is over."""
        before = len(self.heard)
        self.bus.write(0, request.encode())
        self.run(seconds)
        return self.heard[before:]

    def next_report(self, seconds: float = QUIET) -> SealRecord | None:
        """Return the record of the next report, if one comes within so many seconds."""
        before = len(self.heard)
        self.run(seconds, until=lambda: any(heard.is_report for heard in self.heard[before:]))
        return next((heard.record for heard in self.heard[before:] if heard.is_report), None)

    def acknowledge(self) -> None:
        """Acknowledge a report of the first chip."""
        self.bus.run(ANSWERS_AFTER)
        self.bus.write(0, acknowledgement(meter_address(1)))

    def collect(self) -> list[SealRecord]:
        """Take and acknowledge reports until no more come."""
        records = []
        while record := self.next_report():
            records.append(record)
            self.acknowledge()
        return records

    def read(self, di: int) -> bytes:
        """Read data of the first chip as a terminal does."""
        before = len(self.heard)

        def answers() -> list[Frame]:
            return [it.frame for it in self.heard[before:] if it.frame.from_slave and it.frame.di == di]

        self.bus.write(0, read(seal_address(1), di).encode())
        self.run(QUIET, until=lambda: bool(answers()))
        assert answers(), f"{di:08X} cannot be read"
        return answers()[0].content

    def history(self, nth: int) -> SealRecord:
        """Return the `nth` record before the newest."""
        return SealRecord.decode(self.read(Di.RECORD_HISTORY + nth))

    def reports(self, chip: int | None = None) -> list[SealRecord]:
        records = [heard.record for heard in self.heard if heard.is_report]
        return [one for one in records if chip is None or one.seal == seal_address(chip + 1)]

    def _listen(self) -> None:
        now = self.bus.now
        for event in self.decoder.feed(self.bus.read(0), now):
            if isinstance(event, Received):
                self.heard.append(ReceivedFrame(now, event.frame))
                if self._answers_to(self.heard[-1]):
                    self._answers.append((now + ANSWERS_AFTER, acknowledgement(event.frame.address)))
        while self._answers and self._answers[0][0] <= now:
            self.bus.write(0, self._answers.pop(0)[1])

    def _answers_to(self, heard: ReceivedFrame) -> bool:
        left = self._by_hand and heard.is_report
        return self.answering and heard.frame.control == 0x14 and not left


def acknowledgement(meter: str) -> bytes:
    """Return the frame in which a meter acknowledges a write."""
    return Frame(meter, 0x94).encode()


def lamps(bench: Bench, chip: int = 0) -> tuple[bool, bool]:
    bits = bench.bus.chip(chip).lamps
    return bool(bits & 1), bool(bits & 2)


def flashes_red(bench: Bench) -> bool:
    """Return whether red lights again within the longest pause of a blink code while green is dark."""
    bench.run(2.0, until=lambda: lamps(bench) == (False, True))
    return lamps(bench) == (False, True)
