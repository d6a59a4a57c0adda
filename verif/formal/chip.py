"""Models the surroundings of the firmware, and the states in which each of its jobs begins and ends.

The flash may answer anything, requests may come at any time, and memory that no invariant covers may hold
anything. Bytes of key and password, and everything computed from them, have labels.
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
#: Bytes of DATA in a request; the firmware reads no more of them.
DATA_BYTES = 64
CRC_BYTES = ENTRY["crc"].width
#: Instructions between two selections of the flash, which make 100 ns at 48 MHz.
DESELECTED = 3
SECTOR_PAGES = FLASH_SECTOR_BYTES >> 8
LOG_BYTES = FLASH_LOG_SECTORS * FLASH_SECTOR_BYTES

KIND, FLAGS = ENTRY.offsets["kind"], ENTRY.offsets["flags"]
SECRET = [place for name in ("key", "password") for place in range(*IDENTITY.slice(name).indices(0x80))]
MAC = range(*RECORD.slice("mac").indices(RECORD.size))
#: Bits that no slot number has: see `firmware/log.py`.
NO_SLOT = ~(0xC0 | (LOG_BYTES >> 8) - 1) & 0xFF


class Program(NamedTuple):
    """Holds the processor's program, its memory after configuration, the address of each part of the program
    by name, and the address at which the seal's part of the flash begins.
    """

    steps: list[Step]
    memory: bytes
    places: dict[str, int]
    flash_base: int

    @classmethod
    def of_chip(cls, flash_base: int = 0) -> Program:
        """Return the program of the chip."""
        words, memory = firmware.build(flash_base, 2400)
        return cls(steps(words), memory, firmware.assemble(flash_base, 2400).places(), flash_base)


class Command(NamedTuple):
    """Holds what has been sent to the flash since it was selected."""

    #: The address as `Chip.position` returns it.
    position: z3.BitVecRef
    data: tuple[Value, ...]
    #: The `layout.Flash` mode in which each byte of data was sent.
    modes: tuple[Value, ...]


class Claim:
    """Judges the firmware for one theorem: it raises `Refused` where something happens that must not.

    `covers` lists what the claim adds to `Chip.met` when an event of its subject happens.
    """

    covers: tuple[str, ...] = ()

    def ends(self, chip: Chip, state: State, name: str) -> None:
        """Judge a path that has reached the cut `name`."""

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        """Judge a command with which the flash programs."""

    def erases(self, chip: Chip, state: State, command: Command) -> None:
        """Judge a command with which the flash erases."""

    def says(self, chip: Chip, state: State, port: Out, value: Value) -> None:
        """Judge an output that is not for the flash; `value` is 0 where the byte does not matter."""

    def publishes(self, chip: Chip, state: State, address: int, value: Value) -> None:
        """Judge a byte that is published."""

    def tells(self, chip: Chip, state: State, label: Label) -> None:
        """Judge a jump that depends on a value of that label."""


class Chip(Rules):
    """Holds the rules that all theorems about the firmware share; each theorem adds its own to `claims`.

    Paths are cut at `main`, and in each of the log's loops over slots where it opens the next slot.
    `invariants` state what holds at a cut; each is proved where a path arrives, and given where the next one
    begins.

    `jobs` are the jobs that are followed, and `secret` the bytes of the identity that are confidential. A
    theorem passes less than all of them only if it needs no more.
    """

    #: Names of the places where jobs begin: a job lasts from there until `main`.
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
        #: The claims that were refused, each with the reason.
        self.refused: dict[Claim, Refused] = {}
        #: What was met on some path, for the covers.
        self.met: set[str] = set()
        self.reached: set[int] = set()
        self.steps = 0
        #: The addresses that may hold something confidential at a cut: the least set that is consistent.
        self.labels = {
            **{Memory.IDENTITY + n: Label.SECRET for n in secret},
            **{Memory.RECORD + n: Label.CIPHER for n in MAC},
        }
        #: Name of the place where the paths begin.
        self.origin = ""
        #: The memory in the state in which the paths begin.
        self.before: list[Value] = []
        self.cuts = {self.places["main"]: "main", **dict(zip(self._opens(), self.LOOPS, strict=True))}
        self._secret = secret
        self._jobs = {self.places[name]: name for name in self.JOBS}
        self.cuts |= {place: name for place, name in self._jobs.items() if name not in jobs}

    def _opens(self) -> Iterator[int]:
        """Yield the places where a loop over slots opens the next one."""
        for place, it in enumerate(self.program.steps):
            if it.op == Op.CALL and it.operand == self.places["log.open"]:
                yield place

    def follow(self, *origins: str) -> None:
        """Follow all paths from reset and from each cut, or from `origins` only, until no more confidential
        addresses are found.
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
        """Return the bytes that are in the memory from the beginning and must stay there, by address."""
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
        """Return the bytes that are fixed at every cut: the cipher encrypts, and zeros follow the uptime."""
        zeros = Memory.UPTIME + UPTIME_BYTES
        return {sm4._MAP: sm4._ENCRYPTION, **dict.fromkeys(range(zeros, zeros + ENTRY["zeros"].width), 0)}

    def _begin(self, place: int, name: str) -> State:
        """Return a state that stands for every state which is possible at that place."""
        known = self.tables if name == "boot" else self.tables | self.constants
        memory = [known.get(n, some(self.labels.get(n, Label.OPEN))) for n in range(MEMORY_BYTES)]
        seen = {
            # The connection to the flash: the last value of `Out.FLASH`, whether a byte is under way, the
            # instructions since the flash was deselected, and the byte of data from which on there is a sum.
            "mode": 0,
            "under way": False,
            "high": DESELECTED,
            "sums": None,
            # The state of the flash itself.
            "asleep": name == "boot",
            "enabled": False,
            "busy": False,
            # Bytes sent since it was selected, what it answered to a read, what was read and where, and the
            # byte that came last.
            "sent": (),
            "modes": (),
            "got": (),
            "of": None,
            "sent of": (),
            "came": (0,),
            # Inputs as last read, and the status that was read after the request's last byte of DATA.
            "requests": (fresh(),),
            "command": (0,),
            "value": (fresh(),),
            "event": (0,) * 8,
            "data": (0,) * DATA_BYTES,
            "spoiled": (),
            # Whether the sum of that many bytes of `got` is right; the record; the last status output.
            "right": (0,),
            "right of": 0,
            "record": (0,) * RECORD.size,
            "status": (0,) if name == "boot" else (fresh(),),
            # The slot of the entry that was found last for the reporter.
            "oldest": (fresh(),),
            # What the job has done: programmed, reported or marked an entry; erased; made a record; answered.
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
        """Yield the assumptions: there are fewer than 2^32 events and power-ups. That at power-up the flash
        has no entry directly after the blank slot is in `invariants`, which do not require it after the boot.
        """
        for at, field in ("main", "counter"), ("walk", "boot"):
            if at == name:
                number = ENTRY.slice(field)
                ones = (is_zero(xor(it, 0xFF)) for it in state.memory[Memory.NEWEST :][number])
                yield not_(all_of(ones))

    def invariants(self, name: str, state: State) -> Iterator[tuple[str, Value]]:
        """Yield what holds at a cut, each in words and as a value. `boot` is before the first instruction."""
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
        yield "the time is being counted", is_zero(and_(status, StatusOut.COUNTING))
        if name == "main" or not booting:
            yield "the log is restored", not_(is_zero(and_(status, StatusOut.LOG_READY)))
            pending = not_(is_zero(xor(head, tail)))
            said = not_(is_zero(and_(status, StatusOut.PENDING)))
            yield "pending is shown", all_of([any_of([not_(said), pending]), any_of([said, not_(pending)])])
        if booting:
            yield "nothing is loaded", not_(loaded)
        else:
            yield "the tail does not pass the head", _ordered(tail, head)
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
            yield "it was requested", not_(is_zero(and_(state.seen["requests"][0], request)))
            yield "the requester is served", is_zero(xor(memory[main.SERVED], served))
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
            raise Refused("X is confidential")
        if seen["mode"] & Flash.SELECT or seen["enabled"] or seen["busy"] or seen["asleep"]:
            raise Refused("the flash is not left alone")
        self.met.add(f"{seen['job']} to {name}")

    def _ask(self, hook: str, state: State, *what: Any) -> None:
        """Let every claim judge what happens, except those that have been refused."""
        for claim in self.claims:
            if claim not in self.refused:
                try:
                    getattr(claim, hook)(self, state, *what)
                except Refused as refused:
                    refused.add_note(f"at {self.part(state.place)}, on a path from {self.origin}")
                    self.refused[claim] = refused

    def position(self, address: Sequence[Value]) -> z3.BitVecRef:
        """Return where an address of the flash, upper byte first, lies in the seal's part of it; 24 bits."""
        return bits(*reversed(address)) - self.program.flash_base

    def part(self, place: int) -> str:
        """Return the last name before a place in the program."""
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
            # Whether there is a key may be disclosed.
            state.memory[record._KEYED] = fresh()
        if state.place == self.places["record"]:
            seen["recorded"] = True
            if seen["job"] == "log.oldest":
                seen["oldest"] = (state.memory[log._SLOT],)

    def returns(self, state: State) -> None:
        """Label the cipher's output as authentication code in the jobs that give it a message."""
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
                    raise Refused("the index into the request's DATA is confidential")
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
                    raise Refused("the sum is read while a byte is under way")
                seen["right"] = (and_(value, Status.SUM_RIGHT),) if seen["sums"] == 0 else (0,)
                seen["right of"] = len(seen["got"])
                seen["spoiled"] = (value,)
            case In.EVENT:
                if not isinstance(state.x, int):
                    raise Refused("the index into the event is not known")
                byte = state.x % len(seen["event"])
                value = 0 if byte == FLAGS - KIND else value
                seen["event"] = (*seen["event"][:byte], value, *seen["event"][byte + 1 :])
        return value

    def _value(self, state: State) -> Value:
        """Return the value, which is constant during a command; the slave requests only items that exist."""
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
            raise Refused("the value for the flash's control port is not known")
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
            raise Refused("a byte is exchanged while the flash is not selected")
        sent, first = seen["sent"], (*seen["sent"], value)[0]
        seen["under way"], seen["came"] = True, (fresh(),)
        if first not in COMMANDS:
            raise Refused("the flash's command is not a known one")
        if first == STATUS and sent:
            return
        if first == READ and len(sent) == 4:
            self._answer(seen)
            return
        seen["sent"] = (*sent, value)
        if first == PROGRAM and len(sent) >= 4:
            seen["modes"] = (*seen["modes"], seen["mode"])
        elif label(value):
            raise Refused("a command depends on something confidential")
        elif seen["mode"] & ~Flash.SELECT:
            raise Refused("a command is not sent as it is")
        if first == READ and len(sent) == 3:
            seen["of"], seen["got"], seen["right of"] = self._read(state), (), 0
            seen["sent of"] = seen["sent"][1:4]

    def _answer(self, seen: dict[str, Any]) -> None:
        """Let the next byte of what is read arrive."""
        got = seen["got"]
        if seen["mode"] & Flash.SUMS and seen["sums"] is None:
            seen["sums"] = len(got)
        if len(got) >= (IDENTITY.size if seen["of"] == "identity" else FLASH_SLOT_BYTES):
            raise Refused("a read goes past the end of a slot")
        secret = seen["of"] == "identity" and len(got) in self._secret
        seen["came"] = (some(Label.SECRET if secret else Label.OPEN),)
        seen["got"] = got + seen["came"]

    def _read(self, state: State) -> str:
        """Return what is read, a slot of *identity* or of the *log*."""
        position = self.position(state.seen["sent"][1:4])
        identity = z3.Or(*(position == slot for slot in FLASH_IDENTITY_SLOTS))
        if holds(state.given, identity) is None:
            return "identity"
        must(state, in_log(position), "what is read is a slot of identity or log")
        return "log"

    def _execute(self, state: State) -> None:
        """Execute the command that the flash has received, because it is deselected."""
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
    """Return whether the log's tail does not follow its head within one sector."""
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
    """Return where in the flash the log's slot of that number is."""
    it = z3.ZeroExt(16, bits(number))
    return FLASH_LOG_BASE + ((it & ~0xC0) << 8) + (it & 0xC0)


def index_of(number: Value) -> z3.BitVecRef:
    """Return how many slots of the ring are before that one; 7 bits."""
    return z3.Concat(z3.Extract(4, 0, bits(number)), z3.Extract(7, 6, bits(number)))


def in_log(position: z3.BitVecRef) -> z3.BoolRef:
    """Return whether a slot of the log begins at that position."""
    aligned = z3.URem(position, FLASH_SLOT_BYTES) == 0
    return z3.And(z3.UGE(position, FLASH_LOG_BASE), z3.ULT(position, FLASH_LOG_BASE + LOG_BYTES), aligned)
