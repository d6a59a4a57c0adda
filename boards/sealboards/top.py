"""The chip on the board's pins, with buffers, clock and reset."""

from amaranth.build import Attrs, DiffPairs, Pins, Resource
from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from sealboards.board import CONFIGURATION_CLOCK, CONSTANT, INPUTS
from sealboards.pairs import check_pair
from sealchip.chip import SealChip

__all__ = ["BoardTop", "board_chip"]


def board_chip(board, clock_hz, flash_base):
    """Return the chip with the parts that `board` has."""
    return SealChip(clock_hz, flash_base=flash_base, front_end=board.front_end, gsm=board.gsm)


class BoardTop(Elaboratable):
    """`SealChip` on `board`, in a clock domain of its own.

    The platform's domain `sync` has the board's clock, and a reset that outlasts the time after configuration
    in which block RAMs read as zeros. The chip's slower clock is divided from it, since the clock takes most
    of the power of such a chip, and goes through a global buffer. An undivided clock is the board's own.

    clock_hz : the clock that the chip's times are computed for; the board's, except for a simulation

    Raises `PairError` for a differential input that the FPGA does not support.
    """

    def __init__(self, board, clock_hz=None):
        check_pair(board)
        self._board = board
        self._clock_hz = clock_hz or board.clock_hz

    def elaborate(self, platform):
        m = Module()
        chip = board_chip(self._board, self._clock_hz, self._board.flash_base)
        m.submodules.chip = DomainRenamer("seal")(chip)
        self._clock(m, platform)
        for name, wire in self._board.wires.items():
            if name in INPUTS:
                m.d.comb += getattr(chip, name).eq(self._pin(m, platform, name, wire, "i"))
            else:
                level = Const(CONSTANT[name], 1) if name in CONSTANT else getattr(chip, name)
                m.d.comb += self._pin(m, platform, name, wire, "o").eq(level)
        return m

    def _clock(self, m, platform):
        board = self._board
        m.domains += ClockDomain("seal")
        m.submodules.reset = ResetSynchronizer(ResetSignal("sync", allow_reset_less=True), domain="seal")
        if board.divide == 1:
            m.d.comb += ClockSignal("seal").eq(ClockSignal("sync"))
            return
        count, divided, buffered = Signal(range(board.divide)), Signal(), Signal()
        last = count == board.divide - 1
        with m.If(last):
            m.d.sync += count.eq(0)
        with m.Else():
            m.d.sync += count.eq(count + 1)
        m.d.sync += divided.eq(count < board.divide // 2)
        if board.is_ice40:
            buffer = Instance(
                "SB_GB", i_USER_SIGNAL_TO_GLOBAL_BUFFER=divided, o_GLOBAL_BUFFER_OUTPUT=buffered
            )
        else:
            buffer = Instance("DCCA", i_CLKI=divided, i_CE=Const(1), o_CLKO=buffered)
        m.submodules.clock_buffer = buffer
        platform.add_clock_constraint(buffered, board.board_clock_hz / board.divide)
        m.d.comb += ClockSignal("seal").eq(buffered)

    def _pin(self, m, platform, name, wire, direction):
        """Return the inner signal of the buffer of pin `name`."""
        board = self._board
        if wire.pin == CONFIGURATION_CLOCK:
            inside = Signal()
            m.submodules[name] = Instance("USRMCLK", i_USRMCLKI=inside, i_USRMCLKTS=Const(0))
            return inside
        if wire.negative is None:
            pins, attributes = Pins(wire.pin, dir=direction, invert=wire.inverted), board.attributes
        else:
            pins, attributes = DiffPairs(wire.pin, wire.negative, dir=direction), board.differential
        platform.add_resources([Resource(f"seal_{name}", 0, pins, Attrs(**attributes))])
        buffer = io.Buffer(direction, platform.request(f"seal_{name}", dir="-"))
        m.submodules[name] = buffer
        return buffer.i if direction == "i" else buffer.o
