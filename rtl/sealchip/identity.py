"""The seal's identity, read from flash at power-up and kept in a memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .crc16 import crc16
from .interface import BAUD_FEATURE, FLASH_IDENTITY_SLOTS, IDENTITY
from .spi_flash import FlashCommands, FlashOp

__all__ = ["IdentityLoader"]

_VERSION = 1


class IdentityLoader(wiring.Component):
    """Reads the identity slots in order and keeps the first with the right version and CRC.

    *Timing:* starts after reset; `ready` rises when it has finished, at most two reads of 128 bytes later,
    and stays. `data` follows `address` one cycle later.
    *Errors:* no slot valid: `ready` with `valid` = 0. The memory then holds what was read last and must
    not be used.

    Parameters
    ----------
    default_baud: baud rate while there is no identity, or when its feature word is not in the table.
    flash_base: where the seal's part of the flash begins.

    Members
    -------
    flash: the flash, used only until `ready`.
    ready, valid: see above. baud: index of the baud rate in `BAUD_FEATURE`, slowest first.
    seed: made of the bytes of the seal's address, differs between seals.
    address, data: read port.

    Guarantees: `verif/chip/test_flash.py::test_identity_from_the_first_slot`,
    `test_identity_from_the_second_slot`, `test_no_identity`, `test_baud_words`, `test_seeds_differ`;
    the lamp in `verif/chip/test_chip.py::test_unreadable_identity_is_red`.
    """

    def __init__(self, default_baud, flash_base=0):
        self._default_baud = list(BAUD_FEATURE.values()).index(default_baud)
        self._flash_base = flash_base
        super().__init__(
            {
                "flash": In(FlashCommands),
                "ready": Out(1),
                "valid": Out(1),
                "baud": Out(3, init=self._default_baud),
                "seed": Out(16),
                "address": In(range(IDENTITY.size)),
                "data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flash = self.flash
        memory = m.submodules.memory = Memory(shape=8, depth=IDENTITY.size, init=[])
        write, read = memory.write_port(), memory.read_port()
        crc = m.submodules.crc = crc16()
        second = Signal()
        version_ok = Signal()
        baud = Signal(3)
        seed = Signal(16)

        m.d.comb += [
            flash.op.eq(FlashOp.READ),
            flash.length.eq(IDENTITY.size),
            flash.address.eq(
                self._flash_base + Mux(second, FLASH_IDENTITY_SLOTS[1], FLASH_IDENTITY_SLOTS[0])
            ),
            write.addr.eq(flash.index),
            write.data.eq(flash.o),
            write.en.eq(flash.strobe),
            read.addr.eq(self.address),
            self.data.eq(read.data),
            crc.data.eq(flash.o),
            crc.valid.eq(flash.strobe),
        ]
        with m.If(flash.strobe):
            with m.If(flash.index == IDENTITY.offsets["version"]):
                m.d.sync += version_ok.eq(flash.o == _VERSION)
            with m.If(flash.index == IDENTITY.offsets["baud"]):
                m.d.sync += baud.eq(self._default_baud)
                with m.Switch(flash.o):
                    for number, feature in enumerate(BAUD_FEATURE):
                        with m.Case(feature):
                            m.d.sync += baud.eq(number)
            start = IDENTITY.offsets["seal"]
            with m.If((flash.index >= start) & (flash.index < start + IDENTITY["seal"].width)):
                m.d.sync += seed.eq(seed.rotate_left(5) ^ flash.o)

        with m.FSM(name="state"):
            with m.State("read"):
                m.d.comb += flash.start.eq(1)
                with m.If(flash.done):
                    m.next = "check"
            with m.State("check"):
                m.d.comb += crc.start.eq(1)
                with m.If(version_ok & (crc.match_detected)):
                    m.d.sync += [self.valid.eq(1), self.baud.eq(baud), self.seed.eq(seed)]
                    m.next = "ready"
                with m.Elif(second):
                    m.next = "ready"
                with m.Else():
                    m.d.sync += second.eq(1)
                    m.next = "read"
            with m.State("ready"):
                m.d.comb += self.ready.eq(1)
        return m
