"""The firmware's surroundings, as it may find them, and the state in which each of its jobs begins and ends.

Whatever the flash answers, whatever is asked and whenever, whatever the memory holds that no invariant speaks
of. Bytes of key and password, and what is made of them, have labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import z3

from sealchip.core import firmware
from sealchip.core.firmware import calendar, identity, log, main, record, sm4
from sealchip.core.firmware.layout import (
    UPTIME_BYTES,
    Flash,
    In,
    Memory,
    Out,
    Public,
    Requests,
    Status,
    StatusOut,
)
from sealchip.core.processor import MEMORY_BYTES, Op
from sealchip.interface import (
    ENTRY,
    FLASH_IDENTITY_SLOTS,
    FLASH_LOG_BASE,
    FLASH_LOG_SECTORS,
    FLASH_SECTOR_BYTES,
    FLASH_SLOT_BYTES,
    IDENTITY,
    PROVISIONING,
    RECORD,
)
from verif.formal.paths import Paths, Refused, Rules, State, Step, must, steps
from verif.formal.terms import (
    Label,
    Value,
    add,
    all_of,
    and_,
    any_of,
    bits,
    fresh,
    holds,
    is_zero,
    label,
    not_,
    some,
    truth,
    xor,
)

__all__ = [
    "CRC_BYTES",
    "ERASE",
    "MAC",
    "SECRET",
    "Chip",
    "Claim",
    "Command",
    "Program",
    "in_log",
    "index_of",
    "slot_at",
]

READ, PROGRAM, ERASE, ENABLE, STATUS, WAKE = 0x03, 0x02, 0x20, 0x06, 0x05, 0xAB
COMMANDS = (READ, PROGRAM, ERASE, ENABLE, STATUS, WAKE)
#: Of a request; no more are asked for.
DATA_BYTES = 64
CRC_BYTES = ENTRY["crc"].width
#: Instructions between two selections of the flash: 100 ns, at 48 MHz.
DESELECTED = 3
SECTOR_PAGES = FLASH_SECTOR_BYTES >> 8
LOG_BYTES = FLASH_LOG_SECTORS * FLASH_SECTOR_BYTES

KIND, FLAGS = ENTRY.offsets["kind"], ENTRY.offsets["flags"]
SECRET = [place for name in ("key", "password") for place in range(*IDENTITY.slice(name).indices(0x80))]
MAC = range(*RECORD.slice("mac").indices(RECORD.size))
#: Bit of a slot number that none has: see `firmware/log.py`.
NO_SLOT = ~(0xC0 | (LOG_BYTES >> 8) - 1) & 0xFF


class Program(NamedTuple):
    """The processor's program and its memory after configuration; where its parts begin, by name; where the
    seal's part of the flash begins.
    """

    steps: list[Step]
    memory: bytes
    places: dict[str, int]
    flash_base: int

    @classmethod
    def of_chip(cls, flash_base: int = 0) -> Program:
        """That of the chip."""
        words, memory = firmware.build(flash_base, 2400)
        return cls(steps(words), memory, firmware.assemble(flash_base, 2400).places(), flash_base)


class Command(NamedTuple):
    """What has been sent to the flash since it was selected."""

    #: As of `Chip.position`.
    position: z3.BitVecRef
    data: tuple[Value, ...]
    #: `layout.Flash` of each byte of data.
    modes: tuple[Value, ...]


class Claim:
    """What a theorem says of the firmware: it raises `Refused` where something happens that must not.

    `covers`: what is put into `Chip.met` where something happens that it is about.
    """

    covers: tuple[str, ...] = ()

    def ends(self, chip: Chip, state: State, name: str) -> None:
        """A path has come to the cut `name`."""

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        """The flash programs."""

    def erases(self, chip: Chip, state: State, command: Command) -> None:
        """The flash erases."""

    def says(self, chip: Chip, state: State, port: Out, value: Value) -> None:
        """Something is put out that is not for the flash; 0 where the byte does not matter."""

    def publishes(self, chip: Chip, state: State, address: int, value: Value) -> None:
        """A byte is published."""

    def tells(self, chip: Chip, state: State, label: Label) -> None:
        """A jump depends on something of that label."""


class Chip(Rules):
    """The rules that all theorems about the firmware share; `claims` are what one of them adds.

    *Cuts:* `main`, and each of the log's loops over slots where it opens the next one. `invariants` say what
    is so there; each is proved where a path arrives, and given where the next one begins.

    `jobs`: those that are followed; `secret`: which bytes of the identity are not to be told. Other than all
    only where a theorem needs no more.
    """

    #: Where jobs begin: what is done from there on until `main` belongs to them.
    JOBS = (
        "calendar.second",
        "calendar.set",
        "log.append",
        "log.oldest",
        "log.nth",
        "log.acknowledge",
        "identity.check",
        "identity.update",
        "challenge",
    )
    #: The log's loops, in the order of the program, and the job that each belongs to.
    LOOPS = MappingProxyType(
        {"scan": "boot", "search": "boot", "walk": "boot", "oldest": "log.oldest", "nth": "log.nth"}
    )
    counters = (identity._COUNT,)

    def __init__(
        self,
        program: Program,
        claims: Iterable[Claim] = (),
        *,
        jobs: Collection[str] = JOBS,
        secret: Collection[int] = SECRET,
    ) -> None:
        self.program, self.places = program, program.places
        self.claims = tuple(claims)
        #: What was found against them.
        self.refused: dict[Claim, Refused] = {}
        #: What was met on some path; covers ask for it.
        self.met: set[str] = set()
        self.reached: set[int] = set()
        self.steps = 0
        #: The addresses where at a cut there may be something not to be told: the least that are so.
        self.labels = {
            **{Memory.IDENTITY + n: Label.SECRET for n in secret},
            **{Memory.RECORD + n: Label.CIPHER for n in MAC},
        }
        #: Where the paths begin.
        self.origin = ""
        #: The memory in the state from which the paths go on.
        self.before: list[Value] = []
        self.cuts = {self.places["main"]: "main", **dict(zip(self._opens(), self.LOOPS, strict=True))}
        self._secret = secret
        self._jobs = {self.places[name]: name for name in self.JOBS}
        self.cuts |= {place: name for place, name in self._jobs.items() if name not in jobs}

    def _opens(self) -> Iterator[int]:
        """Where a loop over slots opens the next one."""
        for place, it in enumerate(self.program.steps):
            if it.op == Op.CALL and it.operand == self.places["log.open"]:
                yield place

    def follow(self, *origins: str) -> None:
        """All paths, from reset and from each cut, or from some of them, until no more is found that is not
        to be told.
        """
        wanted = origins or ("boot", *self.LOOPS, "main")
        places = {name: place for place, name in self.cuts.items()} | {"boot": 0}
        begins = {places[name]: name for name in wanted}
        labels = dict[str, dict[int, Label]]()
        while stale := [place for place, name in begins.items() if labels.get(name) != self.labels]:
            labels[begins[stale[0]]] = self.labels.copy()
            self._follow(stale[0], begins[stale[0]])

    def _follow(self, place: int, name: str) -> None:
        state = self._begin(place, name)
        self.origin, self.before = name, state.memory.copy()
        paths = Paths(self.program.steps, self, self.places)
        try:
            paths.follow(state)
        except Refused as refused:
            refused.add_note(f"on a path from {name}")
            raise
        self.reached |= paths.reached
        self.steps += paths.steps

    # States

    @cached_property
    def tables(self) -> dict[int, int]:
        """What is in the memory from the beginning and must stay there."""
        changing = (calendar._LAST + calendar._DAY, Memory.MONTHS + calendar._FEBRUARY)
        return {
            place: self.program.memory[place]
            for part in (sm4, identity, calendar)
            for address, table in part.TABLES.items()
            for place in range(address, address + len(table))
            if place not in changing
        }

    @cached_property
    def constants(self) -> dict[int, int]:
        """And what is so whenever a path is at a cut: the cipher encrypts; behind the uptime are zeros."""
        behind = Memory.UPTIME + UPTIME_BYTES
        return {sm4._MAP: sm4._ENCRYPTION, **dict.fromkeys(range(behind, behind + ENTRY["zeros"].width), 0)}

    def _begin(self, place: int, name: str) -> State:
        """Any state that may be there."""
        known = self.tables if name == "boot" else self.tables | self.constants
        memory = [known.get(n, some(self.labels.get(n, Label.OPEN))) for n in range(MEMORY_BYTES)]
        seen = {
            # The flash: what `Out.FLASH` has said; whether a byte is under way; instructions since it was
            # deselected; from which byte of data on there is a sum.
            "mode": 0,
            "under way": False,
            "high": DESELECTED,
            "sums": None,
            # The flash itself.
            "asleep": name == "boot",
            "enabled": False,
            "busy": False,
            # Bytes sent since it was selected; what it answered to a read, of what and where; what came last.
            "sent": (),
            "modes": (),
            "got": (),
            "of": None,
            "sent of": (),
            "came": (0,),
            # Inputs as they were last; what was said behind the last byte of the request's DATA.
            "requests": (fresh(),),
            "command": (0,),
            "value": (fresh(),),
            "event": (0,) * 8,
            "data": (0,) * DATA_BYTES,
            "spoiled": (),
            # Whether the sum of so many bytes of `got` is right. The record, and the status put out last.
            "right": (0,),
            "right of": 0,
            "record": (0,) * RECORD.size,
            "status": (0,) if name == "boot" else (fresh(),),
            # The slot of the entry that was found last for the reporter.
            "oldest": (fresh(),),
            # What was done: an entry programmed, told, marked; a sector erased; a record made, an answer.
            "appended": False,
            "told": False,
            "marked": False,
            "erased": (),
            "recorded": False,
            "answered": False,
            "job": "boot" if name == "boot" else self.LOOPS.get(name, "main"),
        }
        hidden = some(Label.SECRET)
        state = State(place, memory, hidden, some(Label.SECRET, "truth"), fresh(), seen=seen)
        if name == "boot":
            state.a, state.c, state.x = 0, 0, 0
        so = (it for _, it in self.invariants(name, state) if it != 1)
        state.given = (*self.assumptions(name, state), *so)
        return state

    def assumptions(self, name: str, state: State) -> Iterator[Value]:
        """Fewer than 2^32 events, and power-ups. In the flash at power-up no entry is right behind the blank
        slot: that is in `invariants`, which do not ask for it behind the boot.
        """
        for at, field in ("main", "counter"), ("walk", "boot"):
            if at == name:
                number = ENTRY.slice(field)
                ones = (is_zero(xor(it, 0xFF)) for it in state.memory[Memory.NEWEST :][number])
                yield not_(all_of(ones))

    def invariants(self, name: str, state: State) -> Iterator[tuple[str, Value]]:
        """What is so at a cut, each with what it says. `boot` is before the first instruction."""
        if name == "boot":
            return
        memory, booting = state.memory, state.seen["job"] == "boot"
        head, tail = memory[log._HEAD], memory[log._TAIL]
        for address, byte in self.constants.items():
            yield f"{address:#x} is as always", is_zero(xor(memory[address], byte))
        yield "head is a slot", is_zero(and_(head, NO_SLOT))
        yield "tail is a slot", is_zero(and_(tail, NO_SLOT))
        yield "whether there was an entry is 0 or 1", is_zero(and_(memory[log._SOME], 0xFE))
        yield "the identity's slot is one", is_zero(and_(memory[identity._SLOT], 0xEF))
        status, loaded = state.seen["status"][0], not_(is_zero(memory[log._LOADED]))
        yield "the status is kept", is_zero(xor(status, memory[main.STATUS]))
        yield "the time is told", is_zero(and_(status, StatusOut.COUNTING))
        if name == "main" or not booting:
            yield "the log is restored", not_(is_zero(and_(status, StatusOut.LOG_READY)))
            pending = not_(is_zero(xor(head, tail)))
            said = not_(is_zero(and_(status, StatusOut.PENDING)))
            yield "pending is said", all_of([any_of([not_(said), pending]), any_of([said, not_(pending)])])
        if booting:
            yield "nothing is loaded", not_(loaded)
        else:
            yield "the tail is behind the head", _ordered(tail, head)
            if name != "oldest":
                same = is_zero(xor(state.seen["oldest"][0], tail))
                yield "what is loaded is the tail", any_of([not_(loaded), all_of([same, pending])])
        if name != "main":
            yield "the slot is one", is_zero(and_(memory[log._SLOT], NO_SLOT))
        if name == "scan":
            none = is_zero(memory[log._SOME])
            yield "without an entry the head is the first slot", any_of([not_(none), is_zero(head)])
        if name == "search":
            same = is_zero(and_(xor(memory[log._SLOT], head), SECTOR_PAGES))
            yield "it is the newest entry's sector that is searched", same
        asked = {"oldest": (Requests.OLDEST, main.REPORTER), "nth": (Requests.SLAVE, main.SLAVE)}.get(name)
        if asked is not None:
            request, served = asked
            yield "it was asked for", not_(is_zero(and_(state.seen["requests"][0], request)))
            yield "who has asked is served", is_zero(xor(memory[main.SERVED], served))
        if name in ("walk", "nth"):
            yield "the slot is not the head", not_(is_zero(xor(memory[log._SLOT], head)))
        if name == "oldest":
            yield "the oldest is the tail", is_zero(xor(memory[log._SLOT], tail))
            yield "it is one", not_(is_zero(xor(head, tail)))

    def arrives(self, state: State, name: str) -> None:
        if name in self.JOBS:
            return
        seen = state.seen
        self._ask("ends", state, name)
        for says, it in self.invariants(name, state):
            must(state, truth(it), says)
        for address, value in enumerate(state.memory):
            if label(value) > self.labels.get(address, Label.OPEN):
                self.labels[address] = label(value)
        if label(state.x):
            raise Refused("X is not to be told")
        if seen["mode"] & Flash.SELECT or seen["enabled"] or seen["busy"] or seen["asleep"]:
            raise Refused("the flash is not left alone")
        self.met.add(f"{seen['job']} to {name}")

    def _ask(self, hook: str, state: State, *what: Any) -> None:
        """Every claim judges what happens; one that is refused is asked no more."""
        for claim in self.claims:
            if claim not in self.refused:
                try:
                    getattr(claim, hook)(self, state, *what)
                except Refused as refused:
                    refused.add_note(f"at {self.part(state.place)}, on a path from {self.origin}")
                    self.refused[claim] = refused

    def position(self, address: Sequence[Value]) -> z3.BitVecRef:
        """Where an address of the flash, its upper byte first, is in the seal's part of it; 24 bits."""
        return bits(*reversed(address)) - self.program.flash_base

    def part(self, place: int) -> str:
        """The name before a place in the program."""
        return max((at, name) for name, at in self.places.items() if at <= place and name[0] != "#")[1]

    # What happens

    def step(self, state: State) -> None:
        seen = state.seen
        if seen["high"] < DESELECTED:
            seen["high"] += 1
        job = self._jobs.get(state.place)
        if job is not None and seen["job"] == "main":
            seen["job"] = job
        if state.place == self.places["identity.loaded"]:
            # Whether there is a key may be told.
            state.memory[record._KEYED] = fresh()
        if state.place == self.places["record"]:
            seen["recorded"] = True
            if seen["job"] == "log.oldest":
                seen["oldest"] = (state.memory[log._SLOT],)

    def returns(self, state: State) -> None:
        """The cipher's output is for the authentication code, where it is a message that it was given."""
        call = self.program.steps[state.place - 1]
        if call.operand == self.places["sm4"] and state.seen["job"] in ("log.oldest", "log.nth"):
            state.memory[Memory.STATE : Memory.STATE + 16] = [some(Label.CIPHER)] * 16

    def tells(self, state: State, label: Label) -> None:
        self._ask("tells", state, label)

    def store(self, state: State, address: int, value: Value) -> None:
        if address in self.tables:
            raise Refused(f"the table at {address:#x} is written over")

    def publish(self, state: State, address: int, value: Value) -> None:
        self._ask("publishes", state, address, value)
        if address - Public.RECORD in range(RECORD.size):
            record = list(state.seen["record"])
            record[address - Public.RECORD] = value
            state.seen["record"] = tuple(record)

    # Inputs

    def input(self, state: State, number: int) -> Value:
        seen = state.seen
        if number == In.FLASH:
            seen["under way"] = False
            return seen["came"][0]
        value = fresh()
        match number:
            case In.REQUESTS:
                seen["requests"] = (value,)
            case In.COMMAND:
                seen["command"] = (value,)
            case In.DATA:
                if label(state.x):
                    raise Refused("the request's DATA is asked for by what is not to be told")
                before = self.program.steps[state.place - 1]
                if (before.op, before.operand) == (Op.OUT, Out.X):
                    raise Refused("a byte of DATA is not there yet")
                seen["spoiled"] = ()
                if isinstance(state.x, int):
                    seen["data"] = (*seen["data"][: state.x], value, *seen["data"][state.x + 1 :])
            case In.VALUE:
                value = self._value(state)
            case In.STATUS:
                if seen["under way"]:
                    raise Refused("the sum is asked for while a byte is under way")
                seen["right"] = (and_(value, Status.SUM_RIGHT),) if seen["sums"] == 0 else (0,)
                seen["right of"] = len(seen["got"])
                seen["spoiled"] = (value,)
            case In.EVENT:
                if not isinstance(state.x, int):
                    raise Refused("nobody knows which byte of the event is asked for")
                byte = state.x % len(seen["event"])
                value = 0 if byte == FLAGS - KIND else value
                seen["event"] = (*seen["event"][:byte], value, *seen["event"][byte + 1 :])
        return value

    def _value(self, state: State) -> Value:
        """It holds as long as the command; and the slave asks for items that there are."""
        (value,) = state.seen["value"]
        if state.seen["job"] == "identity.update":
            there = any_of(is_zero(xor(and_(value, 0xF0), item << 4)) for item in PROVISIONING)
            state.given = (*state.given, there)
        return value

    # Outputs

    def out(self, state: State, number: int, value: Value) -> None:
        seen, port = state.seen, Out(number)
        match port:
            case Out.EXCHANGE:
                self._exchange(state, value)
            case Out.FLASH:
                self._select(state, value)
            case Out.SECOND | Out.EVENT | Out.TICK | Out.LOCK_TICK:
                self._ask("says", state, port, 0)
            case _:
                if port == Out.STATUS:
                    seen["status"] = (value,)
                self._ask("says", state, port, value)

    def _select(self, state: State, mode: Value) -> None:
        seen = state.seen
        if not isinstance(mode, int):
            raise Refused("nobody knows how the flash is selected")
        seen["under way"] = False
        if mode & Flash.SELECT and not seen["mode"] & Flash.SELECT:
            if seen["high"] < DESELECTED:
                raise Refused("the flash is selected again too soon")
            seen["sent"] = seen["modes"] = ()
        if seen["mode"] & Flash.SELECT and not mode & Flash.SELECT:
            seen["high"] = 0
            self._execute(state)
        if not mode & Flash.SUMS:
            seen["sums"] = None
        seen["mode"] = mode

    def _exchange(self, state: State, value: Value) -> None:
        seen = state.seen
        if not seen["mode"] & Flash.SELECT:
            raise Refused("a byte is exchanged with nobody")
        sent, first = seen["sent"], (*seen["sent"], value)[0]
        seen["under way"], seen["came"] = True, (fresh(),)
        if first not in COMMANDS:
            raise Refused("nobody knows what the flash is to do")
        if first == STATUS and sent:
            return
        if first == READ and len(sent) == 4:
            self._answer(seen)
            return
        seen["sent"] = (*sent, value)
        if first == PROGRAM and len(sent) >= 4:
            seen["modes"] = (*seen["modes"], seen["mode"])
        elif label(value):
            raise Refused("a command is not to be told")
        elif seen["mode"] & ~Flash.SELECT:
            raise Refused("a command is not sent as it is")
        if first == READ and len(sent) == 3:
            seen["of"], seen["got"], seen["right of"] = self._read(state), (), 0
            seen["sent of"] = seen["sent"][1:4]

    def _answer(self, seen: dict[str, Any]) -> None:
        """A byte of what is read comes."""
        got = seen["got"]
        if seen["mode"] & Flash.SUMS and seen["sums"] is None:
            seen["sums"] = len(got)
        if len(got) >= (IDENTITY.size if seen["of"] == "identity" else FLASH_SLOT_BYTES):
            raise Refused("what is behind a slot is read")
        secret = seen["of"] == "identity" and len(got) in self._secret
        seen["came"] = (some(Label.SECRET if secret else Label.OPEN),)
        seen["got"] = got + seen["came"]

    def _read(self, state: State) -> str:
        """What is read: a slot of identity or log."""
        position = self.position(state.seen["sent"][1:4])
        identity = z3.Or(*(position == slot for slot in FLASH_IDENTITY_SLOTS))
        if holds(state.given, identity) is None:
            return "identity"
        must(state, in_log(position), "what is read is a slot of identity or log")
        return "log"

    def _execute(self, state: State) -> None:
        """The flash is deselected."""
        seen = state.seen
        sent = seen["sent"]
        opcode = sent[0] if sent else None
        if seen["asleep"]:
            if sent != (WAKE,):
                raise Refused("in deep power-down a flash knows only its release")
            seen["asleep"] = False
            return
        if opcode == STATUS:
            if seen["busy"]:
                must(state, truth(is_zero(and_(seen["came"][0], 1))), "the flash is waited for")
                seen["busy"] = False
            return
        if seen["busy"]:
            raise Refused("a busy flash takes no command")
        match opcode:
            case 0x06 if len(sent) == 1:
                seen["enabled"] = True
                return
            case 0x03 if len(sent) == 4 and not seen["enabled"]:
                return
            case 0x02 | 0x20 if seen["enabled"]:
                seen["enabled"], seen["busy"] = False, True
                command = Command(self.position(sent[1:4]), sent[4:], seen["modes"])
                self._ask("programs" if opcode == PROGRAM else "erases", state, command)
                if opcode == ERASE:
                    if len(sent) != 4:
                        raise Refused("an erase has an address and nothing else")
                    seen["erased"] = sent[1:4]
            case _:
                raise Refused("not a command as the flash knows it")


