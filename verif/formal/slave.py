"""Theorem about whom the seal answers."""

from amaranth.hdl import Assert, Assume, Cover, Module, Signal, Value
from formal.theorem import Subject, theorem, unchanged

from sealchip.slave import SET_CLOCK, Slave


@theorem(k=1, reach=12, parameters="any requests, log, identity and loop; `head` rests until `begun`")
def answers_only_what_is_meant(m: Module) -> list[Value]:
    """The framer is started only behind a request, no answer, to the seal's address, or to anybody's; never
    behind a broadcast, a foreign frame or 08H.
    """
    slave = Slave()
    dut = Subject(m, slave)
    head = slave.head
    m.d.comb += [
        Assume(~slave.busy | slave.spoiled | unchanged(m, head)),
        Assume(~(slave.begun & slave.frame)),
    ]

    to_us, is_time = Signal(), Signal()
    with m.If(~slave.busy & slave.frame):
        m.d.sync += [
            to_us.eq(head.to_seal & (slave.valid | head.anybody) & (head.control[5:] == 0)),
            is_time.eq(head.control[:5] == SET_CLOCK),
        ]
    meant = to_us & ~is_time
    state = dut.fsm()
    early = state.ongoing("look") | state.ongoing("decide")
    m.d.comb += [
        Assert(~slave.send | meant),
        # Invariants: what is not meant gets no further than its DI.
        Assert(~early | to_us | is_time),
        Assert(~early | slave.spoiled | (is_time == (head.control[:5] == SET_CLOCK))),
        Assert(~slave.busy | early | meant | slave.spoiled),
        Assert(~(state.ongoing("send") | state.ongoing("sending")) | meant),
        Cover(slave.send),
    ]
    return [head.control == 0x13, head.length == 0, ~slave.begun, slave.quiet_ms == 100]
