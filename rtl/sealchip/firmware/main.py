"""What the processor does next: the loop that everything begins from and comes back to.

A command of reporter or slave goes before an event, for they wait with a frame; a second goes before both,
for it takes no time. What has begun goes on to its end, so nothing is done in the middle of another thing.
"""

from ..assembler import at, imm, port
from .layout import Command, In, Memory, Out, Said, Wants

__all__ = ["FACTS", "REPORTER", "SERVED", "SLAVE", "boot", "clear_fact", "emit", "say", "set_fact"]

#: What was said last at `Out.FACTS`.
FACTS = Memory.OF_MAIN
#: Who asked for what is being done.
SERVED = Memory.OF_MAIN + 1
REPORTER, SLAVE = 0, 1
_RESULT = Memory.OF_MAIN + 2

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
    a.copy(imm(0), at(FACTS))


def set_fact(a, fact):
    """Say that `fact` is so; A does not last."""
    say(a, fact, imm(fact))


def clear_fact(a, fact):
    """Say that `fact` is not so; A does not last."""
    say(a, fact, imm(0))


def say(a, facts, operand):
    """Say that of `facts` those are so that `operand` has, no others; A does not last."""
    a.load(at(FACTS))
    a.and_(imm(~facts))
    a.xor(operand)
    a.store(at(FACTS))
    a.out(Out.FACTS)


def emit(a):
    """The loop at *main*, and *answer*: who was served hears A, 1 found or accepted and 0 not; *accepted* and
    *refused* say which.
    """
    _wait(a)
    _serve(a)
    _answer(a)


def _wait(a):
    a.label("main")
    a.load(port(In.WANTS))
    a.and_(imm(Wants.SECOND))
    a.if_zero("no second")
    a.load(port(In.SAYS))
    a.and_(imm(Said.HOLD))
    a.if_zero("calendar.second")
    a.label("no second")
    for wanted, there in (
        (Wants.OLDEST | Wants.ACKNOWLEDGE, "reporter"),
        (Wants.SLAVE, "slave"),
        (Wants.EVENT, "log.append"),
    ):
        a.load(port(In.WANTS))
        a.and_(imm(wanted))
        a.if_not_zero(there)
    a.jump("main")


def _serve(a):
    a.label("reporter")
    a.copy(imm(REPORTER), at(SERVED))
    a.load(port(In.WANTS))
    a.and_(imm(Wants.ACKNOWLEDGE))
    a.if_not_zero("log.acknowledge")
    a.jump("log.oldest")
    a.label("slave")
    a.copy(imm(SLAVE), at(SERVED))
    a.load(port(In.COMMAND))
    for there in _COMMANDS.values():
        a.if_zero(there)
        a.subtract(imm(1))
    a.jump("main")


def _answer(a):
    a.label("accepted")
    a.load(imm(1))
    a.jump("answer")
    a.label("refused")
    a.load(imm(0))
    a.label("answer")
    a.store(at(_RESULT))
    a.load(at(SERVED))
    a.if_zero("answer reporter")
    a.load(at(_RESULT))
    a.out(Out.SLAVE)
    a.jump("main")
    a.label("answer reporter")
    a.load(at(_RESULT))
    a.out(Out.REPORTER)
    a.jump("main")