def _ordered(tail: Value, head: Value) -> Value:
    """Not so that the log's tail is in the sector of its head, and before it."""
    page = SECTOR_PAGES - 1
    order = [(and_(it, page), and_(it, 0xC0)) for it in (tail, head)]
    (tail_page, tail_place), (head_page, head_place) = order
    same = is_zero(xor(tail_page, head_page))
    before = all_of([not_(same), _at_most(tail_page, head_page)])
    other = not_(is_zero(and_(xor(tail, head), SECTOR_PAGES)))
    return any_of([other, before, all_of([same, _at_most(tail_place, head_place)])])


def _at_most(a: Value, b: Value) -> Value:
    return add(b, xor(a, 0xFF), 1)[1]


def slot_at(number: Value) -> z3.BitVecRef:
    """Where in the flash the log's slot of that number is."""
    it = z3.ZeroExt(16, bits(number))
    return FLASH_LOG_BASE + ((it & ~0xC0) << 8) + (it & 0xC0)


def index_of(number: Value) -> z3.BitVecRef:
    """How many slots are before it in the ring, 7 bits."""
    return z3.Concat(z3.Extract(4, 0, bits(number)), z3.Extract(7, 6, bits(number)))


def in_log(position: z3.BitVecRef) -> z3.BoolRef:
    """A slot of the log begins there."""
    aligned = z3.URem(position, FLASH_SLOT_BYTES) == 0
    return z3.And(z3.UGE(position, FLASH_LOG_BASE), z3.ULT(position, FLASH_LOG_BASE + LOG_BYTES), aligned)
