"""Follows a program of the processor on all its paths at once, from any state to where it is cut.

Bytes that are not known are `terms`. Where a path forks both ways are followed; where two of them meet again
with the same control state they go on as one, with `choose` for what differs. So a loop is followed as often
as it goes round, and one that waits for something outside is closed by coming back in the very same state.
Every path ends at a cut, or the program is refused.

What the surroundings do, and what must hold, say the `Rules`.
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

#: More instructions than any of the programs takes on all its paths.
_TOO_MANY = 500_000
#: An index that is not known takes a path for each value that it may have, if there are no more than these.
_MOST_INDICES = 8


class Refused(Exception):
    """The program does what it must not do, or what cannot be followed."""


@dataclass
class State:
    """Everything before an instruction."""

    place: int
    memory: list[Value]
    a: Value = 0
    c: Value = 0
    x: Value = 0
    #: Behind the last `CALL`, until `Port.RETURN`.
    back: int | None = None
    #: What is so on this path.
    given: tuple[Value, ...] = ()
    #: What the rules remember. Of two paths that meet, tuples differ in their bytes, all else is the same.
    seen: dict[str, Any] = field(default_factory=dict)

    def copy(self, **changes: Any) -> State:
        """Another one, with `changes`."""
        return replace(self, memory=self.memory.copy(), seen=self.seen.copy(), **changes)


class Rules:
    """What the surroundings do, and what is refused; by default nothing and nothing."""

    #: Places where paths end.
    cuts: Mapping[int, str] = {}
    #: Addresses of counters: paths that differ in them do not meet.
    counters: tuple[int, ...] = ()

    def arrives(self, state: State, name: str) -> None:
        """A path has come to the cut `name`."""

    def input(self, state: State, number: int) -> Value:
        """What is at an input."""
        return fresh()

    def out(self, state: State, number: int, value: Value) -> None:
        """`value` goes to an output."""

    def store(self, state: State, address: int, value: Value) -> None:
        """`value` goes into the memory."""

    def publish(self, state: State, address: int, value: Value) -> None:
        """`value` goes into the public memory."""

    def tells(self, state: State, label: Label) -> None:
        """Where the program goes on depends on something of that label."""
        raise Refused(f"a jump depends on what is {label.name}")

    def returns(self, state: State) -> None:
        """A called part is done; `state.place` is behind the call."""

    def step(self, state: State) -> None:
        """An instruction, of any kind, begins."""


class Step(NamedTuple):
    """An instruction."""

    op: Op
    source: Source
    operand: int


def steps(words: Iterable[int]) -> list[Step]:
    """The program that these words are."""
    return [Step(it.op, it.source, it.operand) for it in map(Instruction.from_bits, words)]


class Paths:
    """All paths of a program, by its rules."""

    def __init__(self, program: list[Step], rules: Rules, names: Mapping[str, int] | None = None) -> None:
        self._program = program
        self._rules = rules
        self._names = names or {}
        self._waiting: dict[tuple[object, ...], State] = {}
        self._order: list[tuple[object, ...]] = []
        self._been: dict[tuple[object, ...], list[tuple[State, frozenset[_Spot]]]] = {}
        #: The one that waits, while it is the only one.
        self._alone: State | None = None
        self._number = count()
        #: Places that were come to.
        self.reached: set[int] = set()
        self.steps = 0

    def follow(self, state: State) -> None:
        """Every path from `state` on. Raises `Refused` with the place."""
        self._wait(state)
        while waiting := self._next():
            state, place = waiting, waiting.place
            try:
                self._step(state)
            except Refused as refused:
                refused.add_note(f"at {self.where(place)}")
                raise

    def _next(self) -> State | None:
        """Whose turn it is."""
        if self._order:
            *_, key = heapq.heappop(self._order)
            return self._waiting.pop(key)
        state, self._alone = self._alone, None
        return state

    def where(self, place: int) -> str:
        """A place in words: what is named last before it, and the distance."""
        name, base = max(
            ((name, at) for name, at in self._names.items() if at <= place and name[0] != "#"),
            key=lambda it: it[1],
            default=("", 0),
        )
        return f"{name}+{place - base} ({place:#x})"

    def _go(self, state: State) -> None:
        """Go on with `state`, or be at an end."""
        name = self._rules.cuts.get(state.place)
        if name is None:
            self._wait(state)
        elif state.back is not None:
            raise Refused(f"a call has not returned at {name}")
        else:
            self._rules.arrives(state, name)

    def _wait(self, state: State) -> None:
        """It is `state`'s turn some time, together with another that waits at its place."""
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
        # Paths meet where a condition ends, behind it in the program: who is behind goes first. A part that
        # is called belongs to where it is called.
        called = state.back is not None
        order = (state.back - 1 if called else state.place, called, state.place, next(self._number), key)
        heapq.heappush(self._order, order)

    def _key(self, state: State) -> tuple[object, ...]:
        """Two states can go on as one where this is the same."""
        numbers = (state.x, *(state.memory[address] for address in self._rules.counters))
        seen = ((name, len(it) if isinstance(it, tuple) else it) for name, it in sorted(state.seen.items()))
        return state.place, state.back, *(it if isinstance(it, int) else None for it in numbers), *seen

    def _jump(self, state: State, place: int) -> None:
        """Go on at `place`, unless the path has been there in the same state."""
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
                # It waits for something: whatever it has found, the next time it comes back is nothing new.
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
        """Go on at `place` if `truth` is so, else behind it; `zero` says which way A is zero."""
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
        """An instruction that does not jump."""
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
    """The values that X may have, or more."""
    found = sorted(values(state.x))
    if len(found) > 2 * _MOST_INDICES:
        return found
    return [index for index in found if possible(state.given, is_zero(xor(state.x, index)))]


def _joined(one: State, other: State) -> State:
    """Both states, of which each has its own that is `given`."""
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


#: A byte of a state, the memory's apart: its name, and its place where the name is of more than one.
_Spot: TypeAlias = tuple[str, int]


def _spots(state: State) -> dict[_Spot, Value]:
    tuples = {name: it for name, it in state.seen.items() if isinstance(it, tuple)}
    spots = {(name, n): value for name, it in tuples.items() for n, value in enumerate(it)}
    return spots | {("a", 0): state.a, ("c", 0): state.c}


def _differences(before: State, state: State) -> dict[_Spot, tuple[Value, Value]] | None:
    """What differs in two states of the same key; None where that is more than a loop that waits leaves."""
    if before.memory != state.memory or before.x != state.x or not set(before.given) <= set(state.given):
        return None
    now = _spots(state)
    return {spot: (value, now[spot]) for spot, value in _spots(before).items() if value != now[spot]}


def _forget(state: State, differs: dict[_Spot, tuple[Value, Value]]) -> None:
    """These may be anything from now on."""
    for (name, place), pair in differs.items():
        new = some(max(map(label, pair)), "truth" if name == "c" else "byte")
        if name in ("a", "c"):
            setattr(state, name, new)
        else:
            it = state.seen[name]
            state.seen[name] = (*it[:place], new, *it[place + 1 :])


def must(state: State, claim: z3.BoolRef, says: str) -> None:
    """Raises `Refused` where `claim` does not follow from what is so."""
    example = holds(state.given, claim)
    if example is not None:
        raise Refused(f"not so: {says}; example: {example}")
