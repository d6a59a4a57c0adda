"""The sequencer, which plays the GSM script: it sends characters, waits for answers, and tries again."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import IDENTITY
from .queue import CurrentEvent
from .script import ATTEMPTS, FAILED, SCRIPT, Digit, Flag, Order, Token, Unless

__all__ = ["GsmSequencer"]


class _Word(data.Struct):
    """One word of the script, as an order."""

    operand: 12
    order: Order
    is_order: 2


class GsmSequencer(wiring.Component):
    """Runs `script.SCRIPT` for ever.

    A wait that ends with an error or without its answer ends the attempt; the script goes on at the words
    from `FAILED` on, two for each attempt, and after the last attempt with the next event. No wait lasts
    longer than its seconds, so the script comes back to *await* in bounded time whatever the module does.

    *Timing:* a word takes two cycles, and then as long as its sending or waiting lasts.

    Members
    -------
    o : characters for the module, ASCII.
    token : the answers of the module.
    tick_s : strobe, each second.
    identity_address, identity_byte : a byte of the identity, one cycle later.
    identity_reading : that byte is needed.
    event : the event being sent, see `GsmQueue`.

    Guarantees: `verif/blocks/test_gsm_sequencer.py::test_sequencer_like_the_reference`,
    `verif/blocks/test_gsm.py::test_a_message_arrives`, `test_silence_ends_in_giving_up`,
    `verif/blocks/test_gsm_parts.py::test_ages_stay_below_a_hundred_minutes`; proofs:
    `verif/formal/gsm.py::every_wait_ends`, `verif/formal/gsm.py::characters_wait_until_taken`.
    """

    o: Out(stream.Signature(7))
    token: In(Token)
    tick_s: In(1)
    identity_address: Out(range(IDENTITY.size))
    identity_byte: In(8)
    identity_reading: Out(1)
    event: Out(CurrentEvent)

    def elaborate(self, platform):
        m = Module()
        m.submodules.script = script = Memory(shape=16, depth=len(SCRIPT), init=SCRIPT)
        fetch = script.read_port()
        place = Signal(8)
        seconds = Signal(7)
        digit = Signal(2)
        attempt = Signal(range(ATTEMPTS))
        # A word ends only by one of these: the next word or the one after it, a jump, or a failed attempt.
        advance = Signal()
        skip = Signal()
        go = Signal()
        failed = Signal()

        word = Signal(_Word)
        operand = word.operand
        is_order = word.is_order == 3
        value = Signal(8)
        m.d.comb += [
            value.eq(Mux(operand[7], self.identity_byte, self.event.byte)),
            fetch.addr.eq(place),
            word.eq(fetch.data),
            self.identity_address.eq(operand),
            self.event.address.eq(operand),
        ]
        with m.If(advance):
            m.d.sync += place.eq(place + 1 + skip)
        with m.If(go):
            m.d.sync += place.eq(operand[:8] | Mux(operand[8], self.event.byte[:4], 0))
        with m.If(failed):
            m.d.sync += [place.eq(FAILED | attempt << 1), attempt.eq(attempt + 1)]

        with m.FSM(name="state"):
            with m.State("fetch"):
                m.next = "decode"
            # The data byte is addressed in this state, and used in "act".
            with m.State("decode"):
                m.d.comb += self.identity_reading.eq(1)
                m.d.sync += [seconds.eq(0), digit.eq(0)]
                m.next = "act"
            with m.State("act"):
                with m.If(advance | go | failed):
                    m.next = "fetch"
                with m.If(~is_order | (word.order == Order.DATA)):
                    self._send(m, fetch.data, is_order, operand[8:10], value, digit, advance)
                with m.Else():
                    with m.Switch(word.order):
                        with m.Case(Order.WAIT):
                            self._wait(m, operand, seconds, advance, failed)
                        with m.Case(Order.GO):
                            m.d.comb += [go.eq(~operand[11]), advance.eq(operand[11])]
                            m.d.comb += skip.eq(self._leaves_out(operand[8:10], value))
                        with m.Case(Order.MARK):
                            self._mark(m, operand, attempt, advance)
        return m

    def _send(self, m, literal, is_data, which, value, digit, advance):
        """Send one character as one byte or as four hex digits. A digit of data is the character 003n."""
        low = Mux(which == Digit.LOST, self.event.lost, Mux(which == Digit.HIGH, value[4:], value[:4]))
        of_data = Mux(digit == 3, low, Mux(digit == 2, ord("0") >> 4, 0))
        nibble = Signal(4)
        m.d.comb += nibble.eq(Mux(is_data, of_data, literal.word_select(~digit, 4)))
        nothing = is_data & (which == Digit.PHONE) & ~value[4]
        m.d.comb += [
            self.o.payload.eq(Mux(self.event.hold, _hex_digit(m, nibble), literal[:7])),
            self.o.valid.eq(~nothing),
            advance.eq(nothing | (self.o.ready & (~self.event.hold | (digit == 3)))),
        ]
        with m.If(self.o.ready):
            m.d.sync += digit.eq(digit + 1)

    def _wait(self, m, operand, seconds, advance, failed):
        """Wait for the answer that the operand names, or only for its seconds."""
        wanted, or_error = operand[8:11], operand[11]
        is_pause = wanted == Token.NONE
        is_error = self.token == Token.ERROR
        over = Signal()
        m.d.comb += over.eq(seconds == operand[:7])
        with m.If(self.tick_s):
            m.d.sync += seconds.eq(seconds + 1)
        with m.If(is_pause):
            m.d.comb += advance.eq(over)
        with m.Else():
            m.d.comb += advance.eq((self.token == wanted) | (is_error & or_error))
            m.d.comb += failed.eq(~advance & (over | is_error))

    def _leaves_out(self, condition, value):
        """Return whether the next word is left out under a condition of `Unless`."""
        return Array(
            {
                Unless.PHONE: value[5],
                Unless.DIGIT: value[4],
                Unless.TIME: value[7],
                Unless.LOST: self.event.lost != 0,
            }[it]
            for it in Unless
        )[condition]

    def _mark(self, m, operand, attempt, advance):
        """Do what the flags of a mark ask for. The queue is held while characters are sent in hexadecimal."""
        event = self.event

        def has(flag):
            return operand[flag.bit_length() - 1]

        m.d.sync += event.hold.eq(has(Flag.HEX))
        m.d.comb += [
            event.start.eq(has(Flag.HEX) & ~event.hold),
            event.done.eq(has(Flag.DONE)),
            event.gave_up.eq(has(Flag.GIVE_UP)),
        ]
        # After the last attempt the count wraps to 0 by itself.
        with m.If(event.done | (event.start & event.renewed)):
            m.d.sync += attempt.eq(0)
        with m.If(has(Flag.AWAIT)):
            m.d.comb += advance.eq(event.waiting)
        with m.Elif(has(Flag.HEX)):
            m.d.comb += advance.eq(event.hold & ~event.busy)
        with m.Else():
            m.d.comb += advance.eq(1)


def _hex_digit(m, nibble):
    """Return a hex digit as ASCII. A table is smaller than an addition."""
    digit = Signal(7)
    with m.Switch(nibble):
        for number, character in enumerate(b"0123456789ABCDEF"):
            with m.Case(number):
                m.d.comb += digit.eq(character)
    return digit
