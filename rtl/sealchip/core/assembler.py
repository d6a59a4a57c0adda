"""An assembler for the processor: instructions become words, and names become addresses."""

from contextlib import contextmanager
from dataclasses import dataclass

from .processor import MEMORY_BYTES, Instruction, Op, Port, Source

__all__ = ["Assembler", "Operand", "at", "imm", "indexed", "port"]

#: Words that can be jumped to: a jump has the bits of operand and source for it.
_WORDS = MEMORY_BYTES * len(Source)


@dataclass(frozen=True)
class Operand:
    """An operand of an instruction: how it is read, and its number."""

    source: Source
    number: int


def at(address):
    """Return the operand that is the memory's byte at `address`."""
    if not 0 <= address < MEMORY_BYTES:
        raise ValueError(f"there is no address {address:#x} in the memory")
    return Operand(Source.DIRECT, address)


def indexed(address):
    """Return the operand that is the memory's byte at `address` xor X."""
    return Operand(Source.INDEXED, at(address).number)


def imm(value):
    """Return the operand that is `value` itself, modulo 256."""
    return Operand(Source.IMMEDIATE, value & 0xFF)


def port(number):
    """Return the operand that is the input of this number."""
    return Operand(Source.INPUT, int(number))


class Assembler:
    """A program under construction: each instruction has a method, which appends it.

    `label` names an address of the program; a jump may use a name that is given later. `words` returns the
    finished program.

    `label` and `words` raise `ValueError` for a name that is given twice or never, or that is out of reach.
    """

    def __init__(self):
        self._rows = []
        self._places = {}
        self._named = 0

    def label(self, name=None):
        """Name the address of the next instruction and return the name; without one, make a name."""
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
        """Append: A = b."""
        self._add(Op.LOAD, operand.source, operand.number)

    def xor(self, operand):
        """Append: A = A xor b."""
        self._add(Op.XOR, operand.source, operand.number)

    def and_(self, operand):
        """Append: A = A and b."""
        self._add(Op.AND, operand.source, operand.number)

    def add(self, operand, *, carry=False):
        """Append: A = A + b, and with `carry` + C."""
        self._add(Op.ADD_CARRY if carry else Op.ADD, operand.source, operand.number)

    def subtract(self, operand, *, carry=False):
        """Append: A = A - b, and with `carry` - 1 + C; C is then 1 if there was no borrow."""
        self._add(Op.SUBTRACT_CARRY if carry else Op.SUBTRACT, operand.source, operand.number)

    def store(self, operand):
        """Append: store A in the memory."""
        self._add(Op.STORE, operand.source, operand.number)

    def publish(self, operand):
        """Append: store A in the public memory."""
        self._add(Op.PUBLISH, operand.source, operand.number)

    def out(self, number):
        """Append: put A out at an output."""
        self._add(Op.OUT, operand=int(getattr(number, "value", number)))

    def copy(self, source, to):
        """Append: copy a byte of the memory, an input or a value to the memory, through A."""
        self.load(source)
        self.store(to)

    def index(self, operand):
        """Append: X = b, through A."""
        self.load(operand)
        self.out(Port.X)

    def jump(self, name):
        """Append: jump."""
        self._add(Op.JUMP, operand=name)

    def call(self, name):
        """Append: jump until `return_`; a routine that is called calls no other."""
        self._add(Op.CALL, operand=name)

    def return_(self):
        """Append: return to the instruction following the last call."""
        self.out(Port.RETURN)

    def if_zero(self, name):
        """Append: jump if A is zero."""
        self._add(Op.JUMP_ZERO, operand=name)

    def if_not_zero(self, name):
        """Append: jump if A is not zero."""
        self._add(Op.JUMP_NOT_ZERO, operand=name)

    def if_carry(self, name):
        """Append: jump if the last sum had a carry, or the last difference no borrow."""
        self._add(Op.JUMP_CARRY, operand=name)

    def if_no_carry(self, name):
        """Append: jump if the last sum had no carry, or the last difference a borrow."""
        self._add(Op.JUMP_NO_CARRY, operand=name)

    @contextmanager
    def each(self, counter, numbers):
        """Append a loop: the instructions appended in the context run for each of `numbers`.

        A, X and the memory's byte `counter` are the number at first. The body may change `counter`, and the
        next number then follows the changed one. A and C are overwritten between two numbers.

        `numbers` is a range whose next number would be below 256, or that goes down to 0; else `ValueError`.
        Down to 0 is one instruction shorter, and leaves in A the number that would come after 0, modulo 256:
        FF with a step of 1.
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
            # If the number was below `last` the difference has borrowed, and so this sum, which is the next
            # number, has a carry; at `last` it has none.
            self.add(imm(last + step))
        self.if_carry(again)

    def words(self):
        """Return the program."""
        return [self._word(*row) for row in self._rows]

    def places(self):
        """Return the address of each name."""
        return dict(self._places)

    def _word(self, op, source, operand):
        """Return an instruction as a word, with the address that a name stands for."""
        if isinstance(operand, str):
            if operand not in self._places:
                raise ValueError(f"{operand} is the name of no place in the program")
            place = self._places[operand]
            if place >= _WORDS:
                raise ValueError(f"{operand} is word {place}, jumps reach the first {_WORDS}")
            upper, operand = divmod(place, MEMORY_BYTES)
            source = Source(upper)
        return Instruction.const({"op": op, "source": source, "operand": operand}).as_value().value
