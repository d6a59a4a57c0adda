"""Tells the customer's phone of the seal's events: the GSM dialogue on a serial port."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from .gsm_dialogue import Facts, GsmDialogue
from .timing import bit_cycles
from .uart_rx import Receiver
from .uart_tx import Transmitter

__all__ = ["BAUD", "GsmNotifier"]

#: Every module speaks it; most find out by themselves.
BAUD = 9600


class GsmNotifier(wiring.Component):
    """`GsmDialogue` with a module on `txd` and `rxd`: 8N1, 9600 baud, no handshake lines.

    Parameters
    ----------
    clock_hz: frequency of the clock in Hz.

    Members
    -------
    facts: see `gsm_dialogue.Facts`. txd, rxd: the module; `rxd` may be asynchronous.

    Guarantees: `verif/chip/test_gsm.py::test_on_the_wire`; in the whole chip, `verif/chip/test_gsm_chip.py`.
    """

    def __init__(self, clock_hz):
        self._divisor = bit_cycles(clock_hz, BAUD)
        super().__init__({"facts": In(Facts), "txd": Out(1, init=1), "rxd": In(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dialogue = dialogue = GsmDialogue()
        m.submodules.transmitter = transmitter = Transmitter(self._divisor, parity=False)
        m.submodules.receiver = receiver = Receiver(self._divisor, parity=False)
        rxd = Signal(init=1)
        m.submodules.rxd = FFSynchronizer(self.rxd, rxd, init=1)
        connect(m, flipped(self.facts), dialogue.facts)
        connect(m, dialogue.o, transmitter.i)
        m.d.comb += [
            transmitter.divisor.eq(self._divisor),
            self.txd.eq(transmitter.o),
            receiver.divisor.eq(self._divisor),
            receiver.i.eq(rxd),
            dialogue.valid.eq(receiver.valid),
            dialogue.data.eq(receiver.data),
            dialogue.error.eq(receiver.error),
        ]
        return m
