"""Theorem about whom the seal answers."""

from collections.abc import Iterator

from amaranth.hdl import Assert, Cover, Module, Signal, Value
from formal.theorem import Subject, theorem

from sealchip.requests import PROGRAM, SET_CLOCK, Op, Step
from sealchip.slave import Slave


def at_its_step(dut: Subject, slave: Slave) -> Iterator[Assert]:
    """Invariants: the step is that of its place, begun only where something begins, and idle is idle."""
    step, rested, begun = dut.signal("step"), dut.signal("rested"), dut.signal("begun")
    row = Step(dut.row(dut.signal("place"), "program"))
    yield Assert(~rested[0] | (step == row.as_value()))
    yield Assert(rested[0] | ~rested[1])
    yield Assert(~begun | (rested[1] & ((row.op == Op.SEAL) | (row.op == Op.ANSWER))))
    yield Assert(slave.busy | (row.op == Op.IDLE))


def sends(dut: Subject) -> Value:
    """The framer sends for the slave."""
    return dut.signal("begun") & (Step(dut.signal("step")).op == Op.ANSWER)


def behind(place: int) -> set[int]:
    """The places that are reached from `place`."""
    found, waiting = set(), {place}
    while waiting:
        found |= waiting
        rows = [PROGRAM[it] for it in waiting if PROGRAM[it]]
        waiting = {row["next"] | result for row in rows for result in (0, 1)} - found
    return found


@theorem(k=1, reach=30, parameters="any requests, log, identity and loop")
def answers_only_what_is_meant(m: Module) -> list[Value]:
    """The framer is started only behind a request, no answer, to the seal's address, or to anybody's; never
    behind a broadcast, a foreign frame or 08H.
    """
    slave = Slave()
    dut = Subject(m, slave)
    head, place = slave.head, dut.signal("place")
    to_us, is_time = Signal(), Signal()
    with m.If(~slave.busy & slave.frame):
        m.d.sync += [
            to_us.eq(head.to_seal & (slave.valid | head.anybody) & (head.control[5:] == 0)),
            is_time.eq(head.control[:5] == SET_CLOCK),
        ]
    m.d.comb += [
        Assert(~slave.send | (to_us & ~is_time)),
        Cover(slave.send),
        # Invariants: what sets the clock comes nowhere else.
        *at_its_step(dut, slave),
        Assert(~slave.busy | to_us | is_time),
        Assert(~slave.busy | ~is_time | Value.cast(place).matches(*behind(SET_CLOCK))),
    ]
    return [head.control == 0x13, head.length == 0, ~slave.begun, slave.quiet_ms == 100]
