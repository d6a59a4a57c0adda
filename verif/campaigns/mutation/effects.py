"""Prove that a mutant of the firmware is equivalent: nothing depends on the bits that it changes.

A forward analysis from reset finds the pairs of values that A and C can have before each instruction; a
backward analysis from the ends of all paths finds which of their bits matter. Memory and inputs may hold any
value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from sealchip.core.firmware.layout import Out
from sealchip.core.processor import Instruction, Op, Source
from verif.models.processor import Machine

__all__ = ["Effects"]

#: An instruction in its context: its address, and the return address of the routine that contains it.
Node = tuple[int, int | None]
#: Number of pairs of values (A in the low byte, C above it); a set of pairs has one bit for each.
_PAIRS = 0x200
_ANYTHING = (1 << _PAIRS) - 1
#: Masks of the values that matter: the bits of A, C as in a pair, and whether A is zero.
_ALL, _CARRY, _ZERO = 0xFF, 0x100, 0x200
#: The bits that an output uses; outputs not listed use all of them.
_TAKEN = {
    Out.RETURN: 0,
    Out.FLASH: 0x0F,
    Out.SECOND: 0,
    Out.EVENT: 0,
    Out.ANSWER: 0x03,
    Out.LOCK_TICK: 0,
    Out.TICK: 0,
}
_TESTS = {
    Op.JUMP: lambda pair: True,
    Op.CALL: lambda pair: True,
    Op.JUMP_ZERO: lambda pair: not pair & _ALL,
    Op.JUMP_NOT_ZERO: lambda pair: bool(pair & _ALL),
    Op.JUMP_CARRY: lambda pair: pair > _ALL,
    Op.JUMP_NO_CARRY: lambda pair: pair <= _ALL,
}
_CARRIES = Op.ADD_CARRY, Op.SUBTRACT_CARRY
_COMPUTES = Op.LOAD, Op.XOR, Op.AND, Op.ADD, Op.SUBTRACT, *_CARRIES


class _Nowhere:
    """Stands in for the surroundings of a machine that only computes."""

    def read(self, number: int, x: int) -> int:
        raise NotImplementedError

    def write(self, number: int, value: int) -> None:
        raise NotImplementedError


class Effects:
    """Finds the values that the instructions of a program may meet, and which of their bits matter."""

    def __init__(self, words: list[int]) -> None:
        self._words = words
        self._alone = Machine([], bytearray(), _Nowhere())

    def unchanged(self, place: int, word: int) -> bool:
        """Return whether the program behaves the same with `word` at that address."""
        return all(self._same(node, self._words[place], word) for node in self._reached if node[0] == place)

    @cached_property
    def _reached(self) -> dict[Node, int]:
        """Return the pairs that each instruction may find."""
        found: dict[Node, int] = {(0, None): 1}
        waiting = [(0, None)]
        while waiting:
            node = waiting.pop()
            for there, pairs in self._ways(node, self._words[node[0]], found[node]):
                if pairs & ~found.get(there, 0):
                    found[there] = found.get(there, 0) | pairs
                    waiting.append(there)
        return found

    @cached_property
    def _matters(self) -> dict[Node, int]:
        """Return the mask of the bits that matter before each instruction."""
        found = dict.fromkeys(self._reached, 0)
        changed = True
        while changed:
            changed = False
            for node in sorted(found, key=lambda node: -node[0]):
                before = self._before(self._words[node[0]], self._after(found, node))
                changed |= before != found[node]
                found[node] = before
        return found

    def _after(self, matters: dict[Node, int], node: Node) -> int:
        found = 0
        for there, pairs in self._ways(node, self._words[node[0]], self._reached[node]):
            found |= matters[there] if pairs else 0
        return found

    def _ways(self, node: Node, word: int, pairs: int) -> Iterator[tuple[Node, int]]:
        """Yield the instructions that may follow, and the pairs that they may find."""
        place, back = node
        op, operand = _split(word)[::2]
        if op in _TESTS:
            going = _mask(pair for pair in _each(pairs) if _TESTS[op](pair))
            if going:
                yield (word & 0xFFF, place + 1 if op == Op.CALL else back), going
            if going != pairs:
                yield (place + 1, back), pairs & ~going
        elif op == Op.OUT and operand == Out.RETURN:
            assert back is not None
            yield (back, None), pairs
        else:
            yield (place + 1, back), self._computed(word, pairs) if op in _COMPUTES else pairs

    def _computed(self, word: int, pairs: int) -> int:
        op, source, operand = _split(word)
        if source == Source.IMMEDIATE:
            return _mask(self._compute(op, pair, operand) for pair in _each(pairs))
        if op in (Op.LOAD, Op.XOR, Op.AND):
            return _mask(
                a | pair & ~_ALL for pair in {one & ~_ALL for one in _each(pairs)} for a in range(256)
            )
        return _ANYTHING

    def _compute(self, op: Op, pair: int, b: int) -> int:
        """Return the pair that an operation leaves."""
        self._alone.program = [op.value << 12 | Source.IMMEDIATE.value << 10 | b]
        self._alone.place, self._alone.a, self._alone.carry = 0, pair & _ALL, pair >> 8
        self._alone.step()
        return self._alone.a | self._alone.carry << 8

    def _before(self, word: int, after: int) -> int:
        """Return what matters before `word`, given what matters after it."""
        op, source, operand = _split(word)
        if op in _TESTS:
            tested = {Op.JUMP: 0, Op.CALL: 0, Op.JUMP_CARRY: _CARRY, Op.JUMP_NO_CARRY: _CARRY}
            return after | tested.get(op, _ZERO)
        if op not in _COMPUTES:
            return after | (_TAKEN.get(operand, _ALL) if op == Op.OUT else _ALL)
        if op == Op.LOAD:
            return after & _CARRY
        if op in (Op.XOR, Op.AND):
            bits = _ALL if after & _ZERO else after & _ALL
            return after & _CARRY | bits & (operand if op == Op.AND and source == Source.IMMEDIATE else _ALL)
        bits = _ALL if after & ~_ALL else (1 << (after & _ALL).bit_length()) - 1
        return bits | (_CARRY if op in _CARRIES and after else 0)

    def _same(self, node: Node, word: int, other: int) -> bool:
        ops = {_split(word)[0], _split(other)[0]}
        pairs = self._reached[node]
        if ops <= set(_TESTS):
            return dict(self._ways(node, word, pairs)) == dict(self._ways(node, other, pairs))
        if not ops <= set(_COMPUTES):
            return False
        operands = [_split(one)[1:] for one in (word, other)]
        same = operands[0] == operands[1]
        if not same and Source.INPUT in (source for source, _ in operands):
            return False  # reading an input may have to wait, so it has an effect
        matters = self._after(self._matters, node)
        if not matters:
            return True
        # A mutant has the same operand, or else one of the two is a number.
        return all(
            _alike(self._compute(_split(word)[0], pair, b), self._compute(_split(other)[0], pair, c), matters)
            for b, c in _operands(*operands)
            for pair in _each(pairs)
        )


def _operands(one: tuple[Source, int], other: tuple[Source, int]) -> Iterator[tuple[int, int]]:
    """Yield the values that two operands may have at the same time."""
    values = [[number] if source == Source.IMMEDIATE else range(256) for source, number in (one, other)]
    if one == other:
        return zip(*values, strict=True)
    return ((b, c) for b in values[0] for c in values[1])


def _alike(one: int, other: int, matters: int) -> bool:
    """Return whether two pairs are equal in everything that matters."""
    zero = one & _ALL == 0, other & _ALL == 0
    return not (one ^ other) & matters & (_ALL | _CARRY) and (zero[0] == zero[1] or not matters & _ZERO)


def _split(word: int) -> tuple[Op, Source, int]:
    instruction = Instruction.from_bits(word)
    return instruction.op, instruction.source, instruction.operand


def _each(pairs: int) -> Iterator[int]:
    return (pair for pair in range(_PAIRS) if pairs >> pair & 1)


def _mask(pairs: Iterator[int]) -> int:
    found = 0
    for pair in pairs:
        found |= 1 << pair
    return found
