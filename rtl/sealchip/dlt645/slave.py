"""The seal as a DL/T 645-2007 slave: reads, challenge, clock, rate, and writes with password."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..core.firmware.layout import Command
from ..interface import Function
from ..signatures import CoreCommand, CoreStatus, FrameIn, LoopCommand, RateChange, SendResult, Turn
from .messages import Message, Send
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

    What is done is a program in block RAM (`requests.py`). A step takes 3 cycles, so all that a request asks
    for is known before the next character. An iCE40 reads block RAM as zero for about 3 µs after
    configuration: that is *idle*.

    *Timing:* the answer starts when the line has been quiet for `TD_MS` after the request, and when all that
    was asked for is done. When that takes until `TOO_LATE_MS` there is none: the master has stopped waiting,
    and the bus may be in another's use.

    Members
    -------
    status : of the core; nothing is answered before the log is restored.
    frame : frames.
    quiet_ms : for how long the bus has been quiet.
    position, content : a byte of the request's DATA, one cycle later; `position` is 0 while none is wanted.
    core : commands to the core; while one is under way, the byte of DATA is the one that the core asks for.
    loop : commands to the loop monitor.
    locked : writes with password are refused, see `PasswordGuard`.
    rate : the rate that 17H asks for; it comes into force with the end of the answer.
    turn : no request is taken while the reporter sends.
    send : what to send.
    sent : how its frame has ended.

    Guarantees: `verif/blocks/test_slave.py`; the whole in `verif/chip/test_provisioning.py`,
    `verif/chip/test_chip_slave.py::test_reads`, `test_silence`,
    `verif/chip/test_chip_signing.py::test_challenge`;
    proofs: `verif/formal/slave.py::answers_only_what_is_meant`,
    `verif/formal/slave.py::written_only_with_the_password`.
    """

    status: In(CoreStatus)
    frame: In(FrameIn)
    quiet_ms: In(10)
    position: Out(6)
    content: In(8)
    core: Out(CoreCommand)
    loop: Out(LoopCommand)
    locked: Out(1)
    rate: Out(RateChange)
    turn: In(Turn)
    send: Out(Send)
    sent: In(SendResult)

    def elaborate(self, platform):
        m = Module()
        head, core, loop, busy = self.frame.head, self.core, self.loop, self.turn.answering
        valid, message, sent = self.status.identity_valid, self.send.message, Signal()
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
        begun = Signal()  # what the step asks for only once is under way
        request, begins = Signal(), Signal()
        number = Cat((self.content ^ step.value)[:6], step.has_older)

        to_us = head.to_seal & (valid | head.wildcard)
        is_time = head.broadcast & (head.control[:5] == Function.BROADCAST_TIME)
        operand = Mux(step.of_length, head.length, self.content)
        differs = operand ^ step.value
        idle = step.op == Op.IDLE
        # What is received while the reporter sends is not a request.
        takes = self.frame.valid & ~self.turn.reporting & self.status.log_ready & ~busy
        # DATA is the core's while it is at work, but a record's number is the byte that the step asks for.
        asks = core.start & (core.command != Command.FETCH)
        m.d.comb += [
            sent.eq(self.sent.done | self.sent.broken),
            request.eq(takes & (head.control[5:] == 0) & (to_us | is_time)),
            steps.addr.eq(address),
            step.eq(steps.data),
            self.position.eq(step.position | Mux(asks, core.position, 0)),
            core.content.eq(self.content),
            # The number of a command is that of its step without the top bit, see `Op`.
            core.command.eq(step.op.as_value()[:3]),
            core.value.eq(Mux(step.op == Op.FETCH, number, step.value)),
            message.eq(Message(step.value[:5])),
            self.rate.number.eq(step.value[5:]),
            guard.tick.eq(core.lock_tick),
            loop.locked_out.eq(guard.locked_out),
            self.locked.eq(guard.locked),
        ]

        with m.If(ready):
            m.d.comb += advance.eq(1)
            with m.Switch(step.op):
                with m.Case(Op.IDLE):
                    m.d.comb += advance.eq(request)
                    m.d.sync += busy.eq(request)
                with m.Case(Op.COMPARE):
                    m.d.comb += result.eq((differs[4:] == 0) & (step.coarse | (differs[:4] == 0)))
                with m.Case(Op.LOCKED):
                    m.d.comb += result.eq(guard.locked)
                with m.Case(Op.UNADDRESSED):
                    m.d.comb += result.eq(head.wildcard & ~valid)
                with m.Case(Op.SEAL):
                    m.d.comb += [
                        begins.eq(~begun),
                        loop.seal.eq(begins),
                        advance.eq(loop.seal_done | loop.seal_refused),
                        result.eq(loop.seal_done),
                    ]
                with m.Case(Op.ANSWER):
                    # Another frame has begun, or it is too late: the master no longer waits.
                    gone = core.spoiled | (self.quiet_ms >= TOO_LATE_MS)
                    m.d.comb += [
                        begins.eq(~begun & ~gone & (self.quiet_ms >= TD_MS)),
                        self.send.start.eq(begins),
                        advance.eq(Mux(begun, sent, gone)),
                        self.rate.take.eq(begun & (message == Message.ANSWER_RATE) & self.sent.done),
                    ]
                with m.Default():
                    m.d.comb += [core.start.eq(1), advance.eq(core.done), result.eq(core.right)]
        checked = core.start & core.done & (step.op == Op.CHECK)
        m.d.comb += [
            guard.right.eq(checked & core.right),
            guard.wrong.eq(checked & ~core.right & ~core.spoiled),
            loop.provisioned.eq(core.start & core.done & core.right & (step.op == Op.UPDATE)),
        ]
        m.d.sync += [begun.eq((begun | begins) & ~advance), settled.eq(Mux(advance, 0, Cat(1, settled)))]
        with m.If(advance):
            m.d.sync += address.eq(step.next | result | Mux(idle, head.control[:5], 0))
        with m.If(~busy):
            m.d.sync += core.spoiled.eq(0)
        with m.Elif(self.frame.begun):
            m.d.sync += core.spoiled.eq(1)
        return m
