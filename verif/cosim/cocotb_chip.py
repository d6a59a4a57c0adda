"""The exported chip's pins are right from its first cycle on; `test_cocotb.py` runs this in a simulator."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout

CLOCK_HZ = 307_200
WAKE, READ = 0xAB, 0x03


async def power_up(dut):
    """Set up an idle bus, blank flash, open loop, and reset for some cycles."""
    dut.rs485_ro.value = 1
    dut.flash_cipo.value = 1
    dut.gsm_rxd.value = 1
    dut.loop_cmp.value = 0
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 2 * round(5e8 / CLOCK_HZ), unit="ns").start())
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 1)


async def spi_byte(dut):
    """Return the next byte that the chip sends to the flash, mode 0, high bit first."""
    value = 0
    for _ in range(8):
        await RisingEdge(dut.flash_sck)
        value = value << 1 | int(dut.flash_copi.value)
    return value


@cocotb.test()
async def pins_are_idle_after_reset(dut):
    """The driver is off, lines are idle, the flash is not selected, the LEDs are dark, the loop is driven."""
    await power_up(dut)
    assert dut.rs485_de.value == 0
    assert dut.rs485_di.value == 1
    assert dut.gsm_txd.value == 1
    assert dut.flash_cs_n.value == 1
    assert dut.led_green.value == 0
    assert dut.led_red.value == 0
    assert dut.loop_drive.value == 1


@cocotb.test()
async def flash_is_woken_then_read(dut):
    """The flash gets its 10 ms of power-up time, is woken, and the second identity slot is read."""
    await power_up(dut)
    begun = cocotb.utils.get_sim_time("ms")
    await with_timeout(FallingEdge(dut.flash_cs_n), 20, "ms")
    assert cocotb.utils.get_sim_time("ms") - begun >= 9.9
    assert await spi_byte(dut) == WAKE
    await with_timeout(FallingEdge(dut.flash_cs_n), 3, "ms")
    assert [await spi_byte(dut) for _ in range(4)] == [READ, 0, 0x10, 0]


@cocotb.test()
async def blank_flash_lights_red_and_never_drives(dut):
    """With both slots unreadable the red LED blinks, and the bus is never driven."""
    await power_up(dut)
    for _ in range(150):
        await ClockCycles(dut.clk, CLOCK_HZ // 100)
        assert dut.rs485_de.value == 0
        assert dut.led_green.value == 0
        if dut.led_red.value == 1:
            return
    raise AssertionError("no red flash within 1.5 s")
