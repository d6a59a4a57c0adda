"""What the chip does slowly: the program of its processor, part by part."""

from ..assembler import Assembler
from ..processor import MEMORY_BYTES
from . import calendar, flash, identity, log, main, record, sm4

__all__ = ["assemble", "build"]


def assemble(flash_base, baud):
    """The program, with the names of its places.

    `flash_base`: where the seal's part of the flash begins; `baud`: rate in bit/s of a seal without an
    identity. Raises `ValueError` where the flash does not take the seal's part.
    """
    a = Assembler()
    for part in (main, calendar, record):
        part.boot(a)
    flash.wake(a)
    identity.emit(a, baud)
    main.emit(a)
    log.emit(a)
    record.emit(a)
    calendar.emit(a)
    flash.emit(a, flash_base)
    return a


def build(flash_base, baud):
    """Words and memory for `Processor`; see `assemble`."""
    memory = bytearray(MEMORY_BYTES)
    for part in (sm4, identity, calendar):
        for address, table in part.TABLES.items():
            memory[address : address + len(table)] = table
    return assemble(flash_base, baud).words(), bytes(memory)
