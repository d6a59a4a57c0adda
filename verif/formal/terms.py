"""Unknown bytes are terms over the bytes that a program is given, and z3 decides what is true of them.

A value is an `int` or a `Term`: a byte, or a truth value where 0 and 1 are the numbers. Terms are made by the
functions here, each only once: equal terms are one object.

Of confidential bytes, and of everything computed from them, only the `Label` is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from functools import cache
from itertools import count
from typing import TypeAlias

import z3

__all__ = [
    "Label",
    "Term",
    "Value",
    "add",
    "all_of",
    "and_",
    "any_of",
    "bits",
    "choose",
    "fresh",
    "holds",
    "is_zero",
    "label",
    "not_",
    "possible",
    "some",
    "truth",
    "values",
    "xor",
]


class Label(IntEnum):
    """States how far a value may be disclosed; a value computed from two has the greater label."""

    #: The value may be disclosed to everyone.
    OPEN = 0
    #: The cipher computed the value from a message: it may be disclosed as its authentication code only.
    CIPHER = 1
    #: The value must not be disclosed at all.
    SECRET = 2


class Term:
    """A term is `op` applied to `args`; its `sort` is *byte* or *truth*."""

    __slots__ = ("args", "label", "names", "op", "sort", "z3")

    def __init__(self, op: str, args: tuple[Value, ...], label: Label, sort: str) -> None:
        self.op, self.args, self.label, self.sort = op, args, label, sort
        #: The unknown bytes that the term contains.
        self.names: frozenset[Term] = frozenset()
        for arg in args:
            if isinstance(arg, Term):
                self.names |= arg.names
        self.z3: z3.ExprRef | None = None


Value: TypeAlias = int | Term

_known: dict[tuple[object, ...], Term] = {}
_numbers = count()
#: Of two sorts, byte and truth value.
_HIDDEN = {(label, sort): Term(label.name, (), label, sort) for label in Label for sort in ("byte", "truth")}


def label(value: Value) -> Label:
    """Return how far a value may be disclosed."""
    return value.label if isinstance(value, Term) else Label.OPEN


def some(label: Label, sort: str = "byte") -> Term:
    """Return an unknown byte, or *truth*, of that label; all that are not open are the same one."""
    return _HIDDEN[label, sort] if label else fresh(sort)


def fresh(sort: str = "byte") -> Term:
    """Return a new unknown byte, or *truth*, that is open."""
    term = Term(f"{sort} {next(_numbers)}", (), Label.OPEN, sort)
    term.names = frozenset([term])
    return term


def _term(op: str, *args: Value, sort: str = "byte") -> Term:
    worst = max(map(label, args))
    if worst:
        return _HIDDEN[worst, sort]
    key = (op, sort, *args)
    if key not in _known:
        _known[key] = Term(op, args, worst, sort)
    return _known[key]


def xor(a: Value, b: Value) -> Value:
    """Return a xor b."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(a, int):
        return a ^ b
    if b == 0:
        return a
    if a is b and not a.label:
        return 0
    if isinstance(b, int):
        if a.op == "xor" and isinstance(a.args[1], int):
            return xor(a.args[0], a.args[1] ^ b)
        if a.op == "choose" and all(isinstance(arg, int) for arg in a.args[1:]):
            return choose(a.args[0], xor(a.args[1], b), xor(a.args[2], b))
    return _term("xor", a, b)


def and_(a: Value, b: Value) -> Value:
    """Return a and b, bit by bit."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(a, int):
        return a & b
    if b == 0 or b == 0xFF:
        return b and a
    if isinstance(b, int) and a.op == "choose" and all(isinstance(arg, int) for arg in a.args[1:]):
        return choose(a.args[0], and_(a.args[1], b), and_(a.args[2], b))
    return _term("and", a, b)


def add(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Return a + b + c as a byte and its carry; `c` is a truth value."""
    if isinstance(a, int) and isinstance(b, int) and isinstance(c, int):
        return (a + b + c) & 0xFF, (a + b + c) >> 8
    for one, other in (a, b), (b, a):
        if (one, c) in ((0, 0), (0xFF, 1)):
            return other, c
    return _term("add", a, b, c), _term("carry", a, b, c, sort="truth")


def is_zero(value: Value) -> Value:
    """Return whether a byte is zero."""
    if isinstance(value, int):
        return int(value == 0)
    if value.op == "choose" and all(isinstance(arg, int) for arg in value.args[1:]):
        return choose(value.args[0], is_zero(value.args[1]), is_zero(value.args[2]), "truth")
    return _term("zero", value, sort="truth")


