"""Theorem about the deframer: it accepts exactly the bytes that form a frame."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Cat, Cover, Module, Mux, Signal, Value

from sealchip.dlt645.deframer import Deframer
from verif.formal.theorem import Subject, past, theorem

#: Bytes of a frame before DATA: 68h, address, 68h, C, L.
HEAD = 10
CONTROL, LENGTH, DATA = 8, 9, HEAD


@theorem(k=1, reach=19, parameters="any characters, errors and silences; any L")
def accepts_exactly_the_frames(m: Module) -> list[Value]:
    """`frame` is set in the cycle of a character exactly when that character is the 16h of a frame: 68h, six
    bytes, 68h, C, L, L bytes, the sum of all these, 16h, without an error or a silence in between. A frame
    begins with the first 68h after the frame before, or with a 68h out of place. `head` then has C and L, and
    each byte of DATA, less 33h, is stored in its place.
    """
    deframer = Deframer()
    dut = Subject(m, deframer)
    data, head = deframer.received.data, deframer.frame.head

    # Reference: the number of the byte that is due and the sum of those before it, nothing else.
    due, total = Signal(range(HEAD + 255 + 2)), Signal(8)
    control, length = Signal(8), Signal(8)
    place, byte = AnyConst(8), Signal(8)  # any one byte of DATA
    in_data = (due >= DATA) & (due < DATA + length)
    sum_due, end_due = due == DATA + length, due == DATA + length + 1
    behind_length = due > LENGTH
    kept = dut.row(place, "content")
    fits = Signal()
    m.d.comb += fits.eq(1)
    with m.If((due == 0) | (due == 7)):
        m.d.comb += fits.eq(data == 0x68)
    with m.If(behind_length & sum_due):
        m.d.comb += fits.eq(data == total)
    with m.If(behind_length & end_due):
        m.d.comb += fits.eq(data == 0x16)
    ends = (
        deframer.received.valid
        & ~deframer.received.error
        & ~deframer.silence
        & behind_length
        & end_due
        & fits
    )

    with m.If(deframer.silence | (deframer.received.valid & deframer.received.error)):
        m.d.sync += due.eq(0)
    with m.Elif(deframer.received.valid):
        m.d.sync += [due.eq(due + 1), total.eq(total + data)]
        with m.If(due == CONTROL):
            m.d.sync += control.eq(data)
        with m.If(due == LENGTH):
            m.d.sync += length.eq(data)
        with m.If(behind_length & in_data), m.If(due == DATA + place):
            m.d.sync += byte.eq(plain(data))
        with m.If((due == 0) | ~fits):
            m.d.sync += [due.eq(data == 0x68), total.eq(0x68)]
        with m.Elif(ends):
            m.d.sync += due.eq(0)

    m.d.comb += Assert(deframer.frame.valid == ends)
    m.d.comb += Assert(deframer.public.active == (due != 0))
    with m.If(deframer.frame.valid):
        m.d.comb += [Assert(head.control == control), Assert(head.length == length)]
        m.d.comb += Assert((length <= place) | (kept == byte))

    # Invariants: the state follows from the byte that is due.
    state, passed = dut.signal("state"), dut.signal("passed")
    in_address = (due >= 1) & (due <= 6)
    states = [
        due == 0,
        in_address,
        due == 7,
        due == CONTROL,
        due == LENGTH,
        behind_length & (in_data | sum_due),
        behind_length & end_due,
    ]
    m.d.comb += [Assert((state == number) == here) for number, here in enumerate(states)]
    m.d.comb += [
        Assert(Cat(states).any()),
        Assert((due == 0) | (dut.signal("checksum") == total)),
        Assert(~in_address | (passed == due - 1)),
        Assert(~(behind_length & (in_data | sum_due)) | (passed == due - DATA)),
        Assert((due <= CONTROL) | (head.control == control)),
        Assert((due <= LENGTH) | (head.length == length)),
    ]
    read = Mux(in_data, due - DATA, length)  # bytes of DATA so far
    m.d.comb += Assert(~behind_length | (read <= place) | (kept == byte))
    m.d.comb += [
        Cover(deframer.frame.valid & (length == 0)),
        Cover(deframer.frame.valid & (length == 5)),
        Cover(past(m, behind_length & ~fits) & (due == 1)),
    ]
    return [deframer.received.valid & ~deframer.silence & ~deframer.received.error]


def plain(byte: Value) -> Value:
    """Return a byte of DATA without the 33h that is added on the wire."""
    return (byte - 0x33)[:8]
