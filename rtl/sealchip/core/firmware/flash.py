"""Access to the flash, byte by byte, with the common command set of 25-series flashes.

*flash.begin* begins a command; then its data are exchanged by the job that needs them; `deselect` ends a
read, and *flash.finish* ends a write.

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

#: Milliseconds from power-up to the first command; data sheets give up to 10 ms.
POWER_UP_MS = 10
#: Milliseconds from the release from deep power-down to the next command; data sheets give 3 to 35 µs.
_WAKE_MS = 1

#: The command that *flash.begin* begins: its position in the seal's part of the flash, low byte first, and
#: its opcode.
POSITION = Memory.OF_FLASH
COMMAND = Memory.OF_FLASH + 2
#: A counter for the job that exchanges data.
COUNT = Memory.OF_FLASH + 3
_TICKS = Memory.OF_FLASH + 4
#: Zero in a read, `Flash.WRITES` in a write.
_MODE = Memory.OF_FLASH + 5
_CRC_BYTES = 2


def send(a, operand):
    """Send a byte and leave what comes back unread."""
    a.load(operand)
    a.out(Out.EXCHANGE)


def _select(a):
    """Select the flash without a CRC."""
    a.load(imm(Flash.SELECT))
    a.out(Out.FLASH)


def deselect(a):
    """Deselect the flash.

    At least two instructions must stand before the one that selects it again: 100 ns even at 48 MHz.
    """
    a.load(imm(0))
    a.out(Out.FLASH)


def wake(a):
    """Wait until the flash has powered up, and release it from deep power-down, in which an FPGA leaves its
    configuration flash.
    """
    # The first tick may come at once, so the wait is for one tick more.
    a.load(imm(POWER_UP_MS + 1))
    a.call("flash.wait")
    _select(a)
    send(a, imm(_WAKE))
    deselect(a)
    a.load(imm(_WAKE_MS + 1))
    a.call("flash.wait")


def emit(a, flash_base):
    """Emit the routines.

    *flash.begin* begins `COMMAND` at `POSITION`, after a write enable if it writes; the CRC covers the data
    that follow. *flash.finish* ends a write and waits for the flash; A is then zero. *flash.finish with crc*
    first appends the two bytes of the CRC. *flash.wait* waits for A ticks.

    `flash_base` is where the seal's part of the flash begins; `ValueError` unless it is a multiple of its
    size, so that the base can be xored into a position instead of being added.
    """
    if flash_base % FLASH_SIZE:
        raise ValueError(
            f"the seal's part of the flash at {flash_base:#x} must begin at a multiple of its size"
        )
    _begin(a, flash_base)
    _finish(a)
    _wait(a)


def _begin(a, flash_base):
    """Emit *flash.begin*."""
    a.label("flash.begin")
    a.load(at(COMMAND))
    a.xor(imm(READ))
    a.if_zero("flash.enabled")  # with A zero: a read's mode
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
    """Emit *flash.finish with crc* and *flash.finish*."""
    a.label("flash.finish with crc")
    a.load(imm(Flash.SELECT | Flash.SUMS | Flash.WRITES | Flash.APPENDS))
    a.out(Out.FLASH)
    for _ in range(_CRC_BYTES):
        a.out(Out.EXCHANGE)
    a.label("flash.finish")
    deselect(a)
    a.load(imm(0))  # only to keep CS# high for long enough
    _select(a)
    send(a, imm(_READ_STATUS))
    again = a.label()
    a.out(Out.EXCHANGE)
    a.load(port(In.FLASH))
    a.and_(imm(1))
    a.if_not_zero(again)
    a.out(Out.FLASH)  # A is zero, which deselects the flash
    a.return_()


def _wait(a):
    """Emit *flash.wait*."""
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
