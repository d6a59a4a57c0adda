"""The whole chip sends changes of its loop to the phone in its identity, by a modem at its pins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meterseal.domain.image import image
from meterseal.sim.chip.build import chip_library
from meterseal.sim.chip.bus import BusSim
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.customer.modem import Answer, Modem
from verif.benches.chip import BAUD, CLOCK_HZ, identity, seal_address

PHONE = "+8613800138000"
# These tests need a build of the chip that no other test has.
pytestmark = pytest.mark.long


class Bench:
    """Runs one seal with its modem; `messages` are those that the phone shows, each with its second."""

    def __init__(self, folder: Path, phone: str) -> None:
        library = chip_library(clock_hz=CLOCK_HZ, gsm=True)
        self.bus = BusSim(library, chips=1, ends=1, clock_hz=CLOCK_HZ, baud=BAUD)
        path = folder / "seal.bin"
        path.write_bytes(image(replace(identity(1), phone=phone)))
        self.flash = FlashFile(path)
        self.bus.attach_flash(0, self.flash)
        self.bus.open_gsm(0)
        self.modem = Modem()
        self.heard = b""
        self.messages: list[tuple[str, str]] = []

    def close(self) -> None:
        self.bus.close()
        self.flash.close()

    def run(self, seconds: float) -> None:
        end = self.bus.now + seconds
        while self.bus.now < end:
            self.bus.run(0.005)
            sent = self.bus.read_gsm(0)
            self.heard += sent
            events = self.modem.receive(sent)
            while events:
                event = events.pop(0)
                if isinstance(event, Answer):
                    self.bus.write_gsm(0, event.raw)
                else:
                    self.messages.append((event.message.number, event.message.text))
                    events += self.modem.accepted(event.message.reference)


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    one = Bench(tmp_path, getattr(request, "param", PHONE))
    one.bus.position(0, closed=True)
    one.bus.power(0, True)
    one.run(3.0)
    yield one
    one.close()


def test_opening_and_closing_reach_the_phone(bench: Bench) -> None:
    assert bench.messages == []  # a boot that finds the loop closed sends no message
    for closed, what in ((False, "开启"), (True, "闭合")):
        bench.bus.position(0, closed=closed)
        bench.run(4.0)
        assert bench.messages.pop() == (PHONE, f"【封印】{seal_address(1)} 约00分钟前 {what}")
    assert bench.messages == []


def test_a_modem_that_was_exchanged_meanwhile(bench: Bench) -> None:
    """A new modem has none of the settings that the old one was given, and still sends the next message."""
    bench.bus.position(0, closed=False)
    bench.run(4.0)
    bench.modem = Modem(echo=True, unsolicited=True)
    bench.bus.position(0, closed=True)
    bench.run(4.0)
    assert [text[-2:] for _, text in bench.messages] == ["开启", "闭合"]


def test_power_up_with_the_loop_open_is_reported(bench: Bench) -> None:
    bench.bus.power(0, False)
    bench.bus.position(0, closed=False)
    bench.run(0.5)
    bench.bus.power(0, True)
    bench.run(5.0)
    assert [text for _, text in bench.messages] == [
        f"【封印】{seal_address(1)} 约00分钟前 上电时未闭合,此前未监测"
    ]


@pytest.mark.parametrize("bench", [""], indirect=True)
def test_without_a_phone_not_a_character(bench: Bench) -> None:
    bench.bus.position(0, closed=False)
    bench.run(4.0)
    assert bench.heard == b""
