"""What the processor does next: the loop that everything begins from and comes back to.

A command of reporter or slave goes before an event, for they wait with a frame; a second goes before both,
for it takes no time. What has begun goes on to its end, so nothing is done in the middle of another thing.
"""

from ..assembler import at, imm, port
from .layout import Command, In, Memory, Out, Requests

__all__ = ["REPORTER", "SERVED", "SLAVE", "STATUS", "boot", "emit", "set_status", "set_status_bit"]

#: What was said last at `Out.STATUS`.
STATUS = Memory.OF_MAIN
#: Who asked for what is being done.
SERVED = Memory.OF_MAIN + 1
REPORTER, SLAVE = 0, 1

#: Where the commands of the slave are done.
_COMMANDS = {
    Command.FETCH: "log.nth",
    Command.CHECK: "identity.check",
    Command.UPDATE: "identity.update",
    Command.CHALLENGE: "challenge",
    Command.CLOCK: "calendar.set",
}


def boot(a):
    """A reset leaves the memory as it was; the outputs say nothing yet."""
    a.copy(imm(0), at(STATUS))


def set_status_bit(a, bit):
    """Say that `fact` is so; A does not last."""
    a.load(at(STATUS))
    a.and_(imm(~bit))
    a.xor(imm(bit))
    _write_status(a)


def set_status(a, bits):
    """Say that of `facts` those are so that A has, no others; A does not last."""
    a.xor(at(STATUS))
    a.and_(imm(bits))
    a.xor(at(STATUS))
    _write_status(a)


def _write_status(a):
    a.store(at(STATUS))
    a.out(Out.STATUS)


def emit(a):
    """The loop at *main*, and *answer*: who was served hears A, 1 found or accepted and 0 not; *accepted* and
    *refused* say which.
    """
    _wait(a)
    _serve(a)
    _answer(a)


def _wait(a):
    a.label("main")
    a.copy(imm(REPORTER), at(SERVED))
    for wanted, there in (
        (Requests.SECOND, "calendar.second"),
        (Requests.ACKNOWLEDGE, "log.acknowledge"),
        (Requests.OLDEST, "log.oldest"),
        (Requests.SLAVE, "slave"),
        (Requests.EVENT, "log.append"),
    ):
        a.load(port(In.REQUESTS))
        a.and_(imm(wanted))
        a.if_not_zero(there)
    a.jump("main")


def _serve(a):
    a.label("slave")
    a.copy(imm(SLAVE), at(SERVED))
    a.load(port(In.COMMAND))
    *others, last = _COMMANDS.values()
    for there in others:
        a.if_zero(there)
        a.subtract(imm(1))
    a.jump(last)


def _answer(a):
    a.label("accepted")
    a.load(imm(1))
    a.jump("answer")
    a.label("refused")
    a.load(imm(0))
    a.label("answer")
    for _ in range(2):
        a.add(at(SERVED))
    a.out(Out.ANSWER)
    a.jump("main")
