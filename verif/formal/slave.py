"""Theorems about the slave: which requests it answers, and which requests may write."""

from collections.abc import Iterator

from amaranth.hdl import Assert, Cover, Module, Signal, Value

from sealchip.dlt645.requests import PROGRAM, Op, Step
from sealchip.dlt645.slave import Slave
from sealchip.interface import Function
from verif.formal.theorem import Subject, theorem


def at_its_step(dut: Subject, slave: Slave) -> Iterator[Assert]:
    """Yield invariants: the step is that of its address, and the operation under way is one of that step."""
    step, settled, begun = dut.signal("step"), dut.signal("settled"), dut.signal("begun")
    row = Step(dut.row(dut.signal("address"), "program"))
    yield Assert(~settled[0] | (step == row.as_value()))
    yield Assert(settled[0] | ~settled[1])
    yield Assert(~begun | (settled[1] & ((row.op == Op.SEAL) | (row.op == Op.ANSWER))))
    yield Assert(slave.turn.answering | (row.op == Op.IDLE))


def sends(dut: Subject) -> Value:
    """Return whether the framer is sending an answer of the slave."""
    return dut.signal("begun") & (Step(dut.signal("step")).op == Op.ANSWER)


def reachable(*addresses: int, passing: bool = True) -> set[int]:
    """Return the addresses that are reached from `addresses`; without `passing`, only those on ways along
    which no password is right and no seal is without an address.
    """
    found, waiting = set(), {*addresses}
    while waiting:
        found |= waiting
        rows = [PROGRAM[it] for it in waiting if PROGRAM[it]]
        waiting = {
            row["next"] | result
            for row in rows
            for result in (0, 1)
            if passing or not result or row["op"] not in (Op.CHECK, Op.UNADDRESSED)
        } - found
    return found


def only_after(op: Op) -> set[int]:
    """Return the addresses reached only if the result of `op` was 1; shared ends are not among them."""
    others = {Op.CHECK: Op.UNADDRESSED, Op.UNADDRESSED: Op.CHECK}
    anyhow = reachable(*range(32), passing=False)
    right = {
        each: reachable(*(PROGRAM[it]["next"] | 1 for it in addresses(each))) - anyhow for each in others
    }
    return {it for it in right[op] - right[others[op]] if PROGRAM[it]}


def addresses(op: Op) -> list[int]:
    """Return the addresses at which the program has `op`."""
    return [address for address, row in enumerate(PROGRAM) if row and row["op"] == op]


@theorem(k=1, reach=30, parameters="any requests, log, identity and loop")
def answers_only_what_is_meant(m: Module) -> list[Value]:
    """The framer is started only after a request, never an answer, to the seal's address or to AAAAAAAAAAAA;
    never after a broadcast, a foreign frame or 08H; and only when the line has been quiet for 25 ms or more,
    and for less than 500.
    """
    slave = Slave()
    dut = Subject(m, slave)
    head, address = slave.frame.head, dut.signal("address")
    to_us, is_time = Signal(), Signal()
    with m.If(~slave.turn.answering & slave.frame.valid):
        m.d.sync += [
            to_us.eq(head.to_seal & (slave.status.identity_valid | head.wildcard) & (head.control[5:] == 0)),
            is_time.eq(head.control[:5] == Function.BROADCAST_TIME),
        ]
    m.d.comb += [
        Assert(~slave.send.start | (to_us & ~is_time)),
        Assert(~slave.send.start | ((slave.quiet_ms >= 25) & (slave.quiet_ms < 500))),
        Cover(slave.send.start),
        # Invariants: a broadcast that sets the clock leads to no other part of the program.
        *at_its_step(dut, slave),
        Assert(~slave.turn.answering | to_us | is_time),
        Assert(
            ~slave.turn.answering
            | ~is_time
            | Value.cast(address).matches(*reachable(Function.BROADCAST_TIME))
        ),
    ]
    return [head.control == 0x13, head.length == 0, ~slave.frame.begun, slave.quiet_ms == 100]


@theorem(k=1, reach=50, parameters="any requests, core and loop")
def written_only_with_the_password(m: Module) -> None:
    """The core gets the command to write the identity, and the loop the command to be sealed, only in a
    request in which the core has found the password right; or, for 15H to AAAAAAAAAAAA, the command to write
    the address while there is none. The password is checked only while not locked out.
    """
    slave = Slave()
    dut = Subject(m, slave)
    head, address, step = slave.frame.head, dut.signal("address"), Step(dut.signal("step"))
    right, unaddressed, of_address = Signal(), Signal(), Signal()
    checks, updates = (slave.core.start & (step.op == op) for op in (Op.CHECK, Op.UPDATE))
    with m.If(~slave.turn.answering):
        is_address = head.control[:5] == Function.WRITE_ADDRESS
        m.d.sync += [right.eq(0), unaddressed.eq(0), of_address.eq(is_address)]
    with m.Elif(checks & slave.core.done & slave.core.right):
        m.d.sync += right.eq(1)
    with m.Elif(
        dut.signal("settled")[1] & (step.op == Op.UNADDRESSED) & head.wildcard & ~slave.status.identity_valid
    ):
        m.d.sync += unaddressed.eq(1)
    at = Value.cast(address).matches
    m.d.comb += [
        Assert(~updates | right | (unaddressed & of_address)),
        Assert(~slave.loop.seal | right),
        Assert(~checks | ~slave.locked),
        Cover(updates & right),
        Cover(updates & unaddressed),
        Cover(slave.loop.seal),
        # Invariants
        *at_its_step(dut, slave),
        Assert(~at(*only_after(Op.CHECK)) | right),
        Assert(~at(*only_after(Op.UNADDRESSED)) | unaddressed),
        Assert(
            ~at(*only_after(Op.UNADDRESSED), *addresses(Op.UNADDRESSED), Function.WRITE_ADDRESS) | of_address
        ),
        Assert(~at(*addresses(Op.CHECK)) | ~slave.locked),
    ]
