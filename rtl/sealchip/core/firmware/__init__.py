"""The firmware does whatever need not be fast: the program of the processor, one module for each part."""

from ..assembler import Assembler
from ..processor import MEMORY_BYTES
from . import calendar, flash, identity, log, main, record, sm4

__all__ = ["assemble", "build"]


def assemble(flash_base, baud):
    """Assemble the program and return it with the names of its places.

    `flash_base` is where the seal's part of the flash begins; `baud` is the rate in bit/s of a seal without
    an identity. Raises `ValueError` where the flash cannot take the seal's part.
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
    """Return words and memory for `Processor`; see `assemble`."""
    memory = bytearray(MEMORY_BYTES)
    for part in (sm4, identity, calendar):
        for address, table in part.TABLES.items():
            # X is xored into an address, so a table must begin at a multiple of its size.
            assert address % (1 << (len(table) - 1).bit_length()) == 0, f"{address:#x} of {part.__name__}"
            memory[address : address + len(table)] = table
    return assemble(flash_base, baud).words(), bytes(memory)
