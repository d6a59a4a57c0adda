"""The seal as a DL/T 645-2007 slave: answers reads (11H, 13H) and takes a challenge (14H)."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .deframer import FrameHead
from .interface import Di
from .messages import Message

__all__ = ["Slave"]

#: Response delay Td in ms; the standard wants 20 to 500.
TD_MS = 25
READ, READ_ADDRESS, WRITE = 0x11, 0x13, 0x14
#: ERR bits: no such data; not authorised.
ERR_NO_DATA, ERR_NOT_AUTHORISED = 0x02, 0x04
#: DI, password and operator code, and the challenge.
CHALLENGE_LENGTH = 16


class Slave(wiring.Component):
    """Answers what is addressed to the seal; is silent on everything else.

    Reads of an unknown item get D1 with *no such data*, writes D4 with *not authorised*; other functions,
    broadcasts and frames with an impossible length get no answer. Without a valid identity the seal has
    no address and is silent.

    The one write that is taken is a challenge, with any password: it changes nothing but what the records
    say that are answered from then on, until the next challenge or power-up.

    *Timing:* the answer starts when the line has been quiet for `TD_MS` after the request; another frame
    before that cancels it.

    Members
    -------
    enable: identity valid, log restored. frame, head, quiet_ms: the pair.
    busy: answering. log_*: the log, held from `busy` on. send, message, error: to the framer.
    sent: the framer's frame is out (or given up). challenged, challenge: a challenge came, and the last one.

    Guarantees: `verif/chip/test_chip_slave.py::test_reads`, `test_silence`,
    `verif/chip/test_chip_signing.py::test_challenge`.
    """

    enable: In(1)
    frame: In(1)
    head: In(FrameHead)
    quiet_ms: In(10)
    busy: Out(1)
    log_start: Out(1)
    log_nth: Out(4)
    log_done: In(1)
    log_found: In(1)
    send: Out(1)
    message: Out(Message)
    error: Out(8)
    sent: In(1)
    challenged: Out(1)
    challenge: Out(32)

    def elaborate(self, platform):
        m = Module()
        head = self.head
        mine = self.frame & head.to_seal & self.enable

        def answer(message, then="delay"):
            m.d.sync += self.message.eq(message)
            m.next = then

        def refuse(error):
            m.d.sync += [self.message.eq(Message.REFUSE), self.error.eq(error)]
            m.next = "delay"

        def take_request():
            with m.If(mine & (head.control == READ) & (head.length >= 4)):
                m.next = "read"
            with m.Elif(mine & (head.control == WRITE) & (head.length >= 12)):
                refuse(ERR_NOT_AUTHORISED)
                with m.If((head.di == Di.CHALLENGE) & (head.length == CHALLENGE_LENGTH)):
                    m.d.sync += [self.challenged.eq(1), self.challenge.eq(head.tail)]
                    answer(Message.ANSWER_WRITE)
            with m.Elif(mine & (head.control == READ_ADDRESS) & (head.length == 0)):
                answer(Message.ANSWER_ADDRESS)

        with m.FSM(name="state") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"):
                take_request()
            with m.State("read"):
                m.d.sync += self.log_nth.eq(0)
                with m.Switch(head.di):
                    with m.Case(Di.RECORD_NEWEST.value):
                        answer(Message.ANSWER_RECORD, "fetch")
                    with m.Case(f"{Di.RECORD_HISTORY.value >> 4:028b}----"):
                        m.d.sync += self.log_nth.eq(head.di[:4])
                        answer(Message.ANSWER_RECORD, "fetch")
                    with m.Case(Di.DIAGNOSTICS.value):
                        answer(Message.ANSWER_DIAGNOSTICS)
                    with m.Case(Di.ADDRESS.value):
                        answer(Message.ANSWER_ADDRESS_ITEM)
                    with m.Case(Di.ASSET_NUMBER.value):
                        answer(Message.ANSWER_ASSET)
                    with m.Default():
                        refuse(ERR_NO_DATA)
            with m.State("fetch"):
                m.d.comb += self.log_start.eq(1)
                with m.If(self.log_done):
                    m.next = "delay"
                    with m.If(~self.log_found):
                        refuse(ERR_NO_DATA)
            with m.State("delay"):
                # Another frame already: whoever asked no longer waits, and `head` is no longer the request's.
                with m.If(self.frame):
                    m.next = "idle"
                    take_request()
                with m.Elif(self.quiet_ms >= TD_MS):
                    m.next = "send"
            with m.State("send"):
                m.d.comb += self.send.eq(1)
                m.next = "sending"
            with m.State("sending"):
                with m.If(self.sent):
                    m.next = "idle"
        return m
