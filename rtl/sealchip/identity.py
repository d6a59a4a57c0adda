"""The seal's identity, read from flash at power-up and kept in a memory, the key apart."""

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

    The key never enters the memory that is read for what is sent: there its bytes are zero. A second memory
    with all bytes is read for signing alone.

    *Timing:* starts after reset; `ready` rises when it has finished, at most two reads of 128 bytes later,
    and stays. `data` follows `address` one cycle later, and so does `secret_data` `secret_address`.
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
    seed: made of the bytes of the seal's address, differs between seals. has_key: the key is not all zero.
    address, data; gsm_address, gsm_data: read ports without the key. secret_address, secret_data: read port
    for signing.

    Guarantees: `verif/chip/test_flash.py::test_identity_from_the_first_slot`,
    `test_identity_from_the_second_slot`, `test_no_identity`, `test_baud_words`, `test_seeds_differ`,
    `test_the_key_is_behind_its_own_port_alone`;
    the lamp in `verif/chip/test_chip_power.py::test_unreadable_identity_is_red`.
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
                "has_key": Out(1),
                "address": In(range(IDENTITY.size)),
                "data": Out(8),
                "gsm_address": In(range(IDENTITY.size)),
                "gsm_data": Out(8),
                "secret_address": In(range(IDENTITY.size)),
                "secret_data": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flash = self.flash
        memory = m.submodules.memory = Memory(shape=8, depth=IDENTITY.size, init=[])
        secret = m.submodules.secret = Memory(shape=8, depth=IDENTITY.size, init=[])
        write, read, read_gsm = memory.write_port(), memory.read_port(), memory.read_port()
        write_secret, read_secret = secret.write_port(), secret.read_port()
        start, end = IDENTITY.slice("key").start, IDENTITY.slice("key").stop
        of_key = (flash.index >= start) & (flash.index < end)
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
            write.data.eq(Mux(of_key, 0, flash.o)),
            write.en.eq(flash.strobe),
            # Never both at once, as in `Sm4`: nobody reads before `ready`.
            read.en.eq(~write.en),
            read_secret.en.eq(~write.en),
            read.addr.eq(self.address),
            self.data.eq(read.data),
            read_gsm.en.eq(~write.en),
            read_gsm.addr.eq(self.gsm_address),
            self.gsm_data.eq(read_gsm.data),
            write_secret.addr.eq(flash.index),
            write_secret.data.eq(flash.o),
            write_secret.en.eq(flash.strobe),
            read_secret.addr.eq(self.secret_address),
            self.secret_data.eq(read_secret.data),
            crc.data.eq(flash.o),
            crc.valid.eq(flash.strobe),
        ]
        with m.If(flash.strobe):
            with m.If(flash.index == IDENTITY.offsets["version"]):
                m.d.sync += [version_ok.eq(flash.o == _VERSION), self.has_key.eq(0)]
            with m.If(of_key & (flash.o != 0)):
                m.d.sync += self.has_key.eq(1)
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
