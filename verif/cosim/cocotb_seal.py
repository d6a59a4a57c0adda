"""A seal with a plain comparator works in service; `test_agents.py` runs this inside the simulator."""

from __future__ import annotations

import cocotb
from cocotb.triggers import RisingEdge, Timer
from cocotb.utils import get_sim_time

from meterseal.domain.record import Kind, StateClass
from meterseal.protocols.dlt645.requests import read
from sealchip.interface import Di
from verif.agents.loop import PULLED, SEALED
from verif.agents.rs485 import Driver
from verif.agents.uart import Damage
from verif.benches.seal import FIRST_REPORT, IDENTITY, REPORT, Bench

STATES = {PULLED: StateClass.OPEN, SEALED: StateClass.SEALED}
REQUEST = read(IDENTITY.seal, Di.RECORD_NEWEST)


@cocotb.test()
async def a_seal_in_service(dut):
    """The seal goes through power-up, opening, closing, reads, damaged reads and a collision.

    Nothing else happens on any pin.
    """
    bench = Bench(dut)
    await bench.power_up()
    await power_up_is_reported(bench)
    await opening_and_closing_are_reported(bench)
    await a_read_is_answered(bench)
    await a_damaged_request_is_not_answered(bench)
    await a_collided_report_is_repeated(bench)
    await Timer(30, "ms")
    bench.scoreboard.check(bench.loop.moved, STATES, get_sim_time("ns"))
    bench.check(aborted=1)


async def power_up_is_reported(bench: Bench) -> None:
    """State and asset number are reported unasked, and the acknowledgement sets the status LEDs."""
    await bench.reports(1, FIRST_REPORT)
    (record,) = bench.scoreboard.records()
    assert (record.kind, record.state, record.counter) == (Kind.BOOT, StateClass.SEALED, 1)
    await bench.until(lambda: len(bench.scoreboard.assets()) == 1, REPORT)
    assert bench.scoreboard.assets() == [IDENTITY.asset]
    await Timer(40, "ms")
    assert (bench.dut.led_green.value, bench.dut.led_red.value) == (1, 0)
    assert all(bench.monitor.whole(drive) for drive in bench.monitor.drives)


async def opening_and_closing_are_reported(bench: Bench) -> None:
    """Each is reported once in spite of a bouncing contact; a short break is not reported."""
    before = len(bench.scoreboard.records())
    await bench.loop.bounce(PULLED, 8, contacts=5)
    await bench.reports(before + 1, REPORT)
    assert bench.dut.led_green.value == 0
    await bench.loop.bounce(SEALED, 8, contacts=5)
    await bench.reports(before + 2, REPORT)
    bench.loop.become(PULLED)
    await Timer(10, "ms")
    bench.loop.become(SEALED)
    await bench.quiet(0.1)


async def a_read_is_answered(bench: Bench) -> None:
    """The newest record answers, at every rate error and with every gap that the standard allows."""
    newest = bench.scoreboard.records()[-1]
    for slow, jitter, gap in (0, 0, 0), (0.02, 0.05, 0), (-0.02, 0.05, 0), (0, 0.1, 20):
        bench.terminal = Driver(bench.bus, IDENTITY.baud, slow=slow, jitter=jitter)
        await bench.terminal.send(REQUEST.encode(), gap=gap)
        answer = await bench.answer()
        assert (answer.own, answer.frame.control, answer.frame.di) == (True, 0x91, Di.RECORD_NEWEST)
        record = bench.scoreboard.record(answer)
        assert (record.kind, record.counter, record.boot) == (newest.kind, newest.counter, newest.boot)
        assert bench.monitor.whole(bench.monitor.drives[-1])


async def a_damaged_request_is_not_answered(bench: Bench) -> None:
    """Damage of each kind to address, DATA and checksum prevents an answer, and so does a break."""
    terminal = Driver(bench.bus, IDENTITY.baud)
    for damage in Damage:
        for number in (6, -5, -2):
            place = number % len(REQUEST.encode())
            await terminal.send(REQUEST.encode(), damage={place: damage})
            if damage is Damage.GLITCH:
                # Too short to be taken for a bit.
                await bench.answer()
            else:
                await bench.quiet(0.05)
    await terminal.low(0.3)
    await terminal.low(40)
    await bench.quiet(0.05)
    await bench.ask(REQUEST)


async def a_collided_report_is_repeated(bench: Bench) -> None:
    """A disturbance makes the driver let go within a bit; the report is sent again, whole."""
    before = len(bench.scoreboard.records())
    bench.loop.become(PULLED)
    await RisingEdge(bench.dut.rs485_de)
    await Timer(round(20.3e9 / IDENTITY.baud), "ns")
    await Driver(bench.bus, IDENTITY.baud).send(bytes(3))
    assert bench.bus.disturbed
    # The level is checked in the middle of a bit, and the synchroniser takes two cycles.
    assert max(end - begin for begin, end in bench.bus.disturbed) < 1.2e9 / IDENTITY.baud
    assert not bench.monitor.whole(bench.monitor.drives[-1])
    # The characters that followed may have been a request to another station, which needs time to answer.
    await bench.reports(before + 1, FIRST_REPORT)
    assert bench.monitor.whole(bench.monitor.drives[-1])
