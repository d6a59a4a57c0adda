"""Tests of the main loop of the firmware: what it does next, and who receives the result."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealchip.core.assembler import Assembler
from sealchip.core.firmware import main
from sealchip.core.firmware.layout import Command, In, Memory, Out, Requests, StatusOut
from sealchip.core.processor import MEMORY_BYTES
from verif.benches.block import examples
from verif.models.processor import Machine

#: Each job is done at this place, in this order when several are requested.
PLACES = {
    Requests.SECOND: "calendar.second",
    Requests.ACKNOWLEDGE: "log.acknowledge",
    Requests.OLDEST: "log.oldest",
    Requests.SLAVE: "slave's",
    Requests.EVENT: "log.append",
}
COMMANDS = {
    Command.FETCH: "log.nth",
    Command.CHECK: "identity.check",
    Command.UPDATE: "identity.update",
    Command.CHALLENGE: "challenge",
    Command.CLOCK: "calendar.set",
}
#: A requested job begins after at most so many instructions.
STEPS = 40

requests = st.integers(0, sum(Requests)).map(Requests)
status = st.integers(0, sum(StatusOut)).map(StatusOut)


@cache
def program():
    """Assemble the main loop alone; each job ends where it begins."""
    a = Assembler()
    main.boot(a)
    main.emit(a)
    for name in (*PLACES.values(), *COMMANDS.values()):
        a.jump(a.label(name))
    return a.words(), a.places()


class Desk:
    """The desk runs the main loop after a reset, with any requests."""

    def __init__(self):
        words, self.places = program()
        self.machine = Machine(list(words), bytearray(b"\xff" * MEMORY_BYTES), self)
        self.requests, self.command, self.answers = Requests(0), Command.FETCH, []
        self.later = None  # how often nothing is requested before, and what is then

    def read(self, number, x):
        if self.later:
            reads, requests = self.later
            self.requests, self.later = (Requests(0), (reads - 1, requests)) if reads else (requests, None)
        return {In.REQUESTS: self.requests, In.COMMAND: self.command}[number]

    def write(self, number, value):
        assert number == Out.ANSWER
        self.answers.append(value)

    def run(self, begin=None):
        """Return the next job, from a place of the program on; "main" when the loop comes round."""
        if begin is not None:
            self.machine.place = self.places[begin]
        names = {self.places[name]: name for name in ("main", *PLACES.values(), *COMMANDS.values())}
        for _ in range(STEPS):
            self.machine.step()
            if self.machine.place in names:
                return names[self.machine.place]
        return None


def expected(wanted, command):
    """Reference: return the name of the next job."""
    first = next((there for want, there in PLACES.items() if want in wanted), "main")
    return COMMANDS[command] if first == "slave's" else first


def test_a_reset_clears_the_status():
    desk = Desk()
    assert desk.run() == "main"
    assert desk.machine.memory[main.STATUS] == 0
    assert desk.machine.memory.count(0) == 1


@pytest.mark.parametrize("command", Command)
def test_what_is_done_next(command):
    """The order of jobs holds for any set of simultaneous requests."""
    for wanted in range(sum(Requests) + 1):
        desk = Desk()
        desk.requests, desk.command = Requests(wanted), command
        assert desk.run() == "main"
        assert desk.run() == expected(desk.requests, command)


@pytest.mark.parametrize("want", Requests)
@pytest.mark.parametrize("reads", range(1, 6))
def test_what_comes_in_between_is_done(want, reads):
    """A request may come between any two reads of the requests."""
    desk = Desk()
    desk.run()
    desk.later = reads, want
    done = [desk.run(), desk.run()]
    assert done in ([there := expected(want, desk.command), there], ["main", there])


@examples(40)
@given(stories=st.lists(st.tuples(requests, st.sampled_from(Command), st.booleans()), max_size=6))
def test_the_answer_goes_to_the_requester(stories):
    """The slave receives the result only of its own command; then the loop begins anew."""
    desk = Desk()
    desk.run()
    for desk.requests, desk.command, found in stories:
        there = desk.run("main")
        assert there == expected(desk.requests, desk.command)
        if there != "main":
            assert desk.run("accepted" if found else "refused") == "main"
            assert desk.answers.pop() == found + 2 * (there in COMMANDS.values())
        assert not desk.answers


@examples(40)
@given(before=status, bit=st.sampled_from(list(StatusOut)), a=st.integers(0, 255), mask=status)
def test_status_bits_are_put_out(before, bit, a, mask):
    """One status bit is set, or several are set as A has them; the others stay."""
    for emit, given_, after in (
        (main.set_status_bit, bit, before | bit),
        (main.set_status, mask, before & ~mask | a & mask),
    ):
        assembler, written = Assembler(), []
        emit(assembler, given_)
        machine = Machine(assembler.words(), bytearray(MEMORY_BYTES), Desk())
        machine.surroundings.write = lambda number, value, written=written: written.append((number, value))
        machine.memory[Memory.OF_MAIN], machine.a = before, a
        for _ in machine.program:
            machine.step()
        assert written == [(Out.STATUS, after)]
        assert machine.memory[Memory.OF_MAIN] == after
