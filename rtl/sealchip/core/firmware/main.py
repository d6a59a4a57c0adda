"""The main loop, from which every job begins and to which it returns.

A command of the reporter or the slave goes before an event, because a frame waits for it; a second goes
before both, because it takes hardly any time. A job that has begun runs to its end, so no job ever sees
another one half done.
"""

from ..assembler import at, imm, port
from .layout import Command, In, Memory, Out, Requests

__all__ = ["REPORTER", "SERVED", "SLAVE", "STATUS", "boot", "emit", "set_status", "set_status_bit"]

#: The byte last put out at `Out.STATUS`.
STATUS = Memory.OF_MAIN
#: The requester of the present job.
SERVED = Memory.OF_MAIN + 1
REPORTER, SLAVE = 0, 1
# The answer has it in bit 1, which is made by adding it twice; a record's challenge is masked with it.
assert (REPORTER, SLAVE) == (0, 1)

#: The job of each command of the slave; the loop counts down to it, so the order is that of the numbers.
_COMMANDS = {
    Command.FETCH: "log.nth",
    Command.CHECK: "identity.check",
    Command.UPDATE: "identity.update",
    Command.CHALLENGE: "challenge",
    Command.CLOCK: "calendar.set",
}
assert [*_COMMANDS] == [*range(len(_COMMANDS))]


def boot(a):
    """Clear the status at reset, which leaves the memory as it was but clears the outputs."""
    a.copy(imm(0), at(STATUS))


def set_status_bit(a, bit):
    """Set one bit of the status, `bit`; the others stay. Overwrites A."""
    a.load(at(STATUS))
    a.and_(imm(~bit))
    a.xor(imm(bit))
    _write_status(a)


def set_status(a, bits):
    """Set those of the status `bits` that are set in A, and clear the others of them. Overwrites A.

    The two exclusive ors with a mask between them take the masked bits from A and the rest from memory.
    """
    a.xor(at(STATUS))
    a.and_(imm(bits))
    a.xor(at(STATUS))
    _write_status(a)


def _write_status(a):
    """Keep A as the status and put it out."""
    a.store(at(STATUS))
    a.out(Out.STATUS)


def emit(a):
    """Emit the loop at *main*, and *answer*, which gives A to the requester served: 1 is found or accepted, 0
    is not. *accepted* and *refused* load it first.
    """
    _wait(a)
    _serve(a)
    _answer(a)


def _wait(a):
    """Emit *main*, which looks at the requests one after the other."""
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
    """Emit *slave*, which begins the job of the slave's command."""
    a.label("slave")
    a.copy(imm(SLAVE), at(SERVED))
    a.load(port(In.COMMAND))
    *others, last = _COMMANDS.values()
    for there in others:
        a.if_zero(there)
        a.subtract(imm(1))
    a.jump(last)


def _answer(a):
    """Emit *accepted*, *refused* and *answer*."""
    a.label("accepted")
    a.load(imm(1))
    a.jump("answer")
    a.label("refused")
    a.load(imm(0))
    a.label("answer")
    for _ in range(2):  # twice: bit 1
        a.add(at(SERVED))
    a.out(Out.ANSWER)
    a.jump("main")
