"""What of a seal outlives the power: its flash, and how its seal head is set, in a small file beside it."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from ctypes import c_uint8
from dataclasses import asdict, dataclass
from pathlib import Path

from meterseal.errors import Failure
from sealchip.interface import FLASH_SIZE

__all__ = ["FlashFile", "Head"]


class FlashFile:
    """A flash file in memory, shared with the file: what the chip has written survives a SIGKILL.

    Errors: `Failure` when the file is absent, of the wrong size, or in use by another simulated chip.
    Test: `verif/chip/test_chip_run.py::test_a_killed_process_goes_on_where_it_was`.
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
        """The content as it is now."""
        return bytes(self._map)

    def close(self) -> None:
        """Give the file back; nothing may point into `array` any more."""
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


@dataclass(frozen=True, slots=True)
class Head:
    """The seal head: in or out, and the loop's voltage in mV while it is in.

    It is a piece of metal: neither the chip's power nor the end of a process moves it.
    """

    closed: bool = False
    mv: int = 4000

    @classmethod
    def load(cls, flash: Path) -> Head:
        """As last saved for the seal of this flash file; out where nothing was saved."""
        path = _beside(flash)
        try:
            saved = json.loads(path.read_bytes())
            return cls(bool(saved["closed"]), int(saved["mv"]))
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"{path} does not say how the seal head is set ({error}): remove it") from None

    def save(self, flash: Path) -> None:
        """Write the file whole or not at all."""
        path = _beside(flash)
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(path)


def _beside(flash: Path) -> Path:
    return flash.with_name(flash.name + ".loop")
