"""The blink codes of a seal, decoded from changes of its lamps."""

from __future__ import annotations

__all__ = ["BlinkDecoder"]

#: Seconds: a flash is shorter than the first, the pause between two groups lies between the second and third.
_FLASH_MAX, _PAUSE_MIN, _DARK = 0.4, 0.7, 2.0


class BlinkDecoder:
    """Counts the flashes of the red lamp; times are in seconds and must not decrease.

    Test: `verif/host/sim/chip/test_bus_watch.py::test_lamps_are_read`.
    """

    def __init__(self) -> None:
        self._green = self._red = False
        self._changed = 0.0
        self._flashes = 0
        self._group: int | None = None

    def update(self, at: float, *, green: bool, red: bool) -> None:
        """Take the state of the lamps from `at` on."""
        lasted = at - self._changed
        if green or self._green:
            self._group, self._flashes = None, 0
        elif self._red and not red:
            self._flashes = self._flashes + 1 if lasted < _FLASH_MAX else 0
        elif red and lasted > _PAUSE_MIN:
            self._group, self._flashes = self._flashes or None, 0
        self._green, self._red, self._changed = green, red, at

    def shown(self, now: float) -> str:
        """Return `green`, `red`, `dark`, `red N` for groups of N flashes, `red ?` before one was counted."""
        lasted = now - self._changed
        if self._green:
            return "green"
        if self._red and lasted > _FLASH_MAX:
            return "red"
        if not self._red and (lasted > _DARK or not (self._flashes or self._group)):
            return "dark"
        return f"red {self._group or '?'}"
