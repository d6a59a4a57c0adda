"""An SPI NOR flash of the 25 series, mode 0, at its pins; written from the data sheet's command table."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import cocotb
from cocotb.triggers import Event, FallingEdge, ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

__all__ = ["SpiFlash"]

PROGRAM, READ, WRITE_DISABLE, STATUS, WRITE_ENABLE = 0x02, 0x03, 0x04, 0x05, 0x06
ERASE, WAKE, SLEEP = 0x20, 0xAB, 0xB9
PAGE, SECTOR = 256, 4096
#: Seconds: page program and sector erase, as a data sheet has them typically.
T_PP, T_SE = 0.7e-3, 45e-3


class SpiFlash:
    """The flash with `content`, in deep power-down at first.

    `commands` has every command with its address, `faults` the violations of the data sheet. When the power
    fails, `failed` is set, the running operation stays half done, and nothing is answered or written then.
    """

    def __init__(self, dut, content: bytes, *, t_pp: float = T_PP, t_se: float = T_SE, seed: int = 1) -> None:
        self._dut, self._chance = dut, random.Random(seed)
        self._times = {PROGRAM: t_pp, ERASE: t_se}
        self.content = bytearray(content)
        self.commands: list[tuple[int, int]] = []
        self.faults: list[str] = []
        self.clocks = 0
        self.failed = Event()
        self._cut: int | None = None
        self._asleep, self._writable = True, False
        #: Writes the part that had its time; None while nothing is being written.
        self._write: Callable[[float], None] | None = None
        self._in, self._clocked = bytearray(), 0
        self._busy_from = self._busy_until = 0.0
        dut.flash_cipo.value = 1

    def cut_after(self, clocks: int) -> None:
        """Let the power fail that many SPI clocks from now."""
        self._cut = self.clocks + clocks

    def fail(self) -> None:
        """Let the power fail now, with the running operation half done."""
        if self._write:
            span = self._busy_until - self._busy_from
            self._write(min((get_sim_time("ns") - self._busy_from) / span, 1.0))
            self._write = None
        self.failed.set()

    async def run(self) -> None:
        """Run until cancelled or without power."""
        while not self.failed.is_set():
            await FallingEdge(self._dut.flash_cs_n)
            transfer = cocotb.start_soon(self._transfer())
            await self._check_clock_is_low("selected")
            await RisingEdge(self._dut.flash_cs_n)
            await self._check_clock_is_low("deselected")
            transfer.cancel()
            if self._clocked % 8 == 0 and self._in and not self.failed.is_set():
                self._command(self._in[0])

    async def _check_clock_is_low(self, when: str) -> None:
        """Check SCK after all simultaneous changes."""
        await ReadOnly()
        if self._dut.flash_sck.value != 0:
            self.faults.append(f"{when} while SCK is high")

    async def _transfer(self) -> None:
        """Transfer one command: a bit comes in with each rising edge and goes out with each falling edge.

        Most transfers are reads, where nothing is sampled that is not needed.
        """
        sck, copi, cipo = self._dut.flash_sck, self._dut.flash_copi, self._dut.flash_cipo
        rises, falls = RisingEdge(sck), FallingEdge(sck)
        self._in, self._clocked = bytearray(), 0
        value, out, level = 0, 0xFF, 1
        cipo.value = level
        while True:
            await rises
            self.clocks += 1
            self._clocked += 1
            if self.clocks == self._cut:
                self.fail()
            if self._in[:1] != b"\x03" or len(self._in) < 4:
                value = (value << 1 | int(copi.value)) & 0xFF
            if self._clocked % 8 == 0:
                self._in.append(value)
                out = 0xFF if self.failed.is_set() else self._answer()
            await falls
            if (out >> (-self._clocked - 1) % 8 & 1) != level:
                level = 1 - level
                cipo.value = level

    def _busy(self) -> bool:
        """Complete a write that has had its time, and return whether one is still running."""
        if self._write and get_sim_time("ns") >= self._busy_until:
            self._write(1.0)
            self._write, self._writable = None, False
        return self._write is not None

    def _answer(self) -> int:
        """Return the byte that answers those received so far."""
        command, position = self._in[0], len(self._in) - 4
        if command == STATUS:
            return self._busy() | self._writable << 1
        if command == READ and position >= 0 and not self._busy() and not self._asleep:
            return self.content[(self._address() + position) % len(self.content)]
        return 0xFF

    def _address(self) -> int:
        return int.from_bytes(self._in[1:4], "big")

    def _command(self, command: int) -> None:
        """Execute the received command."""
        if command == STATUS:
            return
        self.commands.append((command, self._address()))
        if self._busy() or (self._asleep and command != WAKE):
            self.faults.append(f"command {command:02X} to a flash that is busy or asleep")
        elif command in (WAKE, SLEEP):
            self._asleep = command == SLEEP
        elif command in (WRITE_ENABLE, WRITE_DISABLE):
            self._writable = command == WRITE_ENABLE
        elif command in self._times:
            self._begin(command)

    def _begin(self, command: int) -> None:
        """Begin a program or an erase."""
        address, data = self._address(), bytes(self._in[4:])
        if not self._writable:
            self.faults.append(f"command {command:02X} without write enable")
            return
        if address % PAGE + len(data) > PAGE:
            self.faults.append(f"program of {len(data)} bytes at {address:06X} beyond its page")
            return
        self._busy_from = get_sim_time("ns")
        self._busy_until = self._busy_from + self._times[command] * 1e9
        if command == PROGRAM:
            self._write = partial(self._program, address, data)
        else:
            self._write = partial(self._erase, address - address % SECTOR)

    def _program(self, address: int, data: bytes, done: float) -> None:
        """Clear bits, byte after byte; the byte at which the power fails is written in part."""
        whole = int(done * len(data))
        for place, byte in enumerate(data[: whole + 1], address):
            kept = 0 if place < address + whole else self._chance.randrange(256)
            self.content[place % len(self.content)] &= byte | kept

    def _erase(self, sector: int, done: float) -> None:
        """Set bits all over the sector at once; those that the power failure leaves are random."""
        for place in range(sector, sector + SECTOR):
            risen = 0xFF if self._chance.random() < done else self._chance.randrange(256)
            self.content[place % len(self.content)] |= risen
