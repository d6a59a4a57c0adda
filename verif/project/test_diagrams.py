"""The diagrams of the documents agree with the code."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sealchip.chip import SealChip
from verif.project.chip_wiring import wiring_of
from verif.project.diagrams import DIAGRAMS

IMAGES = Path(__file__).parents[2] / "docs/images"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_that_of_the_code(name: str) -> None:
    path, fresh = IMAGES / f"{name}.svg", DIAGRAMS[name]()
    if os.environ.get("METERSEAL_UPDATE_DOCS"):
        path.write_text(fresh, encoding="utf-8")
    else:
        assert path.read_text(encoding="utf-8") == fresh, "out of date: `make docs` writes it again"


def test_every_pin_of_the_chip_is_at_a_block() -> None:
    chip = SealChip(12_000_000, front_end="sigma-delta", gsm=True)
    assert {pin for pins in wiring_of(chip).pins.values() for pin in pins} == set(chip.signature.members)


@pytest.mark.parametrize("picture", sorted(IMAGES.glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_loads_nothing(picture: Path) -> None:
    """A picture loads neither a font nor an image from another host."""
    loaded = re.findall(r'(?:href|src)="http[^"]*|url\(.?http[^)]*|@import[^;]*', picture.read_text("utf-8"))
    assert loaded == []
