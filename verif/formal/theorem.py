"""A theorem is a function that puts a component into a module and states what always holds for it.

    @theorem(k=1, reach=100, parameters="every divisor")
    def never_both(m):
        '''The sentence that is proved.'''
        dut = Subject(m, Component())
        m.d.comb += [Assert(...), Cover(...)]
        return [...]

It may return an example: conditions that shorten the search for the covers. They are not assumed in the
proof.

Every input of the component is free unless the theorem assumes something about it, and every register
starts from reset. Properties are written against the ports and against references in the theorem itself;
internal signals serve only as auxiliary invariants, which are asserted too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from amaranth.asserts import AnySeq
from amaranth.back import rtlil
from amaranth.hdl import Assume, ClockDomain, Const, Elaboratable, Fragment, Module, Signal, Value, ValueLike
from amaranth.lib.wiring import Component, Flow

__all__ = ["Subject", "Theorem", "past", "theorem", "unchanged"]


Statement: TypeAlias = Callable[..., list[Value] | None]


@dataclass(frozen=True)
class Theorem:
    """A theorem is a statement with its parameters and the length of its proof."""

    state: Statement
    #: Cycles of the induction: what held in `k` consecutive cycles holds in the next one. 0: no memory.
    k: int
    #: Cycles from reset within which every cover is reached.
    reach: int
    #: Parameters and surroundings for which it is proved.
    parameters: str
    #: Arguments of `state` for the covers: a smaller case, if the proved one takes too long from reset.
    smaller: dict[str, int]
    #: Whether it is too slow for every run of the tests.
    long: bool
    #: Seconds after which the solver gives up.
    timeout: int

    @property
    def name(self) -> str:
        return self.state.__name__

    @property
    def file(self) -> str:
        return f"verif/formal/{Path(self.state.__code__.co_filename).name}"

    @property
    def says(self) -> str:
        """Return the statement in words."""
        return " ".join((self.state.__doc__ or "").split())

    @property
    def reached_within(self) -> str:
        """Return the bound of the search for the covers."""
        smaller = (f"`{name}` {value}" for name, value in self.smaller.items())
        return ", ".join([f"{self.reach} cycles", *smaller])

    def rtlil(self, *, example: bool) -> str:
        """Return RTLIL of the component with its properties, module `top`; `example` is for the covers."""
        m = Module()
        # Reset is power-up: the initial state of the registers.
        m.domains.sync = sync = ClockDomain(reset_less=True)
        conditions = self.state(m, **(self.smaller if example else {})) or []
        if example:
            m.d.comb += [Assume(condition) for condition in conditions]
        return rtlil.convert(m, name="top", ports=[sync.clk])


def theorem(
    *,
    k: int,
    reach: int,
    parameters: str = "none",
    smaller: dict[str, int] | None = None,
    long: bool = False,
    timeout: int = 300,
) -> Callable[[Statement], Theorem]:
    """Make a `Theorem` of a function."""
    return lambda state: Theorem(state, k, reach, parameters, smaller or {}, long, timeout)


class Subject:
    """A subject is a component under proof, added to `m` as a submodule.

    Inputs that are not `driven`, by the theorem itself, take any value in any cycle.
    """

    def __init__(
        self, m: Module, component: Component, name: str = "dut", *, driven: tuple[Value, ...] = ()
    ) -> None:
        self._fragment = Fragment.get(component, None)
        setattr(m.submodules, name, _Elaborated(self._fragment))
        own = {id(Value.cast(value)) for value in driven}
        for _, member, port in component.signature.flatten(component):
            value = Value.cast(port)
            if member.flow == Flow.In and id(value) not in own:
                m.d.comb += value.eq(AnySeq(len(value)))

    def signal(self, name: str, *path: str) -> Signal:
        """Return the internal signal of that name, in the submodule at `path`."""
        found = {
            id(signal): signal
            for statements in self._inside(path).statements.values()
            for signal in statements._lhs_signals()
            if signal.name == name
        }
        if len(found) != 1:
            raise LookupError(f"{len(found)} signals {name!r} are driven in {'.'.join(path) or 'it'}")
        return found.popitem()[1]

    def part(self, *path: str) -> Component:
        """Return the component at `path`, for its ports."""
        return self._inside(path).origins[0]

    def row(self, address: Value, *path: str) -> Signal:
        """Return what the memory at `path` holds at `address`."""
        memory = self._inside(path)
        row = Signal(memory._data.shape, name="row")
        memory.read_port(domain="comb", addr=address, data=row, en=Const(1), transparent_for=())
        return row

    def replace(self, *path: str, by: Elaboratable) -> None:
        """Replace the submodule at `path` by `by`, which drives the same signals."""
        *outside, name = path
        parts = self._inside(tuple(outside)).subfragments
        n = next(n for n, (_, its_name, _) in enumerate(parts) if its_name == name)
        parts[n] = (Fragment.get(by, None), name, parts[n][2])

    def fsm(self, *path: str, name: str = "state"):
        """Return the state machine of that name, for its `ongoing`."""
        return self._inside(path).find_generated(name)

    def _inside(self, path: tuple[str, ...]) -> Fragment:
        fragment = self._fragment
        for name in path:
            fragment = fragment.find_subfragment(name)
        return fragment


class _Elaborated(Elaboratable):
    """Wraps a fragment so that it can be used as a submodule."""

    def __init__(self, fragment: Fragment) -> None:
        self._fragment = fragment

    def elaborate(self, platform: object) -> Fragment:
        return self._fragment


def past(m: Module, value: ValueLike, *, init: int = 0) -> Signal:
    """Return `value` of the cycle before, as bits; `init` in the first cycle."""
    value = Value.cast(value)
    before = Signal(len(value), init=init, name="past", src_loc_at=1)
    m.d.sync += before.eq(value)
    return before


def unchanged(m: Module, value: ValueLike) -> Value:
    """Return whether `value` is the same as in the cycle before."""
    return Value.cast(value) == past(m, value)