def not_(truth: Value) -> Value:
    """Return the opposite truth value."""
    if isinstance(truth, int):
        return 1 - truth
    return truth.args[0] if truth.op == "not" else _term("not", truth, sort="truth")


def all_of(truths: Iterable[Value]) -> Value:
    """Return whether all truth values are true."""
    left = list(dict.fromkeys(it for it in truths if it != 1))
    if any(it == 0 or not_(it) in left for it in left):
        return 0
    return _term("all", *left, sort="truth") if len(left) > 1 else (*left, 1)[0]


def any_of(truths: Iterable[Value]) -> Value:
    """Return whether at least one truth value is true."""
    return not_(all_of(map(not_, truths)))


def choose(truth: Value, then: Value, other: Value, sort: str = "byte") -> Value:
    """One or the other."""
    if isinstance(truth, int):
        return then if truth else other
    if then is other or (isinstance(then, int) and then == other):
        return then
    if truth.op == "not":
        return choose(truth.args[0], other, then, sort)
    if sort == "truth" and isinstance(then, int) and isinstance(other, int):
        return truth if then else not_(truth)
    return _term("choose", truth, then, other, sort=sort)


def values(value: Value) -> frozenset[int]:
    """Return all values that a byte may have, possibly with some that it cannot have."""
    if isinstance(value, int):
        return frozenset([value])
    match value.op, *value.args:
        case "and", a, int(b):
            return frozenset(it & b for it in values(a))
        case "xor", a, int(b):
            return frozenset(it ^ b for it in values(a))
        case "choose", _, then, other:
            return values(then) | values(other)
        case _:
            return frozenset(range(256))


# Questions to z3


def bits(*values: Value) -> z3.BitVecRef:
    """Return the number that these bytes form, low byte first."""
    return z3.Concat(*map(_z3, reversed(values))) if len(values) > 1 else _z3(values[0])


def truth(value: Value) -> z3.BoolRef:
    """Return a truth value in z3's form."""
    return z3.BoolVal(bool(value)) if isinstance(value, int) else _z3(value)


def possible(given: Iterable[Value], truth: Value) -> bool:
    """Return whether `truth` may hold together with what is `given`, which is possible in itself."""
    if isinstance(truth, int):
        return bool(truth)
    return _possible(_about(tuple(given), truth.names), truth)


@cache
def _possible(given: frozenset[Term], truth: Term) -> bool:
    return _answer([*map(_z3, given), _z3(truth)]) is not None


def holds(given: Iterable[Value], claim: z3.BoolRef) -> z3.ModelRef | None:
    """Return None if `claim` follows from what is `given`, otherwise a counterexample."""
    return _answer([*map(truth, given), z3.Not(claim)])


def _answer(conditions: list[z3.BoolRef]) -> z3.ModelRef | None:
    solver = z3.SolverFor("QF_BV")
    solver.add(*conditions)
    match solver.check():
        case z3.sat:
            return solver.model()
        case z3.unsat:
            return None
        case answer:
            raise ValueError(f"z3 does not know: {answer}")


def _about(given: tuple[Value, ...], names: frozenset[Term]) -> frozenset[Term]:
    """Return the conditions in `given` that are related to `names`."""
    left, about = {it for it in given if isinstance(it, Term)}, set[Term]()
    while found := {it for it in left if it.names & names}:
        about |= found
        left -= found
        names = names.union(*(it.names for it in found))
    return frozenset(about)


def _z3(value: Value) -> z3.ExprRef:
    if isinstance(value, int):
        return z3.BitVecVal(value, 8)
    if value.label:
        raise ValueError("nothing is known of what is hidden")
    if value.z3 is None:
        value.z3 = _made(value)
    return value.z3


def _made(term: Term) -> z3.ExprRef:
    match term.op, *term.args:
        case "xor", a, b:
            return _z3(a) ^ _z3(b)
        case "and", a, b:
            return _z3(a) & _z3(b)
        case "add" | "carry" as op, a, b, c:
            parts = (z3.ZeroExt(1, _z3(it)) for it in (a, b))
            total = sum(parts, z3.If(truth(c), z3.BitVecVal(1, 9), z3.BitVecVal(0, 9)))
            return z3.Extract(7, 0, total) if op == "add" else z3.Extract(8, 8, total) == 1
        case "zero", a:
            return _z3(a) == 0
        case "not", a:
            return z3.Not(truth(a))
        case "all", *them:
            return z3.And(*map(truth, them))
        case "choose", which, then, other:
            of_sort = truth if term.sort == "truth" else _z3
            return z3.If(truth(which), of_sort(then), of_sort(other))
        case _:
            return z3.BitVec(term.op, 8) if term.sort == "byte" else z3.Bool(term.op)
