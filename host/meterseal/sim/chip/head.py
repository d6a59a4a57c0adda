"""Keeps the seal head and the manipulations of its loop in a small file beside the flash."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from meterseal.errors import Failure
from sealchip.interface import SEALED_MV

__all__ = ["Head", "Loop"]


@dataclass(frozen=True, slots=True)
class Loop:
    """The manipulations of a seal loop besides moving its head; voltages in mV.

    `contact_mv`: while the head is in and the plate driven, less with a corroded contact. `jumper`: a wire
    across the plates, past the end-of-line resistor. `foreign_mv`: a source of its own on the loop, whatever
    the chip drives. `offset_mv` and `noise_mv` (rms) are the comparator's.
    """

    contact_mv: int = SEALED_MV
    jumper: bool = False
    foreign_mv: int | None = None
    offset_mv: int = 0
    noise_mv: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """Holds the position of the seal head, in or out, and its loop.

    Being a piece of metal, the head is moved neither by the chip's power nor by the end of a process.
    """

    closed: bool = False
    loop: Loop = Loop()

    @classmethod
    def load(cls, flash: Path) -> Head:
        """Load the head last saved for the seal of this flash file; out where none was saved."""
        path = _beside(flash)
        try:
            saved = json.loads(path.read_bytes())
            return cls(bool(saved["closed"]), Loop(**saved["loop"]))
        except FileNotFoundError:
            return cls()
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"{path} does not say how the seal head is set ({error}): remove it") from None

    def save(self, flash: Path) -> None:
        """Write the file atomically."""
        path = _beside(flash)
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(path)


def _beside(flash: Path) -> Path:
    return flash.with_name(flash.name + ".loop")
