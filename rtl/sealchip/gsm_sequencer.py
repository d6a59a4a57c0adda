"""Plays the GSM script: sends its characters, waits for the module's answers, tries again."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .gsm_queue import CurrentEvent
from .gsm_script import ATTEMPTS, FAILED, SCRIPT, Condition, Digit, Flag, Order, Token
from .interface import IDENTITY

__all__ = ["GsmSequencer"]


class _Word(data.Struct):
    """One word of the script, as an order."""

    operand: 12
    order: Order
    is_order: 2


class GsmSequencer(wiring.Component):
    """Carries out `gsm_script.SCRIPT`, for ever.

    A wait that ends with an error or without its answer ends the attempt; the script goes on behind
    `FAILED`, after as many attempts as there are with the next event. No wait lasts longer than its seconds,
    so the script comes back to *take* in bounded time whatever the module does.

    *Timing:* two cycles a word, then as long as its sending or waiting lasts.

    Members
    -------
    o: characters for the module. token: what the module says. tick_s: a second passed.
    identity_address, identity_byte: the identity, one cycle later. event: see `GsmQueue`.

    Guarantees: `verif/chip/test_gsm.py::test_any_module`, `test_silence_ends_in_giving_up`,
    `verif/chip/test_gsm_parts.py::test_ages_stay_below_a_hundred_minutes`.
    """

    o: Out(stream.Signature(8))
    token: In(Token)
    tick_s: In(1)
    identity_address: Out(range(IDENTITY.size))
    identity_byte: In(8)
    event: Out(CurrentEvent)

    def elaborate(self, platform):
        m = Module()
        m.submodules.script = script = Memory(shape=16, depth=len(SCRIPT), init=SCRIPT)
        fetch = script.read_port()
        place = Signal(8)
        seconds = Signal(8)
        digit = Signal(2)
        attempt = Signal(range(ATTEMPTS))
        # What the last character takes part in: nothing moves on from a word but these two.
        advance, failed = Signal(), Signal()

        word = data.View(_Word, fetch.data)
        is_order = word.is_order == 3
        is_data = is_order & (word.order == Order.DATA)
        m.d.comb += fetch.addr.eq(place)
        with m.If(advance):
            m.d.sync += place.eq(place + 1)
        with m.If(failed):
            m.d.sync += [place.eq(FAILED | attempt << 1), attempt.eq(attempt + 1)]

        value = self._address_data(m, word, is_data)
        with m.FSM(name="state"):
            with m.State("fetch"):
                m.next = "decode"
            # The data byte is addressed here and read in "act".
            with m.State("decode"):
                m.d.sync += [seconds.eq(word.operand), digit.eq(0)]
                m.next = "act"
            with m.State("act"):
                with m.If(advance | failed):
                    m.next = "fetch"
                with m.If(~is_order | is_data):
                    self._send(m, word, is_data, value, digit, advance)
                with m.Else():
                    with m.Switch(word.order):
                        with m.Case(Order.WAIT):
                            self._wait(m, word.operand, seconds, advance, failed)
                        with m.Case(Order.GO):
                            m.d.comb += advance.eq(1)
                            self._go(m, word.operand, value, place)
                        with m.Case(Order.MARK):
                            self._mark(m, word.operand, attempt, advance)
        return m

    def _address_data(self, m, word, is_data):
        """The data byte of a word. Those without one read the phone's first digit and what happened."""
        of_identity = word.operand[7]
        phone = IDENTITY.offsets["phone"]
        m.d.comb += [
            self.identity_address.eq(Mux(is_data, word.operand, phone)),
            self.event.address.eq(Mux(is_data, word.operand, 0)),
        ]
        return Mux(of_identity, self.identity_byte, self.event.byte)

    def _send(self, m, word, is_data, value, digit, advance):
        """One character: one byte, or as four hex digits."""
        how = word.operand[8:10]
        low = Mux(how == Digit.HIGH, value[4:], Mux(how == Digit.LOST, self.event.lost, value[:4]))
        high = Mux(how == Digit.CHARACTER, value[4:], ord("0") >> 4)
        character = Mux(is_data, Cat(low, high, C(0, 8)), word.as_value())
        nibble = character.word_select(~digit, 4)
        hex_digit = Mux(nibble < 10, nibble + ord("0"), nibble + (ord("A") - 10))
        nothing = is_data & (how == Digit.CHARACTER) & (value == 0)
        m.d.comb += [
            self.o.payload.eq(Mux(self.event.hold, hex_digit, character[:8])),
            self.o.valid.eq(~nothing),
        ]
        with m.If(self.o.ready):
            m.d.sync += digit.eq(digit + 1)
        m.d.comb += advance.eq(nothing | (self.o.ready & (~self.event.hold | (digit == 3))))

    def _wait(self, m, operand, seconds, advance, failed):
        wanted, or_error = operand[8:11], operand[11]
        is_pause = wanted == Token.NONE
        is_error = self.token == Token.ERROR
        over = seconds == 0
        with m.If(self.tick_s):
            m.d.sync += seconds.eq(seconds - 1)
        with m.If(is_pause):
            m.d.comb += advance.eq(over)
        with m.Else():
            m.d.comb += advance.eq((self.token == wanted) | (is_error & or_error))
            m.d.comb += failed.eq(~advance & (over | is_error))

    def _go(self, m, operand, value, place):
        condition = operand[8:11]
        goes = Signal()
        with m.Switch(condition):
            with m.Case(Condition.ALWAYS, Condition.BY_EVENT):
                m.d.comb += goes.eq(1)
            with m.Case(Condition.NO_TIME):
                m.d.comb += goes.eq(~self.event.byte[7])
            with m.Case(Condition.NONE_LOST):
                m.d.comb += goes.eq(self.event.lost == 0)
            with m.Case(Condition.NO_PHONE):
                m.d.comb += goes.eq(self.identity_byte == 0)
        with m.If(goes):
            m.d.sync += place.eq(operand[:8] | Mux(condition == Condition.BY_EVENT, self.event.byte[:4], 0))

    def _mark(self, m, operand, attempt, advance):
        """`hold` is `hex`: while data are being sent, they stay as they are."""

        def has(flag):
            return operand[flag.bit_length() - 1]

        m.d.sync += self.event.hold.eq(has(Flag.HEX))
        m.d.comb += [
            self.event.take.eq(has(Flag.TAKE)),
            self.event.tell.eq(has(Flag.HEX)),
            self.event.done.eq(has(Flag.DONE)),
            self.event.gave_up.eq(has(Flag.GIVE_UP)),
        ]
        with m.If(has(Flag.DONE) | has(Flag.GIVE_UP)):
            m.d.sync += attempt.eq(0)
        with m.If(has(Flag.TAKE)):
            m.d.comb += advance.eq(self.event.taken)
        with m.Elif(has(Flag.HEX)):
            m.d.comb += advance.eq(self.event.hold & ~self.event.busy)
        with m.Else():
            m.d.comb += advance.eq(1)
