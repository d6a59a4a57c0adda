"""Theorem about the lock-out: three wrong passwords start it, and only time ends it."""

from amaranth.hdl import Assert, Cover, Module, Signal, Value

from sealchip.dlt645.password import LOCK_TICKS, PasswordGuard
from verif.formal.theorem import Subject, past, theorem


@theorem(k=1, reach=6, parameters="any passwords and ticks")
def three_wrong_passwords_lock(m: Module) -> list[Value]:
    """`locked` is set exactly from the third wrong password without a right one in between until as many
    ticks have come as end 24 hours; nothing else ends it. `locked_out` strobes with the third wrong password.
    """
    guard = PasswordGuard()
    dut = Subject(m, guard)
    wrong, ticks = Signal(2), Signal(range(LOCK_TICKS + 1))
    third = (wrong == 2) & guard.wrong
    with m.If(wrong == 3), m.If(guard.tick):
        m.d.sync += ticks.eq(ticks + 1)
        with m.If(ticks == LOCK_TICKS - 1):
            m.d.sync += [wrong.eq(0), ticks.eq(0)]
    with m.Elif(guard.right):
        m.d.sync += wrong.eq(0)
    with m.Elif(guard.wrong):
        m.d.sync += wrong.eq(wrong + 1)
    m.d.comb += [
        Assert(guard.locked == (wrong == 3)),
        Assert(guard.locked_out == third),
        # Invariants: the failures and the time that is left are those of the reference.
        Assert(dut.signal("failures") == wrong),
        Assert((wrong == 3) | (ticks == 0)),
        Assert((wrong != 3) | ((ticks < LOCK_TICKS) & (dut.signal("ticks") == ticks))),
        Cover(past(m, third & ~guard.right) & guard.locked & guard.tick),
    ]
    return [guard.wrong]
