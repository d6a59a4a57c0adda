"""What decides about a mutant that all tests let pass: a proof that it is no change, or a theorem."""

from __future__ import annotations

import re
import tempfile
from dataclasses import fields
from pathlib import Path

from verif.campaigns.gates.compiled import ROOT, YosysError, yosys
from verif.campaigns.mutation.effects import Effects
from verif.campaigns.mutation.mutants import Design, Mutant
from verif.campaigns.mutation.words import Change, words_of_firmware
from verif.formal.sby import NotProvedError, check
from verif.formal.theorem import Theorem

__all__ = ["Court", "FirmwareCourt", "equivalent"]

#: Registers of the same name are taken for equal in one cycle, and all of them and the outputs proved equal
#: in the next; so outputs are the same for ever, whatever the inputs. What is named in between may differ.
EQUIVALENCE = """\
read_rtlil gold.il
hierarchy -top top
flatten
select -set told c:*$buffer* %co1:+[Y] x:* %u
rename -hide w:* @told %d
memory
opt_clean
setattr -unset init w:*
rename top gold
design -stash gold
read_rtlil gate.il
hierarchy -top top
flatten
select -set told c:*$buffer* %co1:+[Y] x:* %u
rename -hide w:* @told %d
memory
opt_clean
setattr -unset init w:*
rename top gate
design -stash gate
design -copy-from gold gold
design -copy-from gate gate
equiv_make gold gate both
hierarchy -top both
opt_clean
equiv_simple -short
equiv_induct -seq 3
tee -q -o out.txt equiv_status
"""


#: Time for one such proof.
SECONDS = 40


def equivalent(design: Design, mutant: Mutant) -> bool:
    """Whether `mutant` is proved to change nothing that an output shows."""
    files = {"gold_il": design.text, "gate_il": design.mutant(mutant)}
    try:
        return "Equivalence successfully proven!" in yosys(EQUIVALENCE, seconds=SECONDS, **files)["out.txt"]
    except YosysError:
        # Too long, or a cell that its solver has no model of: nothing is proved.
        return False


class _Changed(Theorem):
    """A theorem about a changed design: the same statement, `text` in place of its RTLIL."""

    def __init__(self, theorem: Theorem, text: str) -> None:
        same = {field.name: getattr(theorem, field.name) for field in fields(Theorem)}
        super().__init__(**same | {"timeout": SECONDS})
        object.__setattr__(self, "_text", text)

    def rtlil(self, *, example: bool) -> str:
        """The changed design, and the theorem's own one for its covers."""
        return super().rtlil(example=True) if example else self._text


class Court:
    """The theorems about a block whose source is `file`; its mutants are in `design`."""

    def __init__(self, design: Design, file: str, theorems: list[Theorem]) -> None:
        self._design = design
        self._cases = []
        for theorem in theorems:
            text = theorem.rtlil(example=False).replace(f"{ROOT}/", "")
            found = re.search(
                rf'attribute \\src "{re.escape(file)}:\d+"\n(?:attribute .*\n)*module \\(\S+)', text
            )
            if found:
                self._cases.append((theorem, Design(text, found[1])))

    def equivalent(self, mutant: Mutant, *, patient: bool) -> bool:
        """Whether it is proved to change nothing; if not `patient`, only where that is seen at once."""
        return self._design.keeps(mutant) or (patient and equivalent(self._design, mutant))

    def refuses(self, mutant: Mutant) -> str | None:
        """The theorem that is not proved of the mutant within its time, though it is of the block."""
        for theorem, design in self._cases:
            if design.fits(mutant) and _refuted(theorem, design.mutant(mutant)):
                return f"{theorem.file.removeprefix('verif/')}::{theorem.name}"
        return None


class FirmwareCourt:
    """The same for the firmware, of which no theorem is asked."""

    def __init__(self) -> None:
        self._words, _ = words_of_firmware()
        self._places = {word.origin: place for place, word in enumerate(self._words)}
        self._effects = Effects(self._words)

    def equivalent(self, mutant: Change, *, patient: bool) -> bool:
        """Whether it is proved to change nothing; that is always seen at once."""
        place = self._places[mutant.origin]
        return self._effects.unchanged(place, mutant.apply(self._words[place]))

    def refuses(self, mutant: Change) -> None:
        """None does."""


def _refuted(theorem: Theorem, text: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="meterseal-") as folder:
        try:
            check(_Changed(theorem, text), Path(folder))
        except NotProvedError as error:
            return "TIMEOUT" not in str(error)
    return False
