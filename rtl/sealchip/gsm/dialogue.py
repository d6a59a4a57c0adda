"""The GSM dialogue, which turns events into messages: characters to and from a GSM module."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..signatures import NotifierFeed
from .answers import AnswerReader
from .queue import GsmQueue
from .sequencer import GsmSequencer

__all__ = ["GsmDialogue"]


class GsmDialogue(wiring.Component):
    """Joins the queue, the sequencer and the reader of answers.

    A module is set up before each message, so it may be switched on, restarted or exchanged at any time.
    Without a phone in the identity nothing is ever sent. A message has eight attempts with pauses up to two
    minutes; then it is given up, and the next one that arrives states how many are missing. If the answer to
    a message gets lost, the message is sent again, and the phone shows it twice with the same time.

    Members
    -------
    feed : events, and what messages are made of.
    o : characters for the module, ASCII.
    valid, data, error : characters from the module, as `Receiver` reports them.

    Guarantees: `verif/blocks/test_gsm.py::test_a_message_arrives`, `test_any_module`,
    `test_silence_ends_in_giving_up`, `test_what_comes_while_a_message_is_sent_follows_it`,
    `test_one_in_the_place_of_a_dropped_one_has_all_its_attempts`, `test_no_phone_no_message`.
    """

    feed: In(NotifierFeed)
    o: Out(stream.Signature(7))
    valid: In(1)
    data: In(8)
    error: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.answers = answers = AnswerReader()
        m.submodules.queue = queue = GsmQueue()
        m.submodules.sequencer = sequencer = GsmSequencer()
        feed = self.feed
        connect(m, sequencer.event, queue.current)
        connect(m, sequencer.o, flipped(self.o))
        m.d.comb += [
            answers.valid.eq(self.valid),
            answers.data.eq(self.data),
            answers.error.eq(self.error),
            sequencer.token.eq(answers.token),
            sequencer.tick_s.eq(feed.tick_s),
            feed.identity_address.eq(sequencer.identity_address),
            sequencer.identity_byte.eq(feed.identity_byte),
            feed.identity_reading.eq(sequencer.identity_reading),
            queue.valid.eq(feed.valid),
            queue.kind.eq(feed.kind),
            queue.state.eq(feed.state),
            queue.tick_s.eq(feed.tick_s),
            feed.clock_index.eq(queue.clock_index),
            queue.clock_byte.eq(feed.clock_byte),
            queue.clock_valid.eq(feed.clock_valid),
            queue.clock_free.eq(feed.clock_free),
        ]
        return m
