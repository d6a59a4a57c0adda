"""Theorems about the identity: who may write it, and what of it is never shown."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Const, Cover, Module, Signal, Value
from formal.slave import at_its_step
from formal.theorem import Subject, past, theorem, unchanged
from sealchip.identity import IdentityStore
from sealchip.identity_stream import ITEMS
from sealchip.spi_flash import FlashOp

from sealchip.interface import IDENTITY
from sealchip.requests import PROGRAM, Op
from sealchip.slave import Slave

PLACES = {name: [*range(*IDENTITY.slice(name).indices(IDENTITY.size))] for name in ("key", "password")}
SECRET = [place for places in PLACES.values() for place in places]
#: Places of the slave's program that nobody gets to without the password, or without a seal's address.
GUARDED = [place for place, row in enumerate(PROGRAM) if row.get("op") in (Op.UPDATE, Op.SEAL)]
ROWS = IDENTITY.size.bit_length() - 1


def goes_on(m: Module, store: IdentityStore) -> Signal:
    """The flash's operation is not in its first cycle; before, it strobes nothing, and its index rests."""
    flash = store.flash
    later = past(m, flash.start & ~flash.done)
    m.d.comb += Assume(~flash.strobe | (later & unchanged(m, flash.index)))
    return later


def in_secret(address: Value) -> Value:
    """Whether a byte of key or password stands there."""
    return Value.cast(address)[:ROWS].matches(*SECRET)


@theorem(k=1, reach=12, parameters="any reader; any flash whose `index` rests before each strobe")
def key_and_password_are_never_public(m: Module) -> None:
    """Asked for a byte of key or password, both public read ports say 0, whatever is read from flash or
    written over the pair meanwhile; and no such byte is put at another place.
    """
    store = IdentityStore(2400)
    dut = Subject(m, store)
    stream, index = dut.part("stream"), store.flash.index
    writes = stream.strobe & ~stream.secret
    told = past(m, Const(1))  # the table's read port shows nothing before its first cycle
    goes_on(m, store)
    for address, data in (store.address, store.data), (store.gsm_address, store.gsm_data):
        # A port that waits for a byte to be written keeps what it shows.
        asked, begun = Signal.like(Value.cast(address)), Signal()
        with m.If(~writes):
            m.d.sync += [asked.eq(address), begun.eq(1)]
        m.d.comb += [
            Assert(~begun | ~in_secret(asked) | (data == 0)),
            Cover(begun & in_secret(asked) & (stream.byte != 0) & past(m, stream.strobe)),
            Cover(begun & ~in_secret(asked) & (data != 0)),
        ]
    m.d.comb += [
        Assert(~writes | ~in_secret(index)),
        # Invariants: what the table says is of the byte before; nothing has ever been written there.
        Assert(~told | (stream.secret == in_secret(past(m, index)))),
        *(Assert(dut.row(Const(place, ROWS), "public") == 0) for place in SECRET),
    ]


@theorem(
    k=1,
    reach=60,
    parameters="any requests, DATA, log and loop; any flash whose `index` rests before each strobe; a slave "
    "that begins once the identity has been read",
)
def written_only_with_the_password(m: Module) -> list[Value]:
    """Of slave, lock-out and identity, connected as in the chip: the flash is told to erase or to program the
    identity, or the loop is sealed, only while a request is worked on behind which a password was accepted,
    while not locked out; but for the identity of a seal that has no valid one. A password is accepted on a
    seal with a valid identity only when no byte of it differed from the flash's.
    """
    slave, store = Slave(), IdentityStore(2400)
    own = (slave.enable, slave.valid, slave.content, slave.identity_done, slave.identity_accepted)
    replies = Subject(m, slave, "slave", driven=own)
    own = (store.start, store.update, store.item, store.origin, store.spoiled, store.content)
    keeps = Subject(m, store, "store", driven=own)
    flash, content, read, later = store.flash, AnySeq(8), Signal(), goes_on(m, store)
    with m.If(store.ready):
        m.d.sync += read.eq(1)
    m.d.comb += [
        slave.enable.eq(read),
        slave.valid.eq(store.valid),
        slave.content.eq(content),
        slave.identity_done.eq(store.done),
        slave.identity_accepted.eq(store.accepted),
        store.start.eq(slave.identity_start & AnySeq(1)),
        store.update.eq(slave.identity_update),
        store.item.eq(slave.identity_item),
        store.origin.eq(slave.identity_origin),
        store.spoiled.eq(slave.spoiled),
        store.content.eq(content),
    ]

    # Reference: whether a password was accepted for this request, and whether a byte differed.
    right, differs = Signal(), Signal()
    checks = slave.identity_start & ~slave.identity_update
    accepted = checks & store.done & store.accepted
    with m.If(~slave.busy):
        m.d.sync += right.eq(0)
    with m.Elif(accepted):
        m.d.sync += right.eq(1)
    with m.If(store.ready):
        m.d.sync += differs.eq(0)
    with m.Elif(flash.strobe & flash.index[:ROWS].matches(*PLACES["password"]) & (flash.o != content)):
        m.d.sync += differs.eq(1)
    writes = flash.start & (flash.op != FlashOp.READ)
    m.d.comb += [
        Assert(~writes | (slave.busy & (right | ~store.valid))),
        Assert(~slave.seal | right),
        Assert(~accepted | ~store.valid | ~differs),
        Cover(writes & right & store.valid),
        Cover(writes & ~right),
        Cover(slave.seal & right),
    ]

    # Invariants: who waits for whom; what the stream knows.
    state, stream, place = keeps.fsm(), keeps.part("stream"), replies.signal("place")
    ready, checking = state.ongoing("ready"), state.ongoing("check")
    changes = state.ongoing("patch") | state.ongoing("erase") | state.ongoing("program")
    changing = slave.identity_start & slave.identity_update
    of_password = past(m, flash.index)[:ROWS].matches(*PLACES["password"])
    guarded, told = place.matches(*GUARDED), past(m, Const(1))
    seals = place.matches(*(it for it in GUARDED if PROGRAM[it]["op"] == Op.SEAL))
    m.d.comb += [
        *at_its_step(replies, slave),
        Assert(read | ~slave.busy),
        Assert(told | ~read),
        Assert(ready | checking | changing | ~read),
        Assert(~checking | (checks & read)),
        Assert(~changes | changing),
        Assert(~store.valid | keeps.signal("known") | ~(ready | checking)),
        Assert(~guarded | ~slave.busy | right | ~store.valid),
        Assert(~seals | ~slave.busy | right),
        Assert(~told | (stream.item != ITEMS["password"]) | (stream.inside == of_password)),
        Assert(~told | (keeps.signal("fresh") == ~later)),
        Assert(~checking | ~keeps.signal("fresh") | ~differs),
        Assert(~checking | ~store.valid | ~stream.fits | ~differs),
    ]
    head = slave.head
    by_password = (head.control == 0x18) & (head.length == 12)
    nameless = (head.control == 0x15) & (head.length == 6) & head.anybody
    sealing = (head.control == 0x14) & (head.length == 12)
    asked = by_password | nameless | sealing
    return [asked, head.to_seal, ~slave.begun, ~slave.spoiled, slave.frame, flash.sum_ok]
