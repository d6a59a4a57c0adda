"""Mutants of the firmware: programs with one word changed.

A word is identified by the lines of our source that made it, and by the number of words that they made before
it. The same word is therefore found again in a program that a test assembles from some of the parts.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sealchip.core import firmware
from sealchip.core.assembler import Assembler
from sealchip.core.firmware.layout import In, Out
from sealchip.core.processor import Instruction, Op, Source
from verif.models.processor import Machine
from verif.plans.plan import VERIF

__all__ = ["Change", "MutatedProgram", "Origin", "Word", "mutated", "part_of", "sample", "words_of_firmware"]

#: Folder of the parts of the firmware; `__init__.py` only puts them together.
FOLDER = Path(firmware.__file__).parent
#: Lines of our source, `file:line`, the outermost first; the word's number among those that they made.
Origin = tuple[tuple[str, ...], int]

_COMPUTES = Op.LOAD, Op.XOR, Op.AND, Op.ADD, Op.ADD_CARRY, Op.SUBTRACT, Op.SUBTRACT_CARRY
#: Operations that replace an operation.
_OTHERS = {
    **{op: [other for other in _COMPUTES if other != op] for op in _COMPUTES},
    Op.JUMP_ZERO: [Op.JUMP_NOT_ZERO],
    Op.JUMP_NOT_ZERO: [Op.JUMP_ZERO],
    Op.JUMP_CARRY: [Op.JUMP_NO_CARRY],
    Op.JUMP_NO_CARRY: [Op.JUMP_CARRY],
    Op.STORE: [Op.PUBLISH],
    Op.PUBLISH: [Op.STORE],
    Op.CALL: [Op.JUMP],
}
_JUMPS = Op.JUMP, Op.CALL, Op.JUMP_ZERO, Op.JUMP_NOT_ZERO, Op.JUMP_CARRY, Op.JUMP_NO_CARRY


def _word(op: Op, source: Source, operand: int) -> int:
    return Instruction.const({"op": op, "source": source, "operand": operand}).as_value().value


#: An instruction without effect: A and FF.
NOTHING = _word(Op.AND, Source.IMMEDIATE, 0xFF)


class Word(int):
    """Adds its origin to a word."""

    origin: Origin


@dataclass(frozen=True)
class Change:
    """Changes one word: inverts bits, or replaces the word by an instruction without effect."""

    origin: Origin
    #: Mask of the inverted bits; None if the word is left out.
    flips: int | None
    #: Description of the change for a reader, and its place in the whole program.
    description: str

    @property
    def place(self) -> str:
        """Return the place in our source, `file:line`."""
        return self.origin[0][-1]

    def __str__(self) -> str:
        return self.description

    def apply(self, word: int) -> int:
        """Return `word` with the change applied."""
        return NOTHING if self.flips is None else word ^ self.flips


@dataclass
class MutatedProgram:
    """Keeps which mutant is assembled, and which words have run."""

    mutants: Sequence[Change]
    #: Number, from 1 on, of the mutant in every program assembled from now on; 0 selects none.
    mutant: int = 0
    #: The words that have run.
    ran: set[Origin] = field(default_factory=set)


@contextmanager
def mutated(mutants: Sequence[Change] = ()) -> Iterator[MutatedProgram]:
    """Let every `Assembler` return the `Word`s of a mutant, and every `Machine` record which ones it runs."""
    program = MutatedProgram(mutants)
    add, words, step = Assembler._add, Assembler.words, Machine.step

    def traced_add(self: Assembler, *row: Any, **others: Any) -> None:
        self.__dict__.setdefault("lines", []).append(_lines())
        add(self, *row, **others)

    def traced_words(self: Assembler) -> list[int]:
        change = program.mutants[program.mutant - 1] if program.mutant else None
        return list(_traced(words(self), self.__dict__.get("lines", []), change))

    def traced_step(self: Machine) -> None:
        word = self.program[self.place]
        if isinstance(word, Word):
            program.ran.add(word.origin)
        step(self)

    with ExitStack() as stack:
        for owner, name, other in (
            (Assembler, "_add", traced_add),
            (Assembler, "words", traced_words),
            (Machine, "step", traced_step),
        ):
            stack.enter_context(patch.object(owner, name, other))
        yield program


def _traced(words: list[int], lines: list[tuple[str, ...]], change: Change | None) -> Iterator[Word]:
    seen: Counter[tuple[str, ...]] = Counter()
    for word, own in zip(words, lines, strict=True):
        origin = own, seen[own]
        seen[own] += 1
        made = Word(change.apply(word) if change and change.origin == origin else word)
        made.origin = origin
        yield made


def _lines() -> tuple[str, ...]:
    """Return the lines of the parts of the firmware on the call stack."""
    found = []
    frame = sys._getframe(2)
    while frame:
        path = Path(frame.f_code.co_filename)
        if path.parent == FOLDER and path.name != "__init__.py":
            found.append(f"{path.relative_to(VERIF.parent)}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(reversed(found))


def part_of(origin: Origin) -> str:
    """Return the part of the firmware that made a word, or an empty string."""
    return Path(origin[0][0].partition(":")[0]).stem if origin[0] else ""


def words_of_firmware() -> tuple[list[Word], dict[str, int]]:
    """Return the whole program and the place of each name."""
    with mutated():
        program = firmware.assemble(0, 2400)
        return program.words(), program.places()


def sample(part: str, number: int, seed: int) -> list[Change]:
    """Return `number` mutants of the words that a part of the firmware adds to the program.

    They are spread evenly; the seed determines which.
    """
    words, places = words_of_firmware()
    names = {place: name for name, place in places.items() if not name.startswith("#")}
    own = [n for n, word in enumerate(words) if part_of(word.origin) == part]
    chance = random.Random(seed)
    found: dict[Change, None] = {}
    while len(found) < number:
        # Every word is changed once before any of them is changed in another way.
        for n in chance.sample(own, min(len(own), number - len(found))):
            kinds = [list(kind) for kind in _changes(words[n], len(words))]
            flips, description = chance.choice(chance.choice([kind for kind in kinds if kind]))
            found[Change(words[n].origin, flips, f"{description} at {n:#05x}, {_name(names, n)}")] = None
    return list(found)


def _name(names: dict[int, str], place: int) -> str:
    label = max((there for there in names if there <= place), default=0)
    return f"{names.get(label, 'begin')} + {place - label}"


def _changes(word: int, length: int) -> Iterator[Iterator[tuple[int | None, str]]]:
    """Yield, by kind, the changes of a word that can matter in a program of this length.

    Each change is a mask of bits to invert and its description.
    """
    instruction = Instruction.from_bits(word)
    op, source, operand = instruction.op, instruction.source, instruction.operand
    text = (
        f"{op.name} {operand:#x}" if op in _JUMPS or op == Op.OUT else f"{op.name} {source.name} {operand:#x}"
    )
    target = word & 0xFFF
    if op in _JUMPS:
        bits = (bit for bit in range(12) if target ^ 1 << bit < length)
    elif op == Op.OUT:
        bits = (bit for bit in range(4) if operand ^ 1 << bit in list(Out))
    elif op == Op.PUBLISH or source == Source.IMMEDIATE:
        bits = iter(range(8))
    elif source == Source.INPUT:
        bits = (bit for bit in range(3) if operand ^ 1 << bit in list(In))
    else:
        bits = iter(range(10))
    yield ((1 << bit, f"{text}, bit {bit}") for bit in bits)
    others = ((op.value ^ other.value) << 12 for other in _OTHERS.get(op, ()))
    yield ((flips, f"{text}, {Instruction.from_bits(word ^ flips).op.name}") for flips in others)
    yield iter([(None, f"{text} left out")])
