"""The simulated chips with their flash files and seal heads: what a hand at the bench can do to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from meterseal.domain.image import Identity, read_identity
from meterseal.errors import Failure
from meterseal.sim.chip.blink import Eye
from meterseal.sim.chip.bus import END_COUNTERS, ByteSeen, LampsSeen, Pair
from meterseal.sim.chip.flash_file import FlashFile
from meterseal.sim.chip.head import CONTACT_MV, Head

__all__ = ["Rig", "Seal", "Tell", "open_seals"]

#: Called with what happened, and its fields.
Tell = Callable[..., None]


class Seal:
    """One chip on the pair. `identity` is None where its flash holds none: such a chip shows red."""

    def __init__(self, index: int, flash: FlashFile) -> None:
        self.index = index
        self.flash = flash
        self.head = Head.load(flash.path)
        self.eye = Eye()
        self.identity: Identity | None
        try:
            self.identity = read_identity(flash.read())
        except Failure:
            self.identity = None

    @property
    def name(self) -> str:
        """The seal's address, or its number on this pair where it has none."""
        return self.identity.seal if self.identity else f"#{self.index}"


class Rig:
    """Seals on a pair, powered on at once.

    A movement of the seal head is in its file before the simulated chip can see it: a killed process finds
    the head where the last acknowledged command left it.
    """

    def __init__(self, pair: Pair, seals: list[Seal], tell: Tell) -> None:
        self.pair = pair
        self.seals = seals
        self._tell = tell
        for seal in seals:
            pair.attach_flash(seal.index, seal.flash)
            pair.loop(seal.index, seal.head.loop)
            pair.position(seal.index, seal.head.closed)
            pair.power(seal.index, True)

    def find(self, which: object) -> Seal:
        """The seal with this number or address."""
        for seal in self.seals:
            if which in (seal.index, seal.name):
                return seal
        known = ", ".join(seal.name for seal in self.seals)
        raise Failure(f"no seal {which!r} on this pair: there are 0 to {len(self.seals) - 1} ({known})")

    def move(self, seal: Seal, *, closed: bool) -> None:
        """Push the seal head in or pull it, cleanly."""
        self._move(seal, closed=closed)
        self.pair.position(seal.index, closed)

    def bounce(self, seal: Seal, *, ms: float, edges: int, closed: bool) -> None:
        """Let the contact bounce for `ms`, at least `edges` times, and end closed or open."""
        self._move(seal, closed=closed)
        self.pair.bounce(seal.index, seconds=ms / 1000, edges=edges, closed=closed)

    def jumper(self, seal: Seal, *, on: bool) -> None:
        """Put a wire across the plates, or take it away."""
        self._change_loop(seal, jumper=on)

    def foreign(self, seal: Seal, millivolts: int | None) -> None:
        """Hold the loop at a voltage from outside, whatever the chip drives; None ends it."""
        self._change_loop(seal, foreign_mv=millivolts)

    def corrode(self, seal: Seal, millivolts: int | None) -> None:
        """Let the contact carry only this voltage while the head is in; None makes it good again."""
        self._change_loop(seal, contact_mv=CONTACT_MV if millivolts is None else millivolts)

    def loop_noise(self, seal: Seal, millivolts: int) -> None:
        """Noise at the comparator, rms."""
        self._change_loop(seal, noise_mv=millivolts)

    def power(self, seal: Seal, *, on: bool) -> None:
        """Give or take one chip's supply."""
        self.pair.power(seal.index, on)
        self._tell("power", seal=seal.name, on=on)

    def noise(self, probability: float, seconds: float) -> None:
        """Disturb the pair for some time."""
        self.pair.noise(probability, seconds)
        self._tell("noise", probability=probability, seconds=seconds)

    def see(self, seen: Sequence[ByteSeen | LampsSeen]) -> None:
        """Look at the lamps."""
        for item in seen:
            if isinstance(item, LampsSeen):
                self.seals[item.source].eye.see(item.at, green=item.green, red=item.red)

    def state(self, seal: Seal) -> dict[str, Any]:
        """What can be seen of one chip from outside."""
        chip = self.pair.chip(seal.index)
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
            "lamps": seal.eye.says(self.pair.now),
            "flash": {
                "busy": bool(chip.flash_busy),
                "programs": chip.flash_programs,
                "erases": chip.flash_erases,
                "cut": chip.flash_cut,
            },
        }

    def pair_state(self) -> dict[str, Any]:
        """Simulated time, the troubles of the pair, and the counters of each host end in use."""
        state = self.pair.state
        ends = []
        for number in range(self.pair.ends):
            end = self.pair.end(number)
            counters = {name: int(getattr(end, name)) for name in END_COUNTERS}
            if any(counters.values()):
                ends.append({"end": number, **counters})
        return {
            "seconds": round(self.pair.now, 6),
            "collided_bits": state.collided_bits,
            "noisy_bits": state.noisy_bits,
            "ends": ends,
        }

    def _change_loop(self, seal: Seal, **changes: Any) -> None:
        loop = replace(seal.head.loop, **changes)
        self._put(seal, replace(seal.head, loop=loop))
        self.pair.loop(seal.index, loop)
        self._tell("loop", seal=seal.name, **changes)

    def _move(self, seal: Seal, *, closed: bool) -> None:
        self._put(seal, replace(seal.head, closed=closed))
        self._tell("position", seal=seal.name, position="closed" if closed else "open")

    def _put(self, seal: Seal, head: Head) -> None:
        head.save(seal.flash.path)
        seal.head = head


def open_seals(paths: list[Path]) -> list[Seal]:
    """The seals of these flash files, numbered in this order; all of them, or none stays open."""
    seals: list[Seal] = []
    try:
        for path in paths:
            seals.append(Seal(len(seals), FlashFile(path)))
    except BaseException:
        for seal in seals:
            seal.flash.close()
        raise
    return seals
