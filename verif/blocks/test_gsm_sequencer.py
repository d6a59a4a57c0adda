"""The sequencer does in each cycle what another player of the same script does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import accumulate, cycle
from types import SimpleNamespace

from amaranth.hdl import Cat

from sealchip.gsm.script import ATTEMPTS, FAILED, SCRIPT, Digit, Flag, Order, Token, Unless
from sealchip.gsm.sequencer import GsmSequencer
from verif.benches.block import Bench

BENCH = Bench(GsmSequencer)
#: So many cycles pass from the end of a word until the next one does anything.
FETCH = 2
#: The number begins at the first word from which on characters are hex digits.
NUMBER = next(n for n, word in enumerate(SCRIPT) if word == 0xC000 | Order.MARK << 12 | Flag.HEX)
HEX_DIGITS = b"0123456789ABCDEF"


@dataclass
class Player:
    """The reference plays the script as `sealchip.gsm.script` states that it is to be played."""

    place: int = 0
    attempt: int = 0
    hexadecimal: bool = False
    #: These count cycles until the word acts, and the seconds and characters of its act so far.
    fetch: int = FETCH
    seconds: int = 0
    sent: int = 0

    @property
    def word(self):
        return SCRIPT[self.place]

    @property
    def order(self):
        """Return the order of the word, or None where it is a character."""
        return Order(self.word >> 12 & 3) if self.word >= 0xC000 else None

    @property
    def address(self):
        """Return (whether in the identity, address) of the byte that the word needs, else None."""
        leaves_out = self.order is Order.GO and self.word & 1 << 11
        if self.order is Order.DATA or leaves_out:
            return self.word >> 7 & 1, self.word & 0x7F
        return (0, 0) if self.order is Order.GO and self.word & 1 << 8 else None

    def play(self, given):
        """Play one cycle with the inputs `given`; return the character offered, if any, and the strobes."""
        if self.fetch:
            self.fetch -= 1
            return None, 0
        if self.order in (None, Order.DATA):
            return self._send(given), 0
        if self.order is Order.MARK:
            return None, self._mark(given)
        return None, self._go(given) if self.order is Order.GO else self._wait(given)

    def _next(self, place):
        self.place, self.fetch, self.seconds, self.sent = place, FETCH, 0, 0

    def _byte(self, given):
        return given.identity if self.word & 1 << 7 else given.byte

    def _send(self, given):
        characters = self.word
        if self.order is Order.DATA:
            which, byte = Digit(self.word >> 8 & 3), self._byte(given)
            if which is Digit.PHONE and not byte & 0x10:
                return self._next(self.place + 1)
            digit = {Digit.HIGH: byte >> 4, Digit.LOST: given.lost}.get(which, byte & 0xF)
            characters = ord("0") | digit
        whole = 4 if self.hexadecimal else 1
        character = HEX_DIGITS[characters >> 4 * (3 - self.sent) & 0xF] if whole == 4 else characters
        if given.ready:
            self.sent += 1
            if self.sent == whole:
                self._next(self.place + 1)
        return character

    def _go(self, given):
        target = self.word & 0xFF
        if self.word & 1 << 11:
            byte = self._byte(given)
            leaves_out = {
                Unless.PHONE: byte & 0x20,
                Unless.DIGIT: byte & 0x10,
                Unless.TIME: byte & 0x80,
                Unless.LOST: given.lost,
            }[self.word >> 8 & 3]
            target = self.place + (2 if leaves_out else 1)
        elif self.word & 1 << 8:
            target += given.byte & 0xF
        self._next(target)
        return 0

    def _wait(self, given):
        wanted = self.word >> 8 & 7
        over = self.seconds == self.word & 0x7F
        self.seconds += given.tick
        is_error = given.token == Token.ERROR
        if wanted == Token.NONE:
            if over:
                self._next(self.place + 1)
        elif given.token == wanted or (is_error and self.word & 1 << 11):
            self._next(self.place + 1)
        elif over or is_error:
            self._next(FAILED + 2 * self.attempt)
            self.attempt = (self.attempt + 1) % ATTEMPTS
        return 0

    def _mark(self, given):
        flags, was_hexadecimal = self.word, self.hexadecimal
        self.hexadecimal = bool(flags & Flag.HEX)
        # The event settles before its first character.
        start = self.hexadecimal and not was_hexadecimal
        done, gave_up = bool(flags & Flag.DONE), bool(flags & Flag.GIVE_UP)
        if done or (start and given.renewed):
            self.attempt = 0
        waits = (
            not given.waiting if flags & Flag.AWAIT else start or given.busy if flags & Flag.HEX else False
        )
        if not waits:
            self._next(self.place + 1)
        return start | done << 1 | gave_up << 2


class Surroundings:
    """The surroundings draw a player's inputs: answers that bring it on, but for some events hardly one."""

    def __init__(self, seed):
        self._draw = random.Random(seed)
        #: These shares of the waits are answered, before the number is sent and after it, event by event.
        self._shares, self._answers = cycle([(1.0, 1.0), (0.1, 1.0), (0.95, 0.4)]), None
        self._word, self._answered = None, True

    def inputs(self, player):
        chance = self._draw.random
        if player.place != self._word:
            self._answers = self._answers if player.place else next(self._shares)
            self._word, self._answered = player.place, chance() < self._answers[player.place > NUMBER]
        token, wanted = Token.NONE, player.word >> 8 & 7
        if player.order is Order.WAIT and chance() < 0.4:
            answer = wanted if chance() < 0.95 else Token.ERROR
            others = [it for it in Token if it not in (wanted, Token.ERROR)]
            token = answer if self._answered else self._draw.choice(others)
        return SimpleNamespace(
            token=token,
            tick=chance() < (0.05 if self._answered and wanted else 0.8),
            ready=chance() < 0.8,
            # This is mostly a phone's number.
            identity=self._draw.getrandbits(8) if chance() < 0.2 else 0x30 + self._draw.randrange(10),
            byte=self._draw.getrandbits(8),
            waiting=chance() < 0.3,
            busy=chance() < 0.3,
            renewed=chance() < 0.3,
            lost=self._draw.choice([0, self._draw.randrange(8)]),
        )


