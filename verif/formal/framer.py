"""Theorem about the framer: it sends whole frames without gaps."""

from collections.abc import Callable

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value

from sealchip.dlt645.framer import Framer
from sealchip.dlt645.messages import MESSAGES, PROGRAM, SECOND_ENTRY, THIRD_ENTRY, Body, Message, Shape, Word
from verif.formal.theorem import Subject, past, theorem, unchanged

PREAMBLE = 4
#: Bytes between the preamble and DATA.
HEAD = 10
LONGEST = PREAMBLE + HEAD + max(shape.length for shape in MESSAGES.values()) + 2


@theorem(
    k=1,
    reach=80,
    parameters="every message, any content, any `wait`; message and request rest while it is sent",
)
def frames_are_whole(m: Module) -> list[Value]:
    """From `start` on, these bytes are offered: four bytes FE, 68h, six bytes, 68h, C, the L of the message,
    L bytes, the sum from the first 68h on, and 16h, which alone is `last`. Each byte is offered from the
    second cycle after the transfer of the one before until it is transferred; no byte of a record is offered
    during `wait`, and nothing else delays a byte. After `abort` no further byte of the frame is offered.
    """
    framer = Framer()
    dut = Subject(m, framer)
    data, taken = framer.o.payload.data, framer.o.valid & framer.o.ready
    rests = Cat(unchanged(m, framer.send.message), unchanged(m, framer.function))
    m.d.comb += [
        Assume(~framer.busy | rests.all()),
        Assume(Cat(*(framer.send.message == message for message in Message)).any()),
    ]

    def of_shape(value: Callable[[Shape], int]) -> Value:
        """Return what `value` gives for the shape of the current message."""
        values = {it.value: value(shape) for it, shape in MESSAGES.items()}
        codes = range(1 << Message.as_shape().width)
        return Array(Const(values.get(code, 0), 8) for code in codes)[Value.cast(framer.send.message)]

    # Reference: the number of the byte that is due and the sum of those before it.
    length = of_shape(lambda shape: shape.length)
    checksum, end = PREAMBLE + HEAD + length, PREAMBLE + HEAD + length + 1
    sending, due, total = Signal(), Signal(range(LONGEST + 1)), Signal(8)
    with m.If(~sending):
        m.d.sync += [sending.eq(framer.send.start), due.eq(0)]
    with m.Elif(taken):
        m.d.sync += [due.eq(due + 1), total.eq(Mux(due == PREAMBLE, 0, total) + data)]
        with m.If(due == end):
            m.d.sync += sending.eq(0)
    with m.If(sending & framer.abort):
        m.d.sync += sending.eq(0)

    fixed = [
        (0xFE, due < PREAMBLE),
        (0x68, (due == PREAMBLE) | (due == PREAMBLE + 7)),
        (length, due == PREAMBLE + HEAD - 1),
        (total, due == checksum),
        (0x16, due == end),
    ]
    body = PREAMBLE + HEAD + of_shape(lambda shape: shape.length - shape.size - shape.has_sequence)
    record = of_shape(lambda shape: shape.size if shape.body is Body.RECORD else 0)
    waits = framer.wait & (due >= body) & (due < body + record)
    held = past(m, framer.o.valid & ~framer.o.ready & ~framer.abort)
    m.d.comb += [
        Assert(framer.busy == sending),
        Assert(~framer.o.valid | sending),
        *(Assert(~(framer.o.valid & place) | (data == value)) for value, place in fixed),
        Assert(~framer.o.valid | (framer.o.payload.last == (due == end))),
        Assert(~held | framer.o.valid | waits),
        Assert(~(framer.o.valid & waits)),
        Assert(~sending | framer.o.valid | waits | past(m, taken | ~framer.busy)),
    ]

    # Invariants: the program's word follows from the byte that is due.
    expected = Signal(Word)
    with m.Switch(Cat(due, framer.send.message)):
        for message, words in walks().items():
            for number, it in enumerate(words):
                with m.Case(message.value << len(due) | number):
                    m.d.comb += expected.eq(_bits(it))
    m.d.comb += [
        Assert(~sending | (Value.cast(dut.signal("word")) == expected.as_value())),
        Assert(~sending | (due <= end)),
        Assert(~sending | (due <= PREAMBLE) | (dut.signal("checksum") == total)),
        Assert(~sending | (due > PREAMBLE) | (dut.signal("checksum") == ((due - PREAMBLE) * 0xFE)[:8])),
    ]

    m.d.comb += [Cover(taken & framer.o.payload.last), Cover(past(m, framer.abort & framer.o.valid))]
    return [framer.o.ready & (framer.send.message == Message.REFUSE_OTHER)]


def walks() -> dict[Message, list[dict[str, int]]]:
    """Return the program words of each message, in the order in which they are executed."""
    found = {}
    for message in Message:
        words = [PROGRAM[message.value]]
        while not words[-1].get("last"):
            following = words[-1]["next"]
            if words[-1].get("branches"):
                following = message.value + (THIRD_ENTRY if words[-1].get("public") else SECOND_ENTRY)
            words.append(PROGRAM[following])
        found[message] = words
    return found


def _bits(word: dict[str, int]) -> Const:
    """Return a word of the program as a number."""
    return Word.const(word).as_value()
