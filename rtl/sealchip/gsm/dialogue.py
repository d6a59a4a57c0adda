"""The GSM dialogue, characters in and out: events become messages."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..interface import IDENTITY, Kind, StateClass
from .answers import AnswerReader
from .queue import GsmQueue
from .sequencer import GsmSequencer

__all__ = ["Facts", "GsmDialogue"]

#: What the messages are made of. `valid`, `kind`, `state`: events as the log takes them. `tick_s`: a second
#: passed. `identity_…`: the identity, one cycle later, steady while `reading`. `clock_…`: see `GsmQueue`.
Facts = wiring.Signature(
    {
        "valid": Out(1),
        "kind": Out(Kind),
        "state": Out(StateClass),
        "tick_s": Out(1),
        "identity_address": In(range(IDENTITY.size)),
        "identity_byte": Out(8),
        "identity_reading": In(1),
        "clock_index": In(3),
        "clock_byte": Out(8),
        "clock_valid": Out(1),
        "clock_free": Out(1),
    }
)


class GsmDialogue(wiring.Component):
    """Queue, sequencer and reader of answers, put together.

    A module is brought up before each message, so it may be switched on, restarted or exchanged at any time.
    Without a phone in the identity nothing is ever sent. A message has eight attempts with pauses up to two
    minutes; then it is given up, and the next one that arrives says how many are missing. The answer to a
    message may get lost on its way: then it is sent again, and the phone shows it twice with the same time.

    Members
    -------
    facts: see `Facts`. o: characters for the module, ASCII. valid, data, error: characters of the module.

    Guarantees: `verif/blocks/test_gsm.py::test_a_message_arrives`, `test_any_module`,
    `test_silence_ends_in_giving_up`, `test_what_comes_while_a_message_is_sent_is_behind_it`,
    `test_one_in_the_place_of_a_dropped_one_has_all_its_attempts`, `test_no_phone_no_message`.
    """

    facts: In(Facts)
    o: Out(stream.Signature(7))
    valid: In(1)
    data: In(8)
    error: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.answers = answers = AnswerReader()
        m.submodules.queue = queue = GsmQueue()
        m.submodules.sequencer = sequencer = GsmSequencer()
        facts = self.facts
        connect(m, sequencer.event, queue.current)
        connect(m, sequencer.o, flipped(self.o))
        m.d.comb += [
            answers.valid.eq(self.valid),
            answers.data.eq(self.data),
            answers.error.eq(self.error),
            sequencer.token.eq(answers.token),
            sequencer.tick_s.eq(facts.tick_s),
            facts.identity_address.eq(sequencer.identity_address),
            sequencer.identity_byte.eq(facts.identity_byte),
            facts.identity_reading.eq(sequencer.identity_reading),
            queue.valid.eq(facts.valid),
            queue.kind.eq(facts.kind),
            queue.state.eq(facts.state),
            queue.tick_s.eq(facts.tick_s),
            facts.clock_index.eq(queue.clock_index),
            queue.clock_byte.eq(facts.clock_byte),
            queue.clock_valid.eq(facts.clock_valid),
            queue.clock_free.eq(facts.clock_free),
        ]
        return m
