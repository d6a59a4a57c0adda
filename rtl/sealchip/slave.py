"""The seal as a DL/T 645-2007 slave: reads, challenge, clock, rate, and writes with password."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .deframer import FrameHead
from .identity_stream import ITEMS
from .interface import Di
from .messages import Message
from .password import PasswordGuard

__all__ = ["Slave"]

#: Response delay Td in ms; the standard wants 20 to 500.
TD_MS = 25
SET_CLOCK, READ, READ_NEXT, READ_ADDRESS = 0x08, 0x11, 0x12, 0x13
WRITE, WRITE_ADDRESS, CHANGE_RATE, CHANGE_PASSWORD = 0x14, 0x15, 0x17, 0x18
#: Where the password stands in DATA, and what a write brings: behind DI, password and operator code; behind
#: DI, old password and the level of the new one; alone.
OLD_PASSWORD, WRITTEN, NEW_PASSWORD, WRITTEN_ADDRESS = 5, 12, 9, 0
CHALLENGE_BYTES = 4
#: Records that the event log is read in.
LAST_RECORD = 63


class Slave(wiring.Component):
    """Answers what is addressed to the seal; is silent on everything else.

    | function | taken | answer |
    |---|---|---|
    | 08H | six bytes, broadcast or not: set the clock | none |
    | 11H | at least four bytes | 91H; B1H for the event log's newest record; D1H *no such data* |
    | 12H | event log and SEQ 1 to 63 | 92H or B2H; D2H *no such data* |
    | 13H | no data | 93H |
    | 14H | challenge, with any password; seal command and provisioning | 94H; D4H, see below |
    | 15H | six bytes to AAAAAAAAAAAA, while the seal has no address | 95H |
    | 17H | a feature word | 97H at the old rate; D7H *rate* |
    | 18H | 12 bytes: DI and level are not looked at, there is one password | 98H; D8H, see below |

    *Not authorised* is the answer to a wrong password and, while locked out, to any; *no such data* to a
    write of an unknown item; *other error* when a field is not as long as it must be, when the flash does
    not take it, and when the loop cannot be sealed. Everything else gets no answer, nor does any frame when
    another one begins before the answer. A seal without an address is asked at AAAAAAAAAAAA.

    A challenge changes nothing but what the records say that are answered from then on, until the next
    challenge or power-up.

    *Timing:* the answer starts when the line has been quiet for `TD_MS` after the request, and when all that
    was asked for is done.

    Members
    -------
    enable: log restored. valid: the seal has an address. frame, begun, head, quiet_ms: the pair.
    position, content: the frame's DATA; `position` is 0 while it is not wanted. spoiled: DATA may be
    another's. busy: answering. log_*: the log, held from `busy` on. identity_*: a command of `IdentityStore`.
    seal, seal_done, seal_refused: strobes to and from the loop monitor. clock_set: strobe. rate_known: the
    first byte of DATA is a feature word; changes_rate: it comes into force with the end of the frame.
    tick, locked: see `PasswordGuard`. locked_out, provisioned: strobes, events. send, message: to the framer.
    sent: the framer's frame is out (or given up). challenged: a challenge came. challenge_index, challenge:
    byte of the last one, one cycle later.

    Guarantees: `verif/chip/test_provisioning.py`, `verif/chip/test_chip_slave.py::test_reads`,
    `test_silence`, `verif/chip/test_chip_signing.py::test_challenge`;
    proof: `verif/formal/slave.py::answers_only_what_is_meant`.
    """

    enable: In(1)
    valid: In(1)
    frame: In(1)
    begun: In(1)
    head: In(FrameHead)
    quiet_ms: In(10)
    position: Out(4)
    content: In(8)
    spoiled: Out(1)
    busy: Out(1)
    log_start: Out(1)
    log_nth: Out(6)
    log_done: In(1)
    log_found: In(1)
    identity_start: Out(1)
    identity_update: Out(1)
    identity_item: Out(3)
    identity_origin: Out(4)
    identity_done: In(1)
    identity_accepted: In(1)
    seal: Out(1)
    seal_done: In(1)
    seal_refused: In(1)
    clock_set: Out(1)
    rate_known: In(1)
    changes_rate: Out(1)
    tick: In(1)
    locked_out: Out(1)
    locked: Out(1)
    provisioned: Out(1)
    send: Out(1)
    message: Out(Message)
    sent: In(1)
    challenged: Out(1)
    challenge_index: In(2)
    challenge: Out(8)

    def elaborate(self, platform):
        m = Module()
        head, content = self.head, self.content
        m.submodules.guard = guard = PasswordGuard()
        m.d.comb += [
            guard.tick.eq(self.tick),
            self.locked_out.eq(guard.locked_out),
            self.locked.eq(guard.locked),
        ]
        m.submodules.challenge = challenge = Memory(shape=8, depth=CHALLENGE_BYTES, init=[])
        write, read = challenge.write_port(), challenge.read_port()
        function = head.control[:5]
        step = Signal(3)
        m.d.comb += [
            write.addr.eq(step - 1),
            write.data.eq(content),
            read.addr.eq(self.challenge_index),
            read.en.eq(~write.en),  # as in `Sm4`
            self.challenge.eq(read.data),
        ]
        ours, standard = Signal(), Signal()  # DI 048053xx, 040004xx
        sequence = Signal()  # SEQ can be one of the event log's
        number = Signal(6)  # of the record, SEQ, or of the item
        m.d.comb += self.log_nth.eq(number)

        to_us = head.to_seal & (self.valid | head.anybody)
        meant = (head.control[5:] == 0) & (to_us | (head.broadcast & (function == SET_CLOCK)))

        def answer(message, then="delay"):
            m.d.sync += self.message.eq(message)
            m.next = then

        with m.FSM(name="state") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"):
                m.d.sync += step.eq(4)
                with m.If(self.frame & self.enable & meant):
                    m.next = "look"
            # The first five bytes of DATA from behind, each one cycle behind its position.
            with m.State("look"):
                m.d.comb += self.position.eq(step)
                m.d.sync += step.eq(step - 1)
                with m.Switch(step):
                    with m.Case(3):
                        m.d.sync += [number.eq(content), sequence.eq(content[6:] == 0)]
                    with m.Case(2):
                        m.d.sync += [ours.eq(content == 0x04), standard.eq(content == 0x04)]
                    with m.Case(1):
                        m.d.sync += [
                            ours.eq(ours & (content == 0x80)),
                            standard.eq(standard & (content == 0)),
                        ]
                    with m.Case(0):
                        m.d.sync += [
                            ours.eq(ours & (content == 0x53)),
                            standard.eq(standard & (content == 0x04)),
                            step.eq(0),
                        ]
                        m.next = "decide"
            # `content` is now the DI's last byte.
            with m.State("decide"):
                m.next = "idle"
                with m.Switch(function):
                    with m.Case(SET_CLOCK):
                        m.d.comb += self.clock_set.eq(head.length == 6)
                    with m.Case(READ):
                        with m.If(head.length[2:] != 0):
                            self._read(m, ours, standard, number, answer)
                    with m.Case(READ_NEXT):
                        with m.If(head.length == 5):
                            answer(Message.REFUSE_NO_DATA)
                            with m.If(ours & (content == Di.EVENT_LOG & 0xFF) & sequence & (number != 0)):
                                m.d.sync += number.eq(number + 1)
                                answer(Message.ANSWER_NEXT, "more")
                                with m.If(number == LAST_RECORD):
                                    m.d.sync += number.eq(number)
                                    m.next = "fetch"
                    with m.Case(READ_ADDRESS):
                        with m.If(head.length == 0):
                            answer(Message.ANSWER_ADDRESS)
                    with m.Case(WRITE):
                        with m.If((head.length[4:] != 0) | (head.length[2:4] == WRITTEN >> 2)):
                            self._write(m, ours, number, guard.locked, answer)
                    with m.Case(WRITE_ADDRESS):
                        with m.If((head.length == 6) & head.anybody & ~self.valid):
                            m.next = "update"
                    with m.Case(CHANGE_RATE):
                        with m.If(head.length == 1):
                            answer(Message.REFUSE_RATE)
                            with m.If(self.rate_known):
                                answer(Message.ANSWER_DONE)
                    with m.Case(CHANGE_PASSWORD):
                        with m.If(head.length == NEW_PASSWORD + 3):
                            answer(Message.REFUSE_UNAUTHORISED)
                            with m.If(~guard.locked):
                                m.next = "check"
            with m.State("challenge"):
                m.d.comb += self.position.eq(Cat(step[:2], C(WRITTEN >> 2, 2)))
                m.d.sync += step.eq(step + 1)
                m.d.comb += write.en.eq(step != 0)
                with m.If(step == CHALLENGE_BYTES):
                    m.d.sync += self.challenged.eq(1)
                    answer(Message.ANSWER_DONE)
            with m.State("more"):
                m.d.comb += self.log_start.eq(1)
                with m.If(self.log_done):
                    # A message and the one that says that there are more differ in this bit.
                    m.d.sync += [number.eq(number - 1), self.message.as_value()[0].eq(self.log_found)]
                    m.next = "fetch"
            with m.State("fetch"):
                m.d.comb += self.log_start.eq(1)
                with m.If(self.log_done):
                    m.next = "delay"
                    with m.If(~self.log_found):
                        answer(Message.REFUSE_NO_DATA)
            with m.State("check"):
                m.d.comb += [
                    self.identity_start.eq(1),
                    self.identity_item.eq(ITEMS["password"]),
                    self.identity_origin.eq(OLD_PASSWORD),
                    guard.right.eq(self.identity_done & self.identity_accepted),
                    guard.wrong.eq(self.identity_done & ~self.identity_accepted & ~self.spoiled),
                ]
                with m.If(self.identity_done):
                    answer(Message.REFUSE_UNAUTHORISED)
                    with m.If(self.identity_accepted):
                        m.next = "update"
                        with m.If((function == WRITE) & number[3]):
                            m.next = "seal"
            with m.State("update"):
                m.d.comb += [
                    self.identity_start.eq(1),
                    self.identity_update.eq(1),
                    self.identity_item.eq(number),
                    self.identity_origin.eq(WRITTEN),
                    self.provisioned.eq(self.identity_done & self.identity_accepted),
                ]
                with m.If(function == WRITE_ADDRESS):
                    m.d.comb += [
                        self.identity_item.eq(ITEMS["seal"]),
                        self.identity_origin.eq(WRITTEN_ADDRESS),
                    ]
                with m.If(function == CHANGE_PASSWORD):
                    m.d.comb += [
                        self.identity_item.eq(ITEMS["password"]),
                        self.identity_origin.eq(NEW_PASSWORD),
                    ]
                with m.If(self.identity_done):
                    answer(Message.ANSWER_DONE)
                    with m.If(~self.identity_accepted):
                        answer(Message.REFUSE_OTHER)
                        with m.If(function == WRITE_ADDRESS):
                            m.next = "idle"
            with m.State("seal"):
                m.d.comb += self.seal.eq(1)
                m.next = "sealing"
            with m.State("sealing"):
                with m.If(self.seal_done):
                    answer(Message.ANSWER_DONE)
                with m.Elif(self.seal_refused):
                    answer(Message.REFUSE_OTHER)
            with m.State("delay"):
                # Another frame already: whoever asked no longer waits.
                with m.If(self.spoiled):
                    m.next = "idle"
                with m.Elif(self.quiet_ms >= TD_MS):
                    m.next = "send"
            with m.State("send"):
                m.d.comb += self.send.eq(1)
                m.next = "sending"
            with m.State("sending"):
                m.d.comb += self.changes_rate.eq((function == CHANGE_RATE) & self.rate_known)
                with m.If(self.sent):
                    m.next = "idle"
        with m.If(~self.busy):
            m.d.sync += self.spoiled.eq(0)
        with m.Elif(self.begun):
            m.d.sync += self.spoiled.eq(1)
        return m

    def _read(self, m, ours, standard, number, answer):
        """11H: which item."""
        answer(Message.REFUSE_NO_DATA)
        with m.If(ours):
            with m.Switch(self.content):
                with m.Case(Di.RECORD_NEWEST & 0xFF):
                    m.d.sync += number.eq(0)
                    answer(Message.ANSWER_RECORD, "fetch")
                with m.Case("0001----"):
                    m.d.sync += number.eq(self.content[:4])
                    answer(Message.ANSWER_RECORD, "fetch")
                with m.Case(Di.EVENT_LOG & 0xFF):
                    m.d.sync += number.eq(1)
                    answer(Message.ANSWER_RECORD, "more")
                with m.Case(Di.DIAGNOSTICS & 0xFF):
                    answer(Message.ANSWER_DIAGNOSTICS)
        with m.If(standard):
            with m.Switch(self.content):
                with m.Case(Di.ADDRESS & 0xFF):
                    answer(Message.ANSWER_ADDRESS_ITEM)
                with m.Case(Di.ASSET_NUMBER & 0xFF):
                    answer(Message.ANSWER_ASSET)

    def _write(self, m, ours, number, locked, answer):
        """14H: a challenge at once; the other items behind the password."""
        answer(Message.REFUSE_NO_DATA)
        m.d.sync += number.eq(self.content)
        with m.If(ours):
            with m.Switch(self.content):
                with m.Case(Di.CHALLENGE & 0xFF):
                    with m.If(self.head.length == WRITTEN + CHALLENGE_BYTES):
                        m.next = "challenge"
                with m.Case(Di.SEAL & 0xFF, *((Di.PROVISIONING & 0xFF) + item for item in ITEMS.values())):
                    with m.If(~self.content[3] | (self.head.length == WRITTEN)):
                        answer(Message.REFUSE_UNAUTHORISED)
                        with m.If(~locked):
                            m.next = "check"
