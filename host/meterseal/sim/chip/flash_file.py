"""Keeps the flash of a simulated chip in a file."""

from __future__ import annotations

import fcntl
import mmap
import os
from ctypes import c_uint8
from pathlib import Path

from meterseal.errors import Failure
from sealchip.interface import FLASH_SIZE

__all__ = ["FlashFile"]


class FlashFile:
    """A flash file mapped into memory: what the chip has written survives a SIGKILL.

    Errors: `Failure` when the file is absent, of the wrong size, or in use by another simulated chip.
    Test: `verif/host/sim/chip/test_chip_run.py::test_a_killed_process_goes_on_where_it_was`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("r+b")
        except OSError as error:
            raise Failure(f"flash file {path}: {error.strerror} (`meterseal seal image` makes one)") from None
        problem = self._problem()
        if problem:
            self._file.close()
            raise Failure(f"flash file {path}: {problem}")
        self._map = mmap.mmap(self._file.fileno(), FLASH_SIZE)
        #: The bytes themselves, for the simulation.
        self.array = (c_uint8 * FLASH_SIZE).from_buffer(self._map)

    def read(self) -> bytes:
        """Return the current content."""
        return bytes(self._map)

    def close(self) -> None:
        """Release the file; nothing may refer to `array` any more."""
        del self.array
        self._map.close()
        self._file.close()

    def _problem(self) -> str | None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return "another simulated chip is running on it"
        size = os.fstat(self._file.fileno()).st_size
        return None if size == FLASH_SIZE else f"{size} bytes, a seal's flash has {FLASH_SIZE}"
