"""Follows a program of the processor on all its paths at once, from any state to where it is cut.

Unknown bytes are `terms`. Where a path forks, both ways are followed; where two paths meet again with the
same control state, they continue as one, with `choose` for what differs. A loop is therefore followed as
often as it goes round, and one that waits for something outside is closed when it comes back in the same
state. Every path ends at a cut, or the program is refused.

The `Rules` define what the surroundings do, and what must hold.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import z3

from sealchip.core.processor import Instruction, Op, Port, Source
from verif.formal.terms import (
    Label,
    Value,
    add,
    all_of,
    and_,
    any_of,
    choose,
    fresh,
    holds,
    is_zero,
    label,
    not_,
    possible,
    some,
    values,
    xor,
)

__all__ = ["Paths", "Refused", "Rules", "State", "Step", "must", "steps"]

#: No program takes more instructions than these on all its paths.
_TOO_MANY = 500_000
#: A path is followed for each value that an unknown index may have, if there are no more values than these.
_MOST_INDICES = 8


class Refused(Exception):
    """Raised if the program does what it must not do, or what cannot be followed."""


@dataclass
class State:
    """Holds the whole state before an instruction."""

    place: int
    memory: list[Value]
    a: Value = 0
    c: Value = 0
    x: Value = 0
    #: The place after the last `CALL`, until `Port.RETURN`.
    back: int | None = None
    #: The conditions that hold on this path.
    given: tuple[Value, ...] = ()
    #: What the rules keep. On two paths that meet, only bytes in tuples may differ.
    seen: dict[str, Any] = field(default_factory=dict)

    def copy(self, **changes: Any) -> State:
        """Return a copy with `changes`."""
        return replace(self, memory=self.memory.copy(), seen=self.seen.copy(), **changes)


class Rules:
    """Defines what the surroundings do and what is refused; by default they do nothing and refuse little."""

    #: Places where paths end.
    cuts: Mapping[int, str] = {}
    #: Addresses of counters: paths that differ in them do not meet.
    counters: tuple[int, ...] = ()

    def arrives(self, state: State, name: str) -> None:
        """Take note that a path has reached the cut `name`."""

    def input(self, state: State, number: int) -> Value:
        """Return the value at an input."""
        return fresh()

    def out(self, state: State, number: int, value: Value) -> None:
        """Take note that `value` goes to an output."""

    def store(self, state: State, address: int, value: Value) -> None:
        """Take note that `value` goes into the memory."""

    def publish(self, state: State, address: int, value: Value) -> None:
        """Take note that `value` goes into the public memory."""

    def tells(self, state: State, label: Label) -> None:
        """Take note that a jump depends on a value of that label, which is refused by default."""
        raise Refused(f"a jump depends on what is {label.name}")

    def returns(self, state: State) -> None:
        """Take note that a called part has returned; `state.place` is after the call."""

    def step(self, state: State) -> None:
        """Take note that an instruction of any kind begins."""


class Step(NamedTuple):
    """Holds the fields of one instruction."""

    op: Op
    source: Source
    operand: int


def steps(words: Iterable[int]) -> list[Step]:
    """Return the program that these words encode."""
    return [Step(it.op, it.source, it.operand) for it in map(Instruction.from_bits, words)]


class Paths:
    """Follows all paths of a program by its rules."""

    def __init__(self, program: list[Step], rules: Rules, names: Mapping[str, int] | None = None) -> None:
        self._program = program
        self._rules = rules
        self._names = names or {}
        self._waiting: dict[tuple[object, ...], State] = {}
        self._order: list[tuple[object, ...]] = []
        self._been: dict[tuple[object, ...], list[tuple[State, frozenset[_Spot]]]] = {}
        #: The state that waits, while it is the only one.
        self._alone: State | None = None
        self._number = count()
        #: Places that were reached.
        self.reached: set[int] = set()
        self.steps = 0

    def follow(self, state: State) -> None:
        """Follow every path from `state` on. Raises `Refused` with the place."""
        self._wait(state)
        while waiting := self._next():
            state, place = waiting, waiting.place
            try:
                self._step(state)
            except Refused as refused:
                refused.add_note(f"at {self.where(place)}")
                raise

    def _next(self) -> State | None:
        """Return the state to continue with, or None when all paths have ended."""
        if self._order:
            *_, key = heapq.heappop(self._order)
            return self._waiting.pop(key)
        state, self._alone = self._alone, None
        return state

    def where(self, place: int) -> str:
        """Describe a place in words, by the last name before it and the distance from there."""
        name, base = max(
            ((name, at) for name, at in self._names.items() if at <= place and name[0] != "#"),
            key=lambda it: it[1],
            default=("", 0),
        )
        return f"{name}+{place - base} ({place:#x})"

    def _go(self, state: State) -> None:
        """Continue with `state` later, or end its path at a cut."""
        name = self._rules.cuts.get(state.place)
        if name is None:
            self._wait(state)
        elif state.back is not None:
            raise Refused(f"a call has not returned at {name}")
        else:
            self._rules.arrives(state, name)

    def _wait(self, state: State) -> None:
        """Let `state` wait for its turn, joined with another state that waits at its place."""
        if self._alone is None and not self._order:
            self._alone = state
            return
        if self._alone is not None:
            alone, self._alone = self._alone, None
            self._queue(alone)
        self._queue(state)

    def _queue(self, state: State) -> None:
        key = self._key(state)
        if key in self._waiting:
            self._waiting[key] = _joined(self._waiting[key], state)
            return
        self._waiting[key] = state
        # Paths meet where a condition ends, which is later in the program, so the earliest place goes first.
        # A called part counts as the place of its call.
        called = state.back is not None
        order = (state.back - 1 if called else state.place, called, state.place, next(self._number), key)
        heapq.heappush(self._order, order)

    def _key(self, state: State) -> tuple[object, ...]:
        """Return a key: two states can continue as one if it is the same for both."""
        numbers = (state.x, *(state.memory[address] for address in self._rules.counters))
        seen = ((name, len(it) if isinstance(it, tuple) else it) for name, it in sorted(state.seen.items()))
        return state.place, state.back, *(it if isinstance(it, int) else None for it in numbers), *seen

    def _jump(self, state: State, place: int) -> None:
        """Continue at `place`, unless the path has been there in the same state."""
        backwards = place <= state.place
        state.place = place
        if backwards:
            been = self._been.setdefault(self._key(state), [])
            for before, unknown in been:
                differs = _differences(before, state)
                if differs is None:
                    continue
                if all(it in unknown and label(now) <= label(then) for it, (then, now) in differs.items()):
                    return
                # The loop waits for something. With these values unknown, its next return is no longer new.
                _forget(state, differs)
                state.given = before.given
                been[:] = [(state.copy(), unknown | differs.keys())]
                break
            else:
                been[:] = [*been[-3:], (state.copy(), frozenset())]
        self._go(state)

    def _step(self, state: State) -> None:
        self.steps += 1
        if self.steps > _TOO_MANY:
            raise Refused("it does not come to an end")
        if state.place >= len(self._program):
            raise Refused("it runs out of the program")
        self.reached.add(state.place)
        self._rules.step(state)
        op, source, operand = self._program[state.place]
        match op:
            case Op.JUMP:
                self._jump(state, operand)
            case Op.CALL:
                if state.back is not None:
                    raise Refused("a call within a call")
                state.back = state.place + 1
                state.place = operand
                self._go(state)
            case Op.JUMP_ZERO:
                self._fork(state, operand, is_zero(state.a), zero=True)
            case Op.JUMP_NOT_ZERO:
                self._fork(state, operand, not_(is_zero(state.a)), zero=False)
            case Op.JUMP_CARRY:
                self._fork(state, operand, state.c)
            case Op.JUMP_NO_CARRY:
                self._fork(state, operand, not_(state.c))
            case Op.OUT if operand == Port.RETURN.value:
                if state.back is None:
                    raise Refused("a return from nowhere")
                place, state.back = state.back, None
                state.place = place
                self._rules.returns(state)
                self._go(state)
            case _:
                self._act(state, op, source, operand)

    def _fork(self, state: State, place: int, truth: Value, *, zero: bool | None = None) -> None:
        """Continue at `place` if `truth` holds, else at the next place; A is zero where `truth` is `zero`."""
        if label(truth):
            self._rules.tells(state, label(truth))
            truth = fresh("truth")
        ways = [(truth, place, zero is True), (not_(truth), None, zero is False)]
        ways = [way for way in ways if possible(state.given, way[0])]
        for so, to, is_zero_there in ways:
            other = state.copy(given=(*state.given, so)) if len(ways) == 2 else state
            if is_zero_there and not label(other.a):
                other.a = 0
            if to is None:
                other.place += 1
                self._go(other)
            else:
                self._jump(other, to)

    def _act(self, state: State, op: Op, source: Source, operand: int) -> None:
        """Execute an instruction that does not jump."""
        indexed = source == Source.INDEXED and op != Op.OUT
        if indexed and not isinstance(state.x, int):
            indices = _indices(state)
            if len(indices) <= _MOST_INDICES:
                for index in indices:
                    self._go(state.copy(x=index, given=(*state.given, is_zero(xor(state.x, index)))))
                return
            if op in (Op.STORE, Op.PUBLISH):
                raise Refused("a byte is put nobody knows where")
        address = operand ^ state.x if indexed and isinstance(state.x, int) else operand
        match op:
            case Op.STORE:
                self._rules.store(state, address, state.a)
                state.memory[address] = state.a
            case Op.PUBLISH:
                self._rules.publish(state, address & 0xFF, state.a)
            case Op.OUT if operand == Port.X.value:
                state.x = state.a
            case Op.OUT:
                self._rules.out(state, operand, state.a)
            case _:
                self._compute(state, op, self._operand(state, source, operand, address))
        state.place += 1
        self._go(state)

    def _operand(self, state: State, source: Source, operand: int, address: int) -> Value:
        match source:
            case Source.IMMEDIATE:
                return operand & 0xFF
            case Source.INPUT:
                return self._rules.input(state, operand)
            case Source.INDEXED if not isinstance(state.x, int):
                bytes_ = (state.memory[operand ^ index] for index in _indices(state))
                return some(max(label(state.x), *map(label, bytes_)))
            case _:
                return state.memory[address]

    def _compute(self, state: State, op: Op, b: Value) -> None:
        match op:
            case Op.LOAD:
                state.a = b
            case Op.XOR:
                state.a = xor(state.a, b)
            case Op.AND:
                state.a = and_(state.a, b)
            case Op.ADD:
                state.a, state.c = add(state.a, b, 0)
            case Op.ADD_CARRY:
                state.a, state.c = add(state.a, b, state.c)
            case Op.SUBTRACT:
                state.a, state.c = add(state.a, xor(b, 0xFF), 1)
            case Op.SUBTRACT_CARRY:
                state.a, state.c = add(state.a, xor(b, 0xFF), state.c)


def _indices(state: State) -> list[int]:
    """Return the values that X may have, possibly with some that it cannot have."""
    found = sorted(values(state.x))
    if len(found) > 2 * _MOST_INDICES:
        return found
    return [index for index in found if possible(state.given, is_zero(xor(state.x, index)))]


def _joined(one: State, other: State) -> State:
    """Return one state that stands for both, each under its own `given` conditions."""
    shared = 0
    for a, b in zip(one.given, other.given, strict=False):
        if a is not b:
            break
        shared += 1
    own, others = one.given[shared:], other.given[shared:]
    if own and others and own[0] is not_(others[0]):
        which = own[0]
    else:
        which = fresh("truth")
        own, others = (which, *own), (not_(which), *others)
    either = any_of([all_of(own), all_of(others)])
    seen = {
        name: tuple(choose(which, a, b) for a, b in zip(it, other.seen[name], strict=True))
        if isinstance(it, tuple)
        else it
        for name, it in one.seen.items()
    }
    return State(
        one.place,
        [a if a is b else choose(which, a, b) for a, b in zip(one.memory, other.memory, strict=True)],
        choose(which, one.a, other.a),
        choose(which, one.c, other.c, "truth"),
        choose(which, one.x, other.x),
        one.back,
        one.given[:shared] + ((either,) if either != 1 else ()),
        seen,
    )


#: A byte of a state outside the memory: its name, and its index where the name stands for several bytes.
_Spot: TypeAlias = tuple[str, int]


def _spots(state: State) -> dict[_Spot, Value]:
    tuples = {name: it for name, it in state.seen.items() if isinstance(it, tuple)}
    spots = {(name, n): value for name, it in tuples.items() for n, value in enumerate(it)}
    return spots | {("a", 0): state.a, ("c", 0): state.c}


def _differences(before: State, state: State) -> dict[_Spot, tuple[Value, Value]] | None:
    """Return what differs in two states of one key; None if it is more than a waiting loop can change."""
    if before.memory != state.memory or before.x != state.x or not set(before.given) <= set(state.given):
        return None
    now = _spots(state)
    return {spot: (value, now[spot]) for spot, value in _spots(before).items() if value != now[spot]}


def _forget(state: State, differs: dict[_Spot, tuple[Value, Value]]) -> None:
    """Replace the values that differ by unknown ones."""
    for (name, place), pair in differs.items():
        new = some(max(map(label, pair)), "truth" if name == "c" else "byte")
        if name in ("a", "c"):
            setattr(state, name, new)
        else:
            it = state.seen[name]
            state.seen[name] = (*it[:place], new, *it[place + 1 :])


def must(state: State, claim: z3.BoolRef, says: str) -> None:
    """Raise `Refused` if `claim` does not follow from the conditions of the path."""
    example = holds(state.given, claim)
    if example is not None:
        raise Refused(f"not so: {says}; example: {example}")