def test_sequencer_like_the_reference():
    """Every character, strobe and wait agrees, for events that are sent and events that are given up."""
    dut, player, surroundings = BENCH.dut, Player(), Surroundings(1)
    event = dut.event
    inputs = {
        "token": dut.token,
        "tick": dut.tick_s,
        "ready": dut.o.ready,
        "identity": dut.identity_byte,
        "byte": event.byte,
        "waiting": event.waiting,
        "busy": event.busy,
        "renewed": event.renewed,
        "lost": event.lost,
    }
    lowest = dict(zip(inputs, accumulate(map(len, inputs.values()), initial=0), strict=False))
    ends = {"done": 0, "gave_up": 0}
    outputs = Cat(dut.o.valid, event.start, event.done, event.gave_up, event.hold, dut.o.payload)

    async def testbench(ctx):
        for number in range(20_000):
            given = surroundings.inputs(player)
            ctx.set(Cat(*inputs.values()), sum(value << lowest[name] for name, value in vars(given).items()))
            place, held, address = player.place, player.hexadecimal, player.address
            assert ctx.get(dut.identity_reading) == (player.fetch == 1), "it reads a cycle before the byte"
            # The byte comes a cycle later.
            if address is not None and player.fetch < 2:
                assert ctx.get((event.address, dut.identity_address)[address[0]]) == address[1]
            character, strobes = player.play(given)
            seen = ctx.get(outputs)
            expected = (character is not None) | strobes << 1 | held << 4
            assert seen & 0x1F == expected, (number, place)
            if character is not None:
                assert seen >> 5 == character, (number, place)
            ends["done"] += strobes >> 1 & 1
            ends["gave_up"] += strobes >> 2
            await ctx.tick()

    BENCH.run(testbench)
    assert min(ends.values()) > 1, ends
