"""The simulated chips with their flash files and seal heads, and what can be done to them at the bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from meterseal.domain.image import Identity, read_identity
from meterseal.errors import Failure
from meterseal.sim.chip.blink import BlinkDecoder
from meterseal.sim.chip.bus import END_COUNTERS, BusSim, ByteSeen, LampsSeen
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.head import Head
from sealchip.interface import SEALED_MV

__all__ = ["Emit", "Rig", "Seal", "open_seals"]

#: Writes one trace line: what happened, and its fields.
Emit = Callable[..., None]


class Seal:
    """One chip on the bus; `identity` is None where its flash holds none, and such a chip shows red."""

    def __init__(self, index: int, flash: FlashFile) -> None:
        self.index = index
        self.flash = flash
        self.head = Head.load(flash.path)
        self.blink = BlinkDecoder()
        self.identity: Identity | None
        try:
            self.identity = read_identity(flash.read())
        except Failure:
            self.identity = None

    @property
    def name(self) -> str:
        """Return the seal's address, or its number on this bus where it has none."""
        return self.identity.seal if self.identity else f"#{self.index}"


class Rig:
    """Seals on a bus, all powered on from the start.

    A movement of the seal head is saved to its file before the simulated chip can see it, so a process that
    was killed finds the head where the last acknowledged command left it.
    """

    def __init__(self, bus: BusSim, seals: list[Seal], emit: Emit) -> None:
        self.bus = bus
        self.seals = seals
        self._emit = emit
        for seal in seals:
            bus.attach_flash(seal.index, seal.flash)
            bus.loop(seal.index, seal.head.loop)
            bus.position(seal.index, seal.head.closed)
            bus.power(seal.index, True)

    def find(self, which: object) -> Seal:
        """Return the seal with this number or address; `Failure` where there is none."""
        for seal in self.seals:
            if which in (seal.index, seal.name):
                return seal
        known = ", ".join(seal.name for seal in self.seals)
        raise Failure(f"no seal {which!r} on this bus: there are 0 to {len(self.seals) - 1} ({known})")

    def move(self, seal: Seal, *, closed: bool) -> None:
        """Push the seal head in or pull it out, without bouncing."""
        self._move(seal, closed=closed)
        self.bus.position(seal.index, closed)

    def bounce(self, seal: Seal, *, ms: float, edges: int, closed: bool) -> None:
        """Let the contact bounce for `ms`, at least `edges` times, and end closed or open."""
        self._move(seal, closed=closed)
        self.bus.bounce(seal.index, seconds=ms / 1000, edges=edges, closed=closed)

    def jumper(self, seal: Seal, *, on: bool) -> None:
        """Put a wire across the plates, or remove it."""
        self._change_loop(seal, jumper=on)

    def foreign(self, seal: Seal, millivolts: int | None) -> None:
        """Hold the loop at an external voltage, whatever the chip drives; None ends it."""
        self._change_loop(seal, foreign_mv=millivolts)

    def corrode(self, seal: Seal, millivolts: int | None) -> None:
        """Limit the loop to this voltage while the head is in, like corrosion; None restores the contact."""
        self._change_loop(seal, contact_mv=SEALED_MV if millivolts is None else millivolts)

    def loop_noise(self, seal: Seal, millivolts: int) -> None:
        """Set the noise at the comparator, rms."""
        self._change_loop(seal, noise_mv=millivolts)

    def power(self, seal: Seal, *, on: bool) -> None:
        """Switch one chip's supply on or off."""
        self.bus.power(seal.index, on)
        self._emit("power", seal=seal.name, on=on)

    def noise(self, probability: float, seconds: float) -> None:
        """Disturb the bus for some time."""
        self.bus.noise(probability, seconds)
        self._emit("noise", probability=probability, seconds=seconds)

    def see(self, seen: Sequence[ByteSeen | LampsSeen]) -> None:
        """Follow the lamps."""
        for item in seen:
            if isinstance(item, LampsSeen):
                self.seals[item.source].blink.update(item.at, green=item.green, red=item.red)

    def state(self, seal: Seal) -> dict[str, Any]:
        """Return what can be observed of one chip from outside."""
        chip = self.bus.chip(seal.index)
        return {
            "index": seal.index,
            "seal": seal.name,
            "power": bool(chip.powered),
            "position": "closed" if chip.closed else "open",
            "loop_mv": chip.loop_mv,
            "jumper": seal.head.loop.jumper,
            "foreign_mv": seal.head.loop.foreign_mv,
            "contact_mv": seal.head.loop.contact_mv,
            "noise_mv": seal.head.loop.noise_mv,
            "green": bool(chip.lamps & 1),
            "red": bool(chip.lamps & 2),
            "lamps": seal.blink.shown(self.bus.now),
            "flash": {
                "busy": bool(chip.flash_busy),
                "programs": chip.flash_programs,
                "erases": chip.flash_erases,
                "cut": chip.flash_cut,
            },
        }

    def bus_state(self) -> dict[str, Any]:
        """Return simulated time, disturbances of the bus, and the counters of each host end in use."""
        state = self.bus.state
        ends = []
        for number in range(self.bus.ends):
            end = self.bus.end(number)
            counters = {name: int(getattr(end, name)) for name in END_COUNTERS}
            if any(counters.values()):
                ends.append({"end": number, **counters})
        return {
            "seconds": round(self.bus.now, 6),
            "collided_bits": state.collided_bits,
            "noisy_bits": state.noisy_bits,
            "ends": ends,
        }

    def _change_loop(self, seal: Seal, **changes: Any) -> None:
        loop = replace(seal.head.loop, **changes)
        self._put(seal, replace(seal.head, loop=loop))
        self.bus.loop(seal.index, loop)
        self._emit("loop", seal=seal.name, **changes)

    def _move(self, seal: Seal, *, closed: bool) -> None:
        self._put(seal, replace(seal.head, closed=closed))
        self._emit("position", seal=seal.name, position="closed" if closed else "open")

    def _put(self, seal: Seal, head: Head) -> None:
        head.save(seal.flash.path)
        seal.head = head


def open_seals(paths: list[Path]) -> list[Seal]:
    """Open the seals of these flash files, numbered in this order; after a failure none stays open."""
    seals: list[Seal] = []
    try:
        for path in paths:
            seals.append(Seal(len(seals), FlashFile(path)))
    except BaseException:
        for seal in seals:
            seal.flash.close()
        raise
    return seals
