"""The seal as a DL/T 645-2007 slave: reads, challenge, clock, rate, and writes with password."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..interface import Function
from ..signatures import FrameHead
from .messages import Message
from .password import PasswordGuard
from .requests import PROGRAM, Op, Step

__all__ = ["Slave"]

#: Response delay Td in ms, and the delay from which on there is no answer; the standard wants 20 to 500.
TD_MS, TOO_LATE_MS = 25, 496


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
    | 17H | a feature word | 97H and that word, at the old rate; D7H *rate* |
    | 18H | 12 bytes; DI and level do not count, there is one password | 98H, level, new one; D8H, see below |

    *Not authorised* is the answer to a wrong password and, while locked out, to any; *no such data* to a
    write of an unknown item; *other error* when a field is not as long as it must be, when the flash does
    not take it, and when the loop cannot be sealed. Everything else gets no answer, nor does any frame when
    another one begins before the answer. A seal without an address is asked at AAAAAAAAAAAA.

    A challenge changes nothing but what the records say that are answered from then on, until the next
    challenge or power-up.

    What is done is a program in block RAM (`requests.py`). A step takes 3 cycles, so what a request says is
    known before the next character. An iCE40 reads block RAM as zero for about 3 µs after configuration: that
    is *idle*.

    *Timing:* the answer starts when the line has been quiet for `TD_MS` after the request, and when all that
    was asked for is done. When that takes until `TOO_LATE_MS` there is none: the master has stopped waiting,
    and the pair may be somebody else's.

    Members
    -------
    enable: log restored. valid: the seal has an address. frame, begun, head, quiet_ms: the pair.
    position, content: the frame's DATA; `position` is 0 while it is not wanted. spoiled: DATA may be
    another's. busy: answering. start, command, of, done, right: commands of `ControlCore`.
    seal, seal_done, seal_refused: strobes to and from the loop monitor. changes_rate, new_rate: the rate of
    that number comes into force with the end of the frame. tick, locked: see `PasswordGuard`. locked_out,
    provisioned: strobes, events. send, message: to the framer. sent: the framer's frame is out (or given up).

    Guarantees: `verif/blocks/test_slave.py`; the whole in `verif/chip/test_provisioning.py`,
    `verif/chip/test_chip_slave.py::test_reads`, `test_silence`,
    `verif/chip/test_chip_signing.py::test_challenge`;
    proofs: `verif/formal/slave.py::answers_only_what_is_meant`,
    `verif/formal/slave.py::written_only_with_the_password`.
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
    start: Out(1)
    command: Out(3)
    of: Out(8)
    done: In(1)
    right: In(1)
    seal: Out(1)
    seal_done: In(1)
    seal_refused: In(1)
    changes_rate: Out(1)
    new_rate: Out(3)
    tick: In(1)
    locked_out: Out(1)
    locked: Out(1)
    provisioned: Out(1)
    send: Out(1)
    message: Out(Message)
    sent: In(1)

    def elaborate(self, platform):
        m = Module()
        head, content = self.head, self.content
        m.submodules.program = program = Memory(
            shape=Step, depth=256, init=PROGRAM, attrs={"rom_block": True}
        )
        m.submodules.guard = guard = PasswordGuard()
        steps = program.read_port()
        step = Signal(Step)
        address = Signal(8)
        # Cycles since the address has changed: after one the step is there, after two its byte of DATA.
        settled = Signal(2)
        ready = settled[1]
        advance, result = Signal(), Signal()
        begun = Signal()  # what the step asks for once is under way
        request, begins = Signal(), Signal()
        number = Cat((content ^ step.value)[:6], step.has_older)

        to_us = head.to_seal & (self.valid | head.wildcard)
        is_time = head.broadcast & (head.control[:5] == Function.BROADCAST_TIME)
        operand = Mux(step.of_length, head.length, content)
        differs = operand ^ step.value
        idle = step.op == Op.IDLE
        m.d.comb += [
            request.eq(self.frame & self.enable & ~self.busy & (head.control[5:] == 0) & (to_us | is_time)),
            steps.addr.eq(address),
            step.eq(steps.data),
            self.position.eq(step.position),
            self.command.eq(step.op.as_value()),
            self.of.eq(Mux(step.op == Op.FETCH, number, step.value)),
            self.message.eq(Message(step.value[:5])),
            self.new_rate.eq(step.value[5:]),
            guard.tick.eq(self.tick),
            self.locked_out.eq(guard.locked_out),
            self.locked.eq(guard.locked),
        ]

        with m.If(ready):
            m.d.comb += advance.eq(1)
            with m.Switch(step.op):
                with m.Case(Op.IDLE):
                    m.d.comb += advance.eq(request)
                    m.d.sync += self.busy.eq(request)
                with m.Case(Op.COMPARE):
                    m.d.comb += result.eq((differs[4:] == 0) & (step.coarse | (differs[:4] == 0)))
                with m.Case(Op.LOCKED):
                    m.d.comb += result.eq(guard.locked)
                with m.Case(Op.UNADDRESSED):
                    m.d.comb += result.eq(head.wildcard & ~self.valid)
                with m.Case(Op.SEAL):
                    m.d.comb += [
                        begins.eq(~begun),
                        self.seal.eq(begins),
                        advance.eq(self.seal_done | self.seal_refused),
                        result.eq(self.seal_done),
                    ]
                with m.Case(Op.ANSWER):
                    # Another frame already, or too late: whoever asked no longer waits.
                    gone = self.spoiled | (self.quiet_ms >= TOO_LATE_MS)
                    m.d.comb += [
                        begins.eq(~begun & ~gone & (self.quiet_ms >= TD_MS)),
                        self.send.eq(begins),
                        advance.eq(Mux(begun, self.sent, gone)),
                        self.changes_rate.eq(begun & (self.message == Message.ANSWER_RATE)),
                    ]
                with m.Default():
                    m.d.comb += [self.start.eq(1), advance.eq(self.done), result.eq(self.right)]
        checked = self.start & self.done & (step.op == Op.CHECK)
        m.d.comb += [
            guard.right.eq(checked & self.right),
            guard.wrong.eq(checked & ~self.right & ~self.spoiled),
            self.provisioned.eq(self.start & self.done & self.right & (step.op == Op.UPDATE)),
        ]
        m.d.sync += [begun.eq((begun | begins) & ~advance), settled.eq(Mux(advance, 0, Cat(1, settled)))]
        with m.If(advance):
            m.d.sync += address.eq(step.next | result | Mux(idle, head.control[:5], 0))
        with m.If(~self.busy):
            m.d.sync += self.spoiled.eq(0)
        with m.Elif(self.begun):
            m.d.sync += self.spoiled.eq(1)
        return m
