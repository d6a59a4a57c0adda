"""Decide about mutants that pass all tests: prove them equivalent, or find a theorem that refuses them."""

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

__all__ = ["Equivalence", "FirmwareEquivalence", "equivalent"]

#: Assume that registers of the same name are equal in one cycle, and prove that they and the outputs are
#: equal in the next: then the outputs stay equal for ever, whatever the inputs. Other signals may differ.
SCRIPT = """\
read_rtlil gold.il
hierarchy -top top
flatten
select -set kept c:*$buffer* %co1:+[Y] x:* %u
rename -hide w:* @kept %d
memory
opt_clean
setattr -unset init w:*
rename top gold
design -stash gold
read_rtlil gate.il
hierarchy -top top
flatten
select -set kept c:*$buffer* %co1:+[Y] x:* %u
rename -hide w:* @kept %d
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


#: Seconds that one such proof may take.
SECONDS = 40


def equivalent(design: Design, mutant: Mutant) -> bool:
    """Return whether `mutant` is proved to have no effect on any output."""
    files = {"gold_il": design.text, "gate_il": design.mutant(mutant)}
    try:
        return "Equivalence successfully proven!" in yosys(SCRIPT, seconds=SECONDS, **files)["out.txt"]
    except YosysError:
        # It took too long, or the solver has no model of a cell: nothing is proved.
        return False


class _Changed(Theorem):
    """Applies a theorem to a changed design, whose RTLIL is `text`."""

    def __init__(self, theorem: Theorem, text: str) -> None:
        same = {field.name: getattr(theorem, field.name) for field in fields(Theorem)}
        super().__init__(**same | {"timeout": SECONDS})
        object.__setattr__(self, "_text", text)

    def rtlil(self, *, example: bool) -> str:
        """Return the changed design, but the theorem's own design for its covers."""
        return super().rtlil(example=True) if example else self._text


class Equivalence:
    """Decides about the mutants in `design`, a block whose source is `file`, with the `theorems` about it."""

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
        """Return whether `mutant` is proved to have no effect; a long proof is tried only if `patient`."""
        return self._design.keeps(mutant) or (patient and equivalent(self._design, mutant))

    def refuses(self, mutant: Mutant) -> str | None:
        """Return the theorem that holds for the block and fails for the mutant, if there is one."""
        for theorem, design in self._cases:
            if design.fits(mutant) and _refuted(theorem, design.mutant(mutant)):
                return f"{theorem.file.removeprefix('verif/')}::{theorem.name}"
        return None


class FirmwareEquivalence:
    """Decides about the mutants of the firmware, without theorems."""

    def __init__(self) -> None:
        self._words, _ = words_of_firmware()
        self._places = {word.origin: place for place, word in enumerate(self._words)}
        self._effects = Effects(self._words)

    def equivalent(self, mutant: Change, *, patient: bool) -> bool:
        """Return whether `mutant` is proved to have no effect; this proof is always quick."""
        place = self._places[mutant.origin]
        return self._effects.unchanged(place, mutant.apply(self._words[place]))

    def refuses(self, mutant: Change) -> None:
        """Return None: no theorem is tried."""


def _refuted(theorem: Theorem, text: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="meterseal-") as folder:
        try:
            check(_Changed(theorem, text), Path(folder))
        except NotProvedError as error:
            return "TIMEOUT" not in str(error)
    return False
