"""Rows of the signer's program: sums of bytes, brought into rows one step of the data path behind the other.

A statement adds (exclusive or) some bytes and keeps the sum at one or more places. A byte is asked for in
one row, goes through the S-box in the next and is added in the third; a sum is kept in the row behind that.
So the rows of a block work on up to four bytes at a time, and nothing but the rows knows of it.
"""

from dataclasses import dataclass, field, replace

from amaranth.lib import data, enum

__all__ = ["GROUPS", "ROTATIONS", "Block", "Byte", "Go", "Mode", "Row", "Source", "Sum", "assemble"]

#: Bits of the sum that a row adds to or leaves, group by group: where shifts across bytes need borders.
GROUPS = (slice(0, 2), slice(2, 5), slice(5, 7), slice(7, 8))
#: Rotations to the left that the data path can do.
ROTATIONS = (0, 2, 5, 7)
#: Rows from asking for a byte to its sum.
_ASKED_TO_KEPT = 3


class Source(enum.Enum, shape=2):
    """Who is asked for a byte."""

    MEMORY = 0
    SECRET = 1
    ENTRY = 2
    CHALLENGE = 3


class Mode(enum.Enum, shape=2):
    """What is added to an address."""

    NOTHING = 0
    #: The turn, to the word within its block of four; from behind when the blocks are reversed.
    WORD = 1
    #: The turn, to the word.
    TURN = 3


class Go(enum.Enum, shape=3):
    """What sets the lowest bit of the next row's address; the last one sets two."""

    ON = 0
    IF_SIGNS = 1
    IF_WOKEN = 2
    IF_LAST_TURN = 3
    IF_LAST_WORD = 4
    IF_THIS_BOOT = 5
    IF_CHALLENGED = 6
    BY_PHASE = 7


class Row(data.Struct):
    """One row of the program."""

    next: 8
    go: Go
    #: The byte that is asked for.
    address: 9
    mode: Mode
    #: Of the byte that was asked for one row before.
    source: Source
    plain: 1
    #: Of the byte that was asked for two rows before; groups of bits.
    rotation: 2
    adds: len(GROUPS)
    clears: 1
    #: Where the sum is kept, in the upper half of the memory; `ages`: taken from the uptime first.
    place: 8
    place_mode: Mode
    keeps: 1
    ages: 1
    #: Next turn; or the first one and the phase in `rotation`.
    step: 1
    enters: 1
    idle: 1
    made: 1


@dataclass(frozen=True)
class Byte:
    """A byte of a sum: rotated to the left, and of that the bits of `groups`."""

    address: int
    mode: Mode = Mode.NOTHING
    source: Source = Source.MEMORY
    sbox: bool = False
    rotation: int = 0
    groups: int = (1 << len(GROUPS)) - 1

    def rotated(self, bits):
        return replace(self, rotation=bits)

    def shifted(self, bits):
        """The byte shifted to the left, or to the right by `-bits`."""
        kept = 0xFF << bits & 0xFF if bits >= 0 else 0xFF >> -bits
        groups = sum((kept >> group.start & 1) << n for n, group in enumerate(GROUPS))
        return replace(self, rotation=bits % 8, groups=groups)


@dataclass(frozen=True)
class Sum:
    """What is kept at each of `places` (address and mode). `ages`: it is taken from a byte of the uptime,
    the one that these low bits of an address ask for.
    """

    places: list
    bytes: list
    ages: int | None = None

    @classmethod
    def of(cls, address, *parts, mode=Mode.NOTHING, ages=None):
        """A sum kept at one place."""
        return cls([(address, mode)], [*parts], ages)


@dataclass
class Block:
    """Statements, then where to go: `targets` by the value that `go` has. `again`: the next turn with it.

    `phase`: entered with the first row, which also begins with the first turn.
    """

    name: str
    statements: list
    targets: list
    go: Go = Go.ON
    again: bool = False
    phase: int | None = None
    flags: dict = field(default_factory=dict)

    def rows(self):
        """The rows, without their addresses."""
        rows, free, written, shown = [], 0, {}, {}

        def at(number, **fields):
            while len(rows) <= number:
                rows.append({})
            clash = rows[number].keys() & fields.keys()
            if any(rows[number][name] != fields[name] for name in clash):
                raise ValueError(f"{self.name}: row {number} cannot do both")
            rows[number].update(fields)

        for statement in self.statements:
            for n, byte in enumerate(statement.bytes):
                asked = max(free, written.get((byte.address, byte.mode), -1) + 1)
                free = asked + 1
                at(asked, address=byte.address, mode=byte.mode)
                at(asked + 1, source=byte.source, plain=int(not byte.sbox))
                rotation = ROTATIONS.index(byte.rotation)
                at(asked + 2, rotation=rotation, adds=byte.groups, clears=int(n == 0))
            kept = asked + _ASKED_TO_KEPT
            if statement.ages is not None:
                at(kept, ages=1)
                shown[kept - 1] = statement.ages
            for place, mode in statement.places:
                at(kept, place=place & 0xFF, place_mode=mode, keeps=1)
                written[place, mode] = kept
                kept += 1
            free = max(free, kept - _ASKED_TO_KEPT)
        for number, index in shown.items():
            if rows[number].setdefault("address", index) % 4 != index:
                raise ValueError(f"{self.name}: row {number} asks for another byte of the uptime")
        if self.phase is not None:
            at(0, enters=1, rotation=self.phase)
        at(max(len(rows) - 1, 0), go=self.go, **({"step": 1} if self.again else {}), **self.flags)
        return rows


def assemble(blocks, depth=256):
    """The program; the first block begins at address 0. Where ways part, their first rows are neighbours."""
    rows = {block.name: block.rows() for block in blocks}
    entries = {blocks[0].name: 0}
    for block in sorted(blocks, key=lambda block: -len(block.targets)):
        ways = block.targets
        if len(ways) > 1:
            base = entries.get(ways[0], 0)
            while ways[0] not in entries and {*range(base, base + len(ways))} & {*entries.values()}:
                base += len(ways)
            if base % len(ways):
                raise ValueError(f"{ways[0]} is behind another branch")
            for n, name in enumerate(ways):
                if name is not None and entries.setdefault(name, base + n) != base + n:
                    raise ValueError(f"{name} is where more than one branch goes")
    free = (address for address in range(depth) if address not in {*entries.values()})
    # What begins nowhere yet is reached by going on.
    for block in blocks:
        if block.name not in entries:
            entries[block.name] = next(free)
    program = {}
    for block in blocks:
        address = entries[block.name]
        for row in rows[block.name][:-1]:
            program[address] = {**row, "next": next(free)}
            address = program[address]["next"]
        program[address] = {**rows[block.name][-1], "next": entries[block.targets[0]]}
    return [program.get(address, {}) for address in range(max(program) + 1)]
