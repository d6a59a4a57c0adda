"""Turns firmware into the processor's words: instructions with names for places in program and memory."""

from contextlib import contextmanager
from dataclasses import dataclass

from .processor import MEMORY_BYTES, Instruction, Op, Port, Source

__all__ = ["Assembler", "Operand", "at", "imm", "indexed", "port"]

#: Words that can be jumped to: a jump has the bits of operand and source for it.
_WORDS = MEMORY_BYTES * len(Source)


@dataclass(frozen=True)
class Operand:
    """What an instruction works on."""

    source: Source
    number: int


def at(address):
    """The memory's byte at `address`."""
    if not 0 <= address < MEMORY_BYTES:
        raise ValueError(f"there is no address {address:#x} in the memory")
    return Operand(Source.DIRECT, address)


def indexed(address):
    """The memory's byte at `address` xor X."""
    return Operand(Source.INDEXED, at(address).number)


def imm(value):
    """This value itself, modulo 256."""
    return Operand(Source.IMMEDIATE, value & 0xFF)


def port(number):
    """The input of this number."""
    return Operand(Source.INPUT, int(number))


class Assembler:
    """A program under construction; each instruction has a method, and goes behind the one before.

    A place in the program is known by its name, which `label` gives it; jumps may name places that are not
    there yet. `words` is the finished program.

    Raises `ValueError` for a name that is given twice or never, or out of reach, in `label` and `words`.
    """

    def __init__(self):
        self._rows = []
        self._places = {}
        self._named = 0

    def label(self, name=None):
        """Name the next instruction; without a name, with one of its own. Returns the name."""
        if name is None:
            self._named += 1
            name = f"#{self._named}"
        if name in self._places:
            raise ValueError(f"{name} is the name of two places in the program")
        self._places[name] = len(self._rows)
        return name

    def _add(self, op, source=Source.DIRECT, operand=0):
        self._rows.append((op, source, operand))

    def load(self, operand):
        """A = b."""
        self._add(Op.LOAD, operand.source, operand.number)

    def xor(self, operand):
        """A = A xor b."""
        self._add(Op.XOR, operand.source, operand.number)

    def and_(self, operand):
        """A = A and b."""
        self._add(Op.AND, operand.source, operand.number)

    def add(self, operand, *, carry=False):
        """A = A + b, with the carry if asked for."""
        self._add(Op.ADD_CARRY if carry else Op.ADD, operand.source, operand.number)

    def subtract(self, operand, *, carry=False):
        """A = A - b; a carry is no borrow."""
        self._add(Op.SUBTRACT_CARRY if carry else Op.SUBTRACT, operand.source, operand.number)

    def store(self, operand):
        """A into the memory."""
        self._add(Op.STORE, operand.source, operand.number)

    def publish(self, operand):
        """A into the memory that others read."""
        self._add(Op.PUBLISH, operand.source, operand.number)

    def out(self, number):
        """A to an output."""
        self._add(Op.OUT, operand=int(getattr(number, "value", number)))

    def copy(self, source, to):
        """A byte of the memory, an input or a value into the memory, by way of A."""
        self.load(source)
        self.store(to)

    def index(self, operand):
        """X = b, by way of A."""
        self.load(operand)
        self.out(Port.X)

    def jump(self, name):
        """Go on there."""
        self._add(Op.JUMP, operand=name)

    def call(self, name):
        """Go on there until `return_`; one call at a time."""
        self._add(Op.CALL, operand=name)

    def return_(self):
        """Go on behind the last call."""
        self.out(Port.RETURN)

    def if_zero(self, name):
        """Go on there if A is zero."""
        self._add(Op.JUMP_ZERO, operand=name)

    def if_not_zero(self, name):
        """Go on there if A is not zero."""
        self._add(Op.JUMP_NOT_ZERO, operand=name)

    def if_carry(self, name):
        """Go on there if the last sum had a carry, the last difference no borrow."""
        self._add(Op.JUMP_CARRY, operand=name)

    def if_no_carry(self, name):
        """Go on there if the last sum had no carry, the last difference a borrow."""
        self._add(Op.JUMP_NO_CARRY, operand=name)

    @contextmanager
    def each(self, counter, numbers):
        """What follows is done for each of `numbers`: A, X and the memory's byte `counter` are the number;
        `counter` may be changed on the way, the next number follows it. A and C do not last.

        `numbers`: a range whose next number would be below 256, or that goes down to 0; else `ValueError`.
        Down to 0 it is one instruction less, and then A is the step before 0, FF if it is 1.
        """
        last, step = numbers[-1], numbers.step
        if last if step < 0 else last + step > 0xFF:
            raise ValueError(f"a loop through {numbers} would not end")
        self.load(imm(numbers.start))
        again = self.label()
        self.store(at(counter))
        self.out(Port.X)
        yield
        self.load(at(counter))
        self.subtract(imm(last if step > 0 else -step))
        if step > 0:
            # Below `last` that has borrowed, so this has a carry; A is the next number.
            self.add(imm(last + step))
        self.if_carry(again)

    def words(self):
        """The program."""
        return [self._word(*row) for row in self._rows]

    def places(self):
        """Where each name is."""
        return dict(self._places)

    def _word(self, op, source, operand):
        if isinstance(operand, str):
            if operand not in self._places:
                raise ValueError(f"{operand} is the name of no place in the program")
            place = self._places[operand]
            if place >= _WORDS:
                raise ValueError(f"{operand} is word {place}, jumps reach the first {_WORDS}")
            upper, operand = divmod(place, MEMORY_BYTES)
            source = Source(upper)
        return Instruction.const({"op": op, "source": source, "operand": operand}).as_value().value
