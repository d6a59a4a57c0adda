"""A model of the processor, written from its manual, without clock cycles and without the circuit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Machine", "Surroundings"]

JUMP, CALL, JUMP_ZERO, JUMP_NOT_ZERO, JUMP_CARRY, JUMP_NO_CARRY, STORE, PUBLISH = range(8)
LOAD, XOR, AND, OUT, ADD, ADD_CARRY, SUBTRACT, SUBTRACT_CARRY = range(8, 16)
DIRECT, INDEXED, IMMEDIATE, INPUT = range(4)
PORT_X, PORT_RETURN = 0, 1


class Surroundings(Protocol):
    """The devices at the inputs and outputs."""

    def read(self, number: int, x: int) -> int:
        """Return the byte at input `number`."""
        ...

    def write(self, number: int, value: int) -> None:
        """Write `value` to output `number`."""
        ...


@dataclass
class Machine:
    """Runs `program`, one instruction a `step`. `public` holds what `PUBLISH` has written."""

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
        """Run one instruction. Tests run millions of them, so all but inputs and outputs is done in place."""
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
            if operand == PORT_X:
                self.x = self.a
            elif operand == PORT_RETURN:
                self.place = self.back
            else:
                self.surroundings.write(operand, self.a)
        else:
            if source == IMMEDIATE:
                b = operand & 0xFF
            elif source == INPUT:
                b = self.surroundings.read(operand, self.x)
            else:
                b = self.memory[address]
            if op == LOAD:
                self.a = b
            elif op == XOR:
                self.a ^= b
            elif op == AND:
                self.a &= b
            elif op <= ADD_CARRY:
                total = self.a + b + (self.carry if op == ADD_CARRY else 0)
                self.carry = total >> 8
                self.a = total & 0xFF
            else:
                total = self.a - b - (1 - self.carry if op == SUBTRACT_CARRY else 0)
                self.carry = int(total >= 0)
                self.a = total & 0xFF
