"""The seal's identity: read from flash at power-up, kept in memory, and changed field by field."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .identity_stream import IdentityStream
from .interface import FLASH_IDENTITY_SLOTS, IDENTITY
from .spi_flash import FlashCommands, FlashOp

__all__ = ["IdentityStore"]


class IdentityStore(wiring.Component):
    """Keeps the newer valid one of two slots in flash, and writes the other one to change it.

    Reads both slots, then the newer valid one again into the memory; sequence numbers are compared modulo
    2^16. When none is valid it takes the blank identity: all zero, any meter. `valid` says that a slot was
    right and the seal's address is not zero.

    A *check* compares the three bytes of password at `origin` in the frame's DATA with the identity's. An
    *update* reads the identity with the field `item` replaced by the frame's DATA from `origin` on and the
    sequence number incremented, erases and programs the other slot, and reads both slots as after reset.
    It is accepted when the other slot then is the newer valid one. It is refused, and nothing is written,
    when the field does not end where DATA ends, or when the frame's DATA was `spoiled` meanwhile.

    The public memory never holds key nor password: there its bytes are never written, and zero. A second
    memory with all bytes is read for signing alone.

    *Timing:* starts after reset; `ready` rises after three reads of 128 bytes and is low while a command
    works. `start` holds, with the command, until `done`, in whose cycle `accepted` answers. `flash.index`
    must have rested for two cycles at each strobe. `data` follows `address` one cycle later, and so do the
    other ports; in a cycle that keeps a byte they stay. Only while `ready` all bytes are there, and
    `secret_address` is followed.

    Parameters
    ----------
    default_baud: baud rate while there is no identity, or when its feature word is not in the table.
    flash_base: where the seal's part of the flash begins.

    Members
    -------
    flash: the flash, wanted while not `ready`.
    ready, valid: see above. baud: number of the baud rate in `BAUD_FEATURE`, slowest first.
    seed: made of the bytes of the seal's address, differs between seals. has_key: the key is not all zero.
    address, data; gsm_address, gsm_data: read ports without key and password. secret_address, secret_data:
    read port for signing.
    start, update, item, origin, length, spoiled, done, accepted: a command; length: of DATA.
    position, content: the frame's DATA; `position` is 0 while it is not wanted.

    Guarantees: `verif/chip/test_identity.py`; the lamp in
    `verif/chip/test_chip_power.py::test_unreadable_identity_is_red`; proofs:
    `verif/formal/identity.py::key_and_password_are_never_public`,
    `verif/formal/identity.py::written_only_with_the_password`.
    """

    def __init__(self, default_baud, flash_base=0):
        self._default_baud, self._flash_base = default_baud, flash_base
        super().__init__(
            {
                "flash": In(FlashCommands),
                "ready": Out(1),
                "valid": Out(1),
                "baud": Out(3),
                "seed": Out(16),
                "has_key": Out(1),
                "address": In(range(IDENTITY.size)),
                "data": Out(8),
                "gsm_address": In(range(IDENTITY.size)),
                "gsm_data": Out(8),
                "secret_address": In(range(IDENTITY.size)),
                "secret_data": Out(8),
                "start": In(1),
                "update": In(1),
                "item": In(3),
                "origin": In(4),
                "length": In(8),
                "spoiled": In(1),
                "position": Out(6),
                "content": In(8),
                "done": Out(1),
                "accepted": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flash = self.flash
        stream = m.submodules.stream = IdentityStream(self._default_baud)
        public = m.submodules.public = Memory(shape=8, depth=IDENTITY.size, init=[])
        secret = m.submodules.secret = Memory(shape=8, depth=IDENTITY.size, init=[])
        write, read, read_gsm = public.write_port(), public.read_port(), public.read_port()
        write_secret, read_secret = secret.write_port(), secret.read_port()
        slot, before = Signal(), Signal()  # in force; before the update
        known = Signal()  # there is a valid slot
        fresh = Signal()  # an operation begins in this cycle, if any
        sound = flash.sum_ok & stream.version_right

        for port in (write, write_secret):
            m.d.comb += [port.addr.eq(flash.index), port.data.eq(stream.byte)]
        m.d.comb += [
            write.en.eq(stream.strobe & ~stream.secret),
            write_secret.en.eq(stream.strobe),
            # What comes while a slot is programmed is read anew behind it.
            stream.clear.eq(flash.start & fresh),
            stream.strobe.eq(flash.strobe),
            stream.index.eq(flash.index),
            stream.i.eq(flash.o),
            stream.item.eq(self.item),
            stream.content.eq(self.content),
            stream.kept.eq(read_secret.data),
            # Never both at once, as in `EventQueue`.
            read.en.eq(~write.en),
            read_secret.en.eq(~write_secret.en),
            read.addr.eq(self.address),
            self.data.eq(read.data),
            read_gsm.en.eq(~write.en),
            read_gsm.addr.eq(self.gsm_address),
            self.gsm_data.eq(read_gsm.data),
            read_secret.addr.eq(Mux(self.ready, self.secret_address, flash.index)),
            self.secret_data.eq(read_secret.data),
            flash.length.eq(IDENTITY.size),
            flash.i.eq(read_secret.data),
            flash.sum.eq(stream.crc),
            self.baud.eq(stream.baud),
            self.seed.eq(stream.seed),
            self.has_key.eq(stream.has_key),
        ]
        m.d.sync += fresh.eq(~flash.start | flash.done)
        with m.If(stream.strobe & stream.inside):
            m.d.sync += self.position.eq(self.position + 1)

        with m.FSM(name="state") as fsm:

            def operate(state, op, which, then):
                """State that runs one operation on a slot."""
                with m.State(state):
                    m.d.comb += [
                        flash.start.eq(1),
                        flash.op.eq(op),
                        flash.address.eq(
                            self._flash_base + Mux(which, FLASH_IDENTITY_SLOTS[1], FLASH_IDENTITY_SLOTS[0])
                        ),
                    ]
                    with m.If(flash.done):
                        then()

            def first():
                m.d.sync += [slot.eq(0), known.eq(sound)]
                m.next = "second"

            def second():
                m.next = "memory"
                with m.If(sound):
                    m.d.sync += [known.eq(1), slot.eq(~known | stream.newer)]

            def memory():
                m.d.comb += [self.done.eq(1), self.accepted.eq(slot != before)]
                m.d.sync += self.valid.eq(known & stream.has_address)
                m.next = "ready"

            def check():
                m.d.comb += [self.done.eq(1), self.accepted.eq(stream.fits & ~self.spoiled)]
                m.next = "ready"

            def patch():
                m.next = "first"
                with m.If((self.position == self.length) & ~self.spoiled):
                    m.next = "erase"

            def go(state):
                def then():
                    m.next = state

                return then

            operate("first", FlashOp.READ, 0, first)
            operate("second", FlashOp.READ, 1, second)
            operate("memory", FlashOp.READ, slot, memory)
            with m.State("ready"):
                m.d.comb += self.ready.eq(1)
                m.d.sync += [self.position.eq(0), before.eq(slot)]
                with m.If(self.start):
                    m.d.sync += self.position.eq(self.origin)
                    m.next = "check"
                    with m.If(self.update):
                        m.next = "patch"
            operate("check", FlashOp.READ, slot, check)
            operate("patch", FlashOp.READ, slot, patch)
            operate("erase", FlashOp.ERASE, ~slot, go("program"))
            operate("program", FlashOp.PROGRAM, ~slot, go("first"))
            patching = fsm.ongoing("patch")
            # What is read to choose the slot is read as it is.
            keeps = fsm.ongoing("memory") | fsm.ongoing("check") | patching
            m.d.comb += [stream.patch.eq(patching), stream.blank.eq(keeps & ~known)]
        return m
