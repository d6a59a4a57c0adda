"""The processor as its manual has it: a model that knows nothing of cycles or of the circuit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Machine", "Surroundings"]

JUMP, CALL, JUMP_ZERO, JUMP_NOT_ZERO, JUMP_CARRY, JUMP_NO_CARRY, STORE, PUBLISH = range(8)
LOAD, XOR, AND, OUT, ADD, ADD_CARRY, SUBTRACT, SUBTRACT_CARRY = range(8, 16)
DIRECT, INDEXED, IMMEDIATE, INPUT = range(4)
PORT_X, PORT_RETURN = 0, 1


class Surroundings(Protocol):
    """What inputs and outputs are connected to."""

    def read(self, number: int, x: int) -> int:
        """The byte at input `number`."""
        ...

    def write(self, number: int, value: int) -> None:
        """`value` goes to output `number`."""
        ...


@dataclass
class Machine:
    """Runs `program`; `step` is one instruction. Public memory is what `PUBLISH` has written."""

    program: list[int]
    memory: bytearray
    surroundings: Surroundings
    public: bytearray = field(default_factory=lambda: bytearray(256))
    place: int = 0
    back: int = 0
    a: int = 0
    x: int = 0
    carry: int = 0
    steps: int = 0

    def step(self) -> None:
        """One instruction."""
        word = self.program[self.place]
        op, source, operand = word >> 12, word >> 10 & 3, word & 0x3FF
        self.steps += 1
        self.place += 1
        if op <= JUMP_NO_CARRY:
            tests = (True, True, self.a == 0, self.a != 0, self.carry, not self.carry)
            if tests[op]:
                if op == CALL:
                    self.back = self.place
                self.place = word & 0xFFF
            return
        address = operand ^ self.x if source == INDEXED else operand
        if op == STORE:
            self.memory[address] = self.a
        elif op == PUBLISH:
            self.public[address & 0xFF] = self.a
        elif op == OUT:
            self._out(operand)
        else:
            self._compute(op, self._operand(source, operand, address))

    def _out(self, number: int) -> None:
        if number == PORT_X:
            self.x = self.a
        elif number == PORT_RETURN:
            self.place = self.back
        else:
            self.surroundings.write(number, self.a)

    def _operand(self, source: int, operand: int, address: int) -> int:
        if source == IMMEDIATE:
            return operand & 0xFF
        if source == INPUT:
            return self.surroundings.read(operand, self.x)
        return self.memory[address]

    def _compute(self, op: int, b: int) -> None:
        if op == LOAD:
            self.a = b
        elif op == XOR:
            self.a ^= b
        elif op == AND:
            self.a &= b
        else:
            borrows = 1 - self.carry if op == SUBTRACT_CARRY else 0
            carries = self.carry if op == ADD_CARRY else 0
            if op in (SUBTRACT, SUBTRACT_CARRY):
                total = self.a - b - borrows
                self.carry = int(total >= 0)
            else:
                total = self.a + b + carries
                self.carry = total >> 8
            self.a = total & 0xFF
