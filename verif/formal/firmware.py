"""Theorems about the firmware: what it writes to flash, what leaves the log, what it never discloses.

Each is proved for every path of the program that the processor runs, from any state that `Chip.invariants`
allow where a path begins to where it ends; that these hold from the reset on is proved with them. The flash
may return anything, any request may come at any time, and the memory may hold anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import z3

from sealboards.boards import BOARDS
from sealchip.core.firmware import identity, log
from sealchip.core.firmware.layout import OLD_PASSWORD, Flash, Memory, Out, Public, Requests, Status
from sealchip.core.firmware.layout import Command as Asked
from sealchip.interface import (
    ENTRY,
    FLASH_IDENTITY_SLOTS,
    FLASH_SECTOR_BYTES,
    IDENTITY,
    PROVISIONING,
    RECORD,
    Flags,
    Kind,
)
from verif.benches.tracing import untraced
from verif.formal.chip import CRC_BYTES, MAC, SECRET, Chip, Claim, Command, Program, in_log, index_of, slot_at
from verif.formal.paths import Refused, State, must
from verif.formal.sby import NotProvedError, Proved
from verif.formal.terms import Label, Value, bits, holds, label

ANYTHING = (
    "any flash, requests of items that there are, events and times; fewer than 2^32 events and power-ups; at "
    "power-up, no entry right behind the blank slot; the flash from 0 on, or from where a board's seal has it"
)
#: Where the seal's part of the flash may begin.
FLASH_BASES = sorted({0, *(board.flash_base for board in BOARDS.values())})
WRITES = Flash.SELECT | Flash.SUMS | Flash.WRITES
ACKED = ENTRY.offsets["acked"]
#: The fields of an entry that describe the event; a record has the same ones.
TOLD = ("boot", "counter", "kind", "state", "loop_mv")


@dataclass(frozen=True)
class FirmwareTheorem:
    """Holds a statement about the firmware, as `formal.theorem.Theorem` holds one about a circuit."""

    state: Callable[[], Claim]
    #: The surroundings for which it is proved.
    parameters: str
    #: The only job that it concerns: if set, nothing else is followed, and no byte is confidential.
    job: str | None = None
    long: bool = False
    #: Stands in place of the cycles of an induction.
    k: str = "all paths"

    @property
    def name(self) -> str:
        return self.state.__name__

    @property
    def file(self) -> str:
        return f"verif/formal/{Path(self.state.__code__.co_filename).name}"

    @property
    def says(self) -> str:
        """Return the statement in words."""
        return " ".join((self.state.__doc__ or "").split())

    @property
    def reached_within(self) -> str:
        """Return where the covers are searched."""
        return "all paths"

    @cached_property
    def claim(self) -> Claim:
        """Return the claim that judges the paths."""
        return self.state()


def firmware_theorem(
    parameters: str, job: str | None = None
) -> Callable[[Callable[[], Claim]], FirmwareTheorem]:
    """Make a `FirmwareTheorem` of a function."""
    return lambda state: FirmwareTheorem(state, parameters, job)


def field(block: list[Value], base: int, name: str) -> z3.BitVecRef:
    """Return a field of the entry at `base` as a number."""
    return bits(*block[base:][ENTRY.slice(name)])


def has(value: Value, flag: int) -> z3.BoolRef:
    """Return whether a byte has that bit."""
    return bits(value) & flag != 0


def with_crc(command: Command) -> tuple[Value, ...]:
    """Return the data that is programmed before its CRC; raise `Refused` if the CRC covers other data."""
    size = len(command.data) - CRC_BYTES
    if command.modes != (WRITES,) * size + (WRITES | Flash.APPENDS,) * CRC_BYTES:
        raise Refused("the CRC is not that of what is programmed")
    return command.data[:size]


def read_is_valid(state: State) -> z3.BoolRef:
    """Return whether the entry that was read last has a correct CRC, and zeros in their places."""
    seen = state.seen
    if seen["of"] != "log" or len(seen["got"]) < ACKED or seen["right of"] != ACKED:
        return z3.BoolVal(val=False)
    return z3.And(bits(seen["right"][0]) != 0, bits(*seen["got"][ENTRY.slice("zeros")]) == 0)


class _FlashIsWrittenWhereItMay(Claim):
    covers = "an entry is programmed", "acked is programmed", "the log is erased", "an identity is programmed"

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        position, before = command.position, chip.before
        match state.seen["job"]:
            case "log.append":
                if len(command.data) != ACKED:
                    raise Refused("an entry is programmed in part")
                must(state, position == slot_at(before[log._HEAD]), "an entry is written at the head")
                chip.met.add("an entry is programmed")
            case "log.acknowledge":
                must(state, position == slot_at(before[log._TAIL]) + ACKED, "the tail is acknowledged")
                if command.data != (0,):
                    raise Refused("acked is not programmed to 0")
                chip.met.add("acked is programmed")
            case "identity.update":
                self._other(chip, state, command)
                if len(command.data) != IDENTITY.size:
                    raise Refused("an identity is programmed in part")
                chip.met.add("an identity is programmed")
            case job:
                raise Refused(f"{job} programs the flash")

    def erases(self, chip: Chip, state: State, command: Command) -> None:
        position, before = command.position, chip.before
        match state.seen["job"]:
            case "identity.update":
                self._other(chip, state, command)
                return
            case "log.append":
                newest, some = before[log._HEAD], z3.BoolVal(val=True)
            case "boot":
                newest, some = state.memory[log._HEAD], has(state.memory[log._SOME], 1)
            case job:
                raise Refused(f"{job} erases the flash")
        other = sector(position) != sector(slot_at(newest))
        must(state, in_log(position), "the log is erased")
        must(state, z3.URem(position, FLASH_SECTOR_BYTES) == 0, "a sector is erased")
        must(state, z3.Implies(some, other), "the newest entry's sector is not")
        chip.met.add("the log is erased")

    def _other(self, chip: Chip, state: State, command: Command) -> None:
        slot = z3.ZeroExt(16, bits(chip.before[identity._SLOT])) << 8
        must(state, command.position == slot ^ FLASH_IDENTITY_SLOTS[1], "the identity in force stays")


@firmware_theorem(ANYTHING)
def flash_is_written_where_it_may() -> Claim:
    """The flash gets only whole commands that it knows, 100 ns or more apart. It is written only after a
    write enable for just that write, and gets no other command then until it reports that it is ready. An
    entry is programmed in the slot at the log's head; of an existing entry only the byte *acked* is
    programmed, to 0. Only a whole sector of the log without the newest entry is erased, or the slot of the
    identity that is not in force.
    """
    return _FlashIsWrittenWhereItMay()


def sector(position: z3.BitVecRef) -> z3.BitVecRef:
    """Return the number of the sector at that position."""
    return z3.UDiv(position, z3.BitVecVal(FLASH_SECTOR_BYTES, position.size()))


class _EventsAreWrittenAndCounted(Claim):
    covers = "an event is taken", "a newer entry is found", "this power-up is counted"

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        if state.seen["job"] != "log.append":
            return
        before, event, data = chip.before, state.seen["event"], with_crc(command)
        must(state, has(state.seen["requests"][0], Requests.EVENT), "an event waits")
        block, written = before[Memory.NEWEST :], list(data)
        unobserved = z3.And(bits(event[0]) == Kind.BOOT, bits(before[log._SOME]) == 1)
        flags = z3.If(unobserved, z3.BitVecVal(Flags.UNOBSERVED, 8), z3.BitVecVal(0, 8))
        flags |= z3.If(bits(event[5]) != 0, z3.BitVecVal(Flags.EXCURSIONS, 8), z3.BitVecVal(0, 8))
        expected = {
            "boot": field(block, 0, "boot"),
            "counter": field(block, 0, "counter") + 1,
            "kind": bits(event[0]),
            "state": bits(event[1]),
            "loop_mv": bits(*event[2:4]),
            "flags": z3.Concat(bits(event[5]), flags),
            "baseline_mv": bits(*event[6:8]),
            "stamp": bits(*before[Memory.UPTIME : Memory.UPTIME + 4]),
            "zeros": z3.BitVecVal(0, 32),
        }
        for name, value in expected.items():
            must(state, field(written, 0, name) == value, f"{name} is written")
        if state.seen["appended"]:
            raise Refused("an event is written twice")
        state.seen["appended"] = True

    def says(self, chip: Chip, state: State, port: Out, value: Value) -> None:
        if port != Out.EVENT:
            return
        seen = state.seen
        if not seen["appended"] or seen["busy"] or seen["told"]:
            raise Refused("an event is taken that does not stand in the flash")
        seen["told"] = True
        chip.met.add("an event is taken")

    def ends(self, chip: Chip, state: State, name: str) -> None:
        seen, origin = state.seen, chip.origin
        before, after = chip.before[Memory.NEWEST :], state.memory[Memory.NEWEST :]
        boot, counter = ((field(before, 0, it), field(after, 0, it)) for it in ("boot", "counter"))
        if seen["appended"] != (seen["job"] == "log.append") or seen["told"] != seen["appended"]:
            raise Refused("an event is written and not taken")
        match origin, name:
            case "boot", _:
                must(state, z3.And(boot[1] == 0, counter[1] == 0), "there is no entry yet")
            case "scan", _:
                read = field(list(seen["got"]), 0, "counter")
                newer = z3.And(read_is_valid(state), z3.UGT(read, counter[0]))
                taken = field(list(seen["got"]), 0, "boot"), read
                for n, (old, new) in enumerate((boot, counter)):
                    must(state, new == z3.If(newer, taken[n], old), "the newest entry is kept")
                chip.met.add("a newer entry is found")
            case _:
                one = int((origin, name) == ("walk", "main"))
                must(state, boot[1] == boot[0] + one, "a power-up is counted once")
                must(state, counter[1] == counter[0] + int(seen["appended"]), "an event is counted once")
                if one:
                    chip.met.add("this power-up is counted")


@firmware_theorem(ANYTHING)
def events_are_written_and_counted() -> Claim:
    """An event is taken only after the flash has finished writing it: its kind, state, voltages and
    excursions, the seconds since power-up, the boot count of this power-up, and an event counter that is one
    more than that of the event before. At power-up the counter is not less than that of any valid entry in
    the flash, and the boot count is one more than the newest entry's.
    """
    return _EventsAreWrittenAndCounted()


class _AcknowledgedOnlyOnCommand(Claim):
    covers = "an entry is acknowledged", "a torn entry is passed", "entries are given up"

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        seen = state.seen
        if seen["job"] != "log.acknowledge":
            return
        must(state, has(seen["requests"][0], Requests.ACKNOWLEDGE), "it is to be acknowledged")
        must(state, command.position == slot_at(seen["oldest"][0]) + ACKED, "it is what was found")
        seen["marked"] = True
        chip.met.add("an entry is acknowledged")

    def ends(self, chip: Chip, state: State, name: str) -> None:
        if state.seen["job"] == "boot":
            return
        before, after = (memory[log._TAIL] for memory in (chip.before, state.memory))
        stays, next_one = bits(after) == bits(before), index_of(after) == index_of(before) + 1
        match state.seen:
            case {"job": "log.acknowledge", "marked": True}:
                must(state, next_one, "what is acknowledged leaves the queue")
            case {"job": "log.append", "erased": (_, *_) as address}:
                given_up = sector(chip.position(address)) == sector(slot_at(before))
                first = z3.And(sector(slot_at(after)) != sector(slot_at(before)), index_of(after) & 0x3F == 0)
                must(state, z3.If(given_up, first, stays), "only what is erased is given up")
                chip.met.add("entries are given up")
            case {"job": "log.oldest"} if chip.origin == "oldest":
                torn = z3.And(z3.Not(read_is_valid(state)), next_one)
                must(state, z3.Or(stays, torn), "only a torn entry is passed")
                if name == "oldest":
                    chip.met.add("a torn entry is passed")
            case _:
                must(state, stays, "the queue is as it was")


@firmware_theorem(ANYTHING)
def acknowledged_only_on_command() -> Claim:
    """Only the entry of which a record was last made as the oldest is ever marked as acknowledged, on the
    command to acknowledge it. The oldest entry leaves the queue only in this way, or because it is torn, or
    with the sector that the next entry needs.
    """
    return _AcknowledgedOnlyOnCommand()


class _IdentityIsWrittenOnlyOnCommand(Claim):
    covers = ("it is written",)

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        if self._asked(state, command):
            self._compare(chip, state, with_crc(command))
            chip.met.add("it is written")

    def erases(self, chip: Chip, state: State, command: Command) -> None:
        self._asked(state, command)

    def _asked(self, state: State, command: Command) -> bool:
        seen = state.seen
        if seen["job"] != "identity.update":
            must(state, in_log(command.position & ~0x3F), "it is not the identity that is written")
            return False
        must(state, has(seen["requests"][0], Requests.SLAVE), "the slave has a command")
        must(state, bits(seen["command"][0]) == Asked.UPDATE, "it is to write an item")
        if not seen["spoiled"]:
            raise Refused("DATA may be another's")
        must(state, z3.Not(has(seen["spoiled"][0], Status.SPOILED)), "DATA was all there")
        return True

    def _compare(self, chip: Chip, state: State, data: tuple[Value, ...]) -> None:
        before, item = chip.before[Memory.IDENTITY :], bits(state.seen["value"][0]) >> 4
        changed = {
            place: number
            for number, name in PROVISIONING.items()
            for place in range(*IDENTITY.slice(name).indices(IDENTITY.size))
        }
        number = IDENTITY.slice("sequence")
        must(state, bits(*data[number]) == bits(*before[number]) + 1, "it is the next one")
        for place, byte in enumerate(data):
            if label(byte):
                if place not in SECRET:
                    raise Refused("key or password are written elsewhere")
            elif place not in range(number.start, number.stop) and place not in SECRET:
                same = bits(byte) == bits(before[place])
                of_item = item == changed[place] if place in changed else z3.BoolVal(val=False)
                must(state, z3.Or(same, of_item), "the rest stays")


@firmware_theorem(ANYTHING)
def identity_is_written_only_on_command() -> Claim:
    """A slot of the identity is erased or programmed only on the slave's command to update it, and only if
    all DATA of the command was valid until it had been read. What is then written is the identity that was in
    force, with the item replaced and with the next sequence number.
    """
    return _IdentityIsWrittenOnlyOnCommand()


class _KeyAndPasswordAreNeverPublic(Claim):
    covers = "the MAC is published", "the identity is published"

    def publishes(self, chip: Chip, state: State, address: int, value: Value) -> None:
        of_mac = address - Public.RECORD in MAC
        if label(value) > (Label.CIPHER if of_mac else Label.OPEN):
            raise Refused(f"what is {label(value).name} is published at {address:#x}")
        if address - Public.IDENTITY in SECRET:
            raise Refused(f"something is published at {address:#x}, where key or password would be")
        if label(value):
            chip.met.add("the MAC is published")
        if address >= Public.IDENTITY:
            chip.met.add("the identity is published")

    def programs(self, chip: Chip, state: State, command: Command) -> None:
        for place, byte in enumerate(command.data):
            if label(byte) and not (state.seen["job"] == "identity.update" and place in SECRET):
                raise Refused("something confidential is written to the flash")

    def says(self, chip: Chip, state: State, port: Out, value: Value) -> None:
        if label(value):
            raise Refused(f"what is {label(value).name} goes to {port.name}")


@firmware_theorem(ANYTHING)
def key_and_password_are_never_public() -> Claim:
    """No byte of key or password, or of anything computed from them, is published, output, or sent to the
    flash except in its own place of an identity; in the public identity nothing is ever published in their
    places. Of what the cipher has computed for a record, only the MAC is published. (It is therefore visible
    whether there is a key at all, and whether a password was right.)
    """
    return _KeyAndPasswordAreNeverPublic()


class _NoTimeDependsOnTheKey(Claim):
    covers = ("the password is checked",)

    def tells(self, chip: Chip, state: State, label: Label) -> None:
        if chip.part(state.place) != "identity.check":
            raise Refused(f"a jump depends on what is {label.name}")
        chip.met.add("the password is checked")


@firmware_theorem(ANYTHING)
def no_time_depends_on_the_key() -> Claim:
    """The flow of the program never depends on key, password or any number of bytes computed from them,
    except for the answer to the check of the password. Its timing therefore reveals nothing about them.
    """
    return _NoTimeDependsOnTheKey()


class _TheRecordIsOfTheEntry(Claim):
    covers = "the reporter has a record", "the slave has a record", "there is none"

    OF_REPORTER = "log.oldest", "log.acknowledge"
    UNREQUESTED = "boot", "main", "log.append", "calendar.second"

    def publishes(self, chip: Chip, state: State, address: int, value: Value) -> None:
        if address in range(Public.RECORD, Public.RECORD + RECORD.size) and not state.seen["recorded"]:
            raise Refused("a record is written that was not requested")

    def says(self, chip: Chip, state: State, port: Out, value: Value) -> None:
        if port != Out.ANSWER:
            return
        seen = state.seen
        job, found = seen["job"], has(value, 1)
        if job in self.UNREQUESTED or seen["answered"]:
            raise Refused("an answer has no request")
        request = {"log.oldest": Requests.OLDEST, "log.acknowledge": Requests.ACKNOWLEDGE}.get(
            job, Requests.SLAVE
        )
        must(state, has(seen["requests"][0], request), "it was requested")
        must(state, has(value, 2) == z3.BoolVal(val=job not in self.OF_REPORTER), "the requester is answered")
        seen["answered"] = True
        if not seen["recorded"]:
            if job in self.OF_REPORTER:
                must(state, z3.Not(found), "the reporter gets no other record")
            chip.met.add("there is none")
            return
        must(state, found, "a record is reported as found")
        must(state, read_is_valid(state), "it is of a valid entry")
        for name in TOLD:
            of_entry, of_record = seen["got"][ENTRY.slice(name)], seen["record"][RECORD.slice(name)]
            must(state, bits(*of_entry) == bits(*of_record), f"{name} is the entry's")
        chip.met.add(f"the {'reporter' if job in self.OF_REPORTER else 'slave'} has a record")
        if job in self.OF_REPORTER:
            must(state, chip.position(seen["sent of"]) == slot_at(seen["oldest"][0]), "the oldest is read")


@firmware_theorem(ANYTHING)
def the_record_is_of_the_entry() -> Claim:
    """An answer goes to the block that has asked, and only once. A record is written only for a command to
    make one, and from the entry that was read for it, whose CRC is right: its boot count, counter, kind,
    state and voltage. For the reporter that is the oldest entry, and it gets no other.
    """
    return _TheRecordIsOfTheEntry()


class _AcceptedOnlyWithThePassword(Claim):
    covers = "it is accepted", "it is refused"

    def says(self, chip: Chip, state: State, port: Out, value: Value) -> None:
        if port != Out.ANSWER:
            return
        seen, password = state.seen, IDENTITY.slice("password")
        kept = bits(*chip.before[Memory.IDENTITY :][password])
        told = bits(*seen["data"][OLD_PASSWORD:][: IDENTITY["password"].width])
        there = z3.Not(has(seen["spoiled"][0], Status.SPOILED))
        accepted = has(value, 1)
        must(state, accepted == z3.And(kept == told, there), "it is right, and all there")
        for cover, so in zip(self.covers, (accepted, z3.Not(accepted)), strict=True):
            if holds(state.given, z3.Not(so)) is not None:
                chip.met.add(cover)


@firmware_theorem("any request, identity and memory", "identity.check")
def accepted_only_with_the_password() -> Claim:
    """A password is accepted exactly when each of its bytes in the request's DATA equals that of the
    identity, and DATA was valid until all of them had been read.
    """
    return _AcceptedOnlyWithThePassword()


class _EveryJobEnds(Claim):
    covers = tuple(f"{name} goes on" for name in Chip.LOOPS)

    def ends(self, chip: Chip, state: State, name: str) -> None:
        if chip.origin not in Chip.LOOPS:
            return
        if name == chip.origin:
            before, after = (self._left(name, memory) for memory in (chip.before, state.memory))
            must(state, z3.UGT(before, after), "there are fewer slots to come")
            chip.met.add(f"{name} goes on")
            return
        order = [*Chip.LOOPS, "main"]
        if order.index(name) < order.index(chip.origin):
            raise Refused(f"{name} begins again")

    def _left(self, name: str, memory: list[Value]) -> z3.BitVecRef:
        """Return the most slots that are still to come in a loop."""
        head, tail, slot = (index_of(memory[place]) for place in (log._HEAD, log._TAIL, log._SLOT))
        match name:
            case "scan" | "search":
                return ~slot
            case "oldest":
                return head - tail
            case _:
                return slot - head


@firmware_theorem(ANYTHING)
def every_job_ends() -> Claim:
    """Each time that a loop over the log's slots opens a slot, fewer slots are left, and none of the loops
    begins again before the next job. Power-up and every job therefore end, whatever the flash holds, as long
    as it becomes ready.
    """
    return _EveryJobEnds()


FIRMWARE_THEOREMS = [it for it in list(globals().values()) if isinstance(it, FirmwareTheorem)]


@cache
def followed(job: str | None, flash_base: int) -> tuple[Chip, float]:
    """Follow the chip's firmware on all its paths, or on those of one job, with all claims about that; return
    the rules with what they found, and the seconds it took.
    """
    claims = [it.claim for it in FIRMWARE_THEOREMS if it.job == job]
    program, begin = Program.of_chip(flash_base), time.process_time()
    chip = Chip(program, claims) if job is None else Chip(program, claims, jobs=[job], secret=())
    try:
        with untraced():
            chip.follow(*([] if job is None else ["main"]))
    except Refused as refused:
        raise NotProvedError(_explained(refused)) from refused
    return chip, time.process_time() - begin


def check(theorem: FirmwareTheorem) -> Proved:
    """Prove `theorem`, reach its covers, and reach each instruction, because none may be dead.

    Raises `NotProvedError` that states what does not hold, and where.
    """
    seconds = sum(_check(theorem, flash_base) for flash_base in FLASH_BASES)
    return Proved(theorem.k, len(theorem.claim.covers), seconds)


def _check(theorem: FirmwareTheorem, flash_base: int) -> float:
    chip, seconds = followed(theorem.job, flash_base)
    if theorem.claim in chip.refused:
        raise NotProvedError(_explained(chip.refused[theorem.claim]))
    unmet = [cover for cover in theorem.claim.covers if cover not in chip.met]
    if unmet or not theorem.claim.covers:
        raise NotProvedError(f"{theorem.name}: not met: {unmet or 'it has no covers'}")
    dead = [place for place in range(len(chip.program.steps)) if place not in chip.reached]
    if dead and theorem.job is None:
        raise NotProvedError(f"no path comes to {dead}")
    return seconds


def _explained(refused: Refused) -> str:
    return "; ".join([str(refused), *getattr(refused, "__notes__", ())])
