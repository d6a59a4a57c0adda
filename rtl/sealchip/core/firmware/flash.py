"""The flash, byte by byte: the common command set of 25-series flashes.

A command is begun by *flash.begin*; then its data are exchanged, by whoever knows what they are; `deselect`
ends a read, *flash.finish* a write.

Proofs: `verif/formal/firmware.py::flash_is_written_where_it_may`.
"""

from ...interface import FLASH_SIZE
from ..assembler import at, imm, port
from .layout import Flash, In, Memory, Out, Status

__all__ = [
    "COMMAND",
    "COUNT",
    "ERASE",
    "POSITION",
    "POWER_UP_MS",
    "PROGRAM",
    "READ",
    "deselect",
    "emit",
    "send",
    "wake",
]

READ, PROGRAM, ERASE = 0x03, 0x02, 0x20
_WRITE_ENABLE, _READ_STATUS, _WAKE = 0x06, 0x05, 0xAB

#: Milliseconds from power-up to the first command; data sheets say up to 10 ms.
POWER_UP_MS = 10
#: Milliseconds from the release from deep power-down to the next command; data sheets say 3 to 35 µs.
_WAKE_MS = 1

#: What `flash.begin` begins: where in the seal's part of the flash, low byte first; the opcode.
POSITION = Memory.OF_FLASH
COMMAND = Memory.OF_FLASH + 2
#: Of whoever exchanges data.
COUNT = Memory.OF_FLASH + 3
_TICKS = Memory.OF_FLASH + 4
#: Zero or `Flash.WRITES`.
_MODE = Memory.OF_FLASH + 5
_CRC_BYTES = 2


def send(a, operand):
    """Send a byte; what comes back does not matter."""
    a.load(operand)
    a.out(Out.EXCHANGE)


def _select(a):
    """Select the flash; no CRC is made."""
    a.load(imm(Flash.SELECT))
    a.out(Out.FLASH)


def deselect(a):
    """Deselect it; two more instructions go before it is selected again."""
    a.load(imm(0))
    a.out(Out.FLASH)


def wake(a):
    """Wait until the flash has powered up, and release it from deep power-down, in which an FPGA leaves its
    configuration flash.
    """
    # The first tick comes at any time, so one more is waited for.
    a.load(imm(POWER_UP_MS + 1))
    a.call("flash.wait")
    _select(a)
    send(a, imm(_WAKE))
    deselect(a)
    a.load(imm(_WAKE_MS + 1))
    a.call("flash.wait")


def emit(a, flash_base):
    """The routines: *flash.begin* (`COMMAND` at `POSITION`, write enable before it if it writes; the CRC is
    that of the data that follow), *flash.finish* (end of a write; waits for the flash; A is then zero),
    *flash.finish with crc* (the same behind the CRC's two bytes), *flash.wait* (A ticks).

    `flash_base`: where the seal's part of the flash begins; `ValueError` unless it is a multiple of its size.
    """
    if flash_base % FLASH_SIZE:
        raise ValueError(
            f"the seal's part of the flash at {flash_base:#x} must begin at a multiple of its size"
        )
    _begin(a, flash_base)
    _finish(a)
    _wait(a)


def _begin(a, flash_base):
    a.label("flash.begin")
    a.load(at(COMMAND))
    a.xor(imm(READ))
    a.if_zero("flash.enabled")
    _select(a)
    send(a, imm(_WRITE_ENABLE))
    deselect(a)
    a.load(imm(Flash.WRITES))
    a.label("flash.enabled")
    a.store(at(_MODE))
    _select(a)
    send(a, at(COMMAND))
    send(a, imm(flash_base >> 16))
    a.load(at(POSITION + 1))
    a.xor(imm(flash_base >> 8))
    a.out(Out.EXCHANGE)
    send(a, at(POSITION))
    a.load(at(_MODE))
    a.xor(imm(Flash.SELECT | Flash.SUMS))
    a.out(Out.FLASH)
    a.return_()


def _finish(a):
    a.label("flash.finish with crc")
    a.load(imm(Flash.SELECT | Flash.SUMS | Flash.WRITES | Flash.APPENDS))
    a.out(Out.FLASH)
    for _ in range(_CRC_BYTES):
        a.out(Out.EXCHANGE)
    a.label("flash.finish")
    deselect(a)
    a.load(imm(0))  # time
    _select(a)
    send(a, imm(_READ_STATUS))
    again = a.label()
    a.out(Out.EXCHANGE)
    a.load(port(In.FLASH))
    a.and_(imm(1))
    a.if_not_zero(again)
    a.out(Out.FLASH)  # A is zero: deselected
    a.return_()


def _wait(a):
    a.label("flash.wait")
    a.store(at(_TICKS))
    again = a.label()
    a.load(port(In.STATUS))
    a.and_(imm(Status.TICK))
    a.if_zero(again)
    a.out(Out.TICK)
    a.load(at(_TICKS))
    a.subtract(imm(1))
    a.if_not_zero("flash.wait")
    a.return_()
