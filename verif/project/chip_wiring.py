"""Read the blocks of the elaborated chip and the links between them from the chip's assignments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Fragment, Value
from amaranth.lib import wiring

from sealchip.chip import SealChip

__all__ = ["Wiring", "wiring_of"]


@dataclass(frozen=True)
class Wiring:
    """Lists the parts of the elaborated chip and their connections.

    blocks : each block's class, by its name in the chip
    links : the bits that go from one block to another
    pins : the chip's pins, by the block that they belong to
    """

    blocks: dict[str, type]
    links: dict[tuple[str, str], int]
    pins: dict[str, list[str]]


def wiring_of(chip: SealChip) -> Wiring:
    """Follow the chip's own assignments from the inputs of each block to the outputs that drive them."""
    top = Fragment.get(chip, None)
    owners: dict[int, str] = {}
    #: The signals that each signal is assigned from, by identity.
    sources: dict[int, set[int]] = defaultdict(set)
    bits: dict[int, int] = {}
    blocks = {}
    for fragment, name, _ in top.subfragments:
        block = fragment.origins[0]
        if isinstance(block, wiring.Component):
            blocks[str(name)] = type(block)
            owners |= dict.fromkeys(_ports(block, bits), str(name))
        else:
            # A synchroniser: its output is its input.
            sources[id(block.o)] |= {id(block.i)}
    pins = {id(getattr(chip, pin)): pin for pin in chip.signature.members}
    for assignment in _assignments(top):
        read = {id(signal) for signal in assignment.rhs._rhs_signals()}
        for signal in assignment.lhs._lhs_signals():
            sources[id(signal)] |= read
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    of_block: dict[str, list[str]] = defaultdict(list)
    for signal in [*sources]:
        for origin in _origins(signal, sources, {*owners, *pins}):
            ends = owners.get(origin), owners.get(signal)
            if ends[0] and ends[1] and ends[0] != ends[1]:
                found[ends[0], ends[1]].add(origin)
            for end, pin in ((ends[1], pins.get(origin)), (ends[0], pins.get(signal))):
                if end and pin:
                    of_block[end].append(pin)
    links = {ends: sum(bits[signal] for signal in signals) for ends, signals in found.items()}
    return Wiring(blocks, links, {block: sorted(set(names)) for block, names in of_block.items()})


def _ports(block: wiring.Component, bits: dict[int, int]) -> Iterator[int]:
    """Yield the signals of a block's ports, and enter their widths into `bits`."""
    for _, _, port in block.signature.flatten(block):
        for signal in Value.cast(port)._rhs_signals():
            bits[id(signal)] = len(signal)
            yield id(signal)


def _assignments(fragment: Any) -> Iterator[Any]:
    """Yield every assignment of a fragment, also those under conditions."""
    todo = [statement for statements in fragment.statements.values() for statement in statements]
    while todo:
        statement = todo.pop()
        if hasattr(statement, "cases"):
            todo += [inner for case in statement.cases for inner in case[1]]
        elif hasattr(statement, "lhs"):
            yield statement


def _origins(signal: int, sources: dict[int, set[int]], ends: set[int]) -> set[int]:
    """Return the ports and pins that a signal comes from, through signals that are neither."""
    seen: set[int] = set()
    todo = [*sources[signal]]
    while todo:
        source = todo.pop()
        if source not in seen:
            seen.add(source)
            todo += () if source in ends else sources.get(source, ())
    return seen & ends
