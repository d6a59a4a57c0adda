"""The notifier, which reports the seal's events to the customer's phone by a GSM module on a serial port."""

from amaranth.hdl import EnableInserter, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.baud_tick import BaudTick
from ..signatures import NotifierFeed
from ..timing import bit_steps
from .dialogue import GsmDialogue
from .uart_rx import Receiver
from .uart_tx import Transmitter

__all__ = ["BAUD", "GsmNotifier"]

#: Every module supports this rate, and most detect it by themselves.
BAUD = 9600


class GsmNotifier(wiring.Component):
    """Connects `GsmDialogue` to a module on `txd` and `rxd`: 8N1, 9600 baud, no handshake lines.

    Both UARTs count steps, because two short counters of steps and a common one of cycles are smaller than
    two counters of cycles.

    Parameters
    ----------
    clock_hz : the frequency of the clock in Hz.

    Members
    -------
    feed : events, and what messages are made of.
    txd, rxd : the pins of the module; `rxd` may be asynchronous.

    Guarantees: `verif/blocks/test_gsm.py::test_on_the_wire`, `test_on_the_wire_in_longer_steps`; in the whole
    chip, `verif/chip/test_gsm_chip.py`.
    """

    def __init__(self, clock_hz):
        self._cycles, self._steps = bit_steps(clock_hz, BAUD)
        super().__init__({"feed": In(NotifierFeed), "txd": Out(1, init=1), "rxd": In(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dialogue = dialogue = GsmDialogue()
        transmitter = Transmitter(self._steps)
        receiver = Receiver(self._steps)
        m.submodules.steps = steps = BaudTick(self._cycles)
        step = steps.step
        m.submodules.transmitter = EnableInserter(step)(transmitter)
        m.submodules.receiver = EnableInserter(step)(receiver)
        rxd = Signal(init=1)
        m.submodules.rxd = FFSynchronizer(self.rxd, rxd, init=1)
        connect(m, flipped(self.feed), dialogue.feed)
        m.d.comb += [
            transmitter.divisor.eq(self._steps),
            transmitter.i.payload.eq(dialogue.o.payload),
            transmitter.i.valid.eq(dialogue.o.valid),
            dialogue.o.ready.eq(transmitter.i.ready & step),
            self.txd.eq(transmitter.o),
            receiver.divisor.eq(self._steps),
            receiver.i.eq(rxd),
            dialogue.valid.eq(receiver.received.valid & step),
            dialogue.data.eq(receiver.received.data),
            dialogue.error.eq(receiver.received.error),
        ]
        return m
