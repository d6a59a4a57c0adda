"""Theorem about the control core: whatever the processor runs, the pins of the flash keep their rules."""

from __future__ import annotations

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Cover, Module

from sealchip.core.control_core import ControlCore
from sealchip.core.firmware.layout import Out
from sealchip.core.processor import Instruction, Op
from verif.formal.processor import PROGRAM_WORDS, AnyProgram
from verif.formal.theorem import Subject, past, theorem, unchanged


@theorem(k=2, reach=24, parameters="any program, any flash, anything asked and read")
def the_pins_keep_mode_0(m: Module) -> None:
    """SCK is low except while a byte is exchanged, which the program has begun, and in the cycles in which
    CS# changes. The output does not change with SCK's rising edge or while SCK is high. No byte is begun
    while another one is being exchanged. CS# changes only on a command of the program, and never while a byte
    is being exchanged.
    """
    core = ControlCore(2400, program=([0] * PROGRAM_WORDS, b""))
    dut = Subject(m, core)
    (fetch,) = dut.part("processor", "program").read_ports
    dut.replace("processor", "program", by=AnyProgram(fetch, AnyConst(10), AnyConst(16)))
    spi, processor = dut.part("spi"), dut.part("processor")
    word = Instruction(fetch.data)
    selects = processor.out & (word.op == Op.OUT) & (processor.address[:4] == Out.FLASH)
    begins = processor.out & (processor.address[:4] == Out.EXCHANGE)
    half, sck, cs_n = dut.signal("half", "spi"), core.flash.sck, core.flash.cs_n
    before = past(m, cs_n, init=1)
    m.d.comb += [
        Assert(spi.busy | ~sck),
        Assert((cs_n == before) | ~(spi.busy | sck)),
        Assert((cs_n == before) | past(m, selects)),
        Assert(~sck | unchanged(m, core.flash.copi)),
        Assert(~(selects | begins) | ~spi.busy),
        Assert(spi.start == begins),
        Cover(sck & core.flash.copi & ~cs_n),
        # Invariants
        Assert(sck == (spi.busy & half[0])),
        Assert(spi.busy | (half == 0)),
    ]
