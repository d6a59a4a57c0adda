"""Trace lines for the traffic on the bus: frames, bytes that are no frame, and each event once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from meterseal.domain.layout import LayoutError
from meterseal.domain.record import SealRecord
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.decoder import Decoder, Discarded, Received
from meterseal.protocols.dlt645.frame import Frame, FrameError
from meterseal.protocols.dlt645.requests import Write
from meterseal.sim.chip.bus import ByteSeen, LampsSeen
from sealchip.interface import Di

__all__ = ["Line", "Watch"]

#: What happened, and its fields.
Line = tuple[str, dict[str, Any]]


class _Driver:
    """The bytes that one driver has put on the bus since its last whole frame."""

    def __init__(self, name: str, *, chip: bool) -> None:
        self.name = name
        self.chip = chip
        self.decoder = Decoder()
        #: For each byte that the decoder still holds, whether the bus carried another level than was driven.
        self.damaged: deque[bool] = deque()


class Watch:
    """Follows the tap of a bus; `chips` and `ends` are the drivers' names in the tap's order.

    An event is traced when the chip has transmitted its report whole for the first time since this process
    started. A chip compares the bus with what it drives and drops a frame that collides, so it received a
    whole frame as transmitted; `corrupted` on the `wire` line shows that other receivers may not have.
    Tests: `verif/host/sim/chip/test_bus_watch.py`.
    """

    def __init__(self, chips: Sequence[str], ends: Sequence[str]) -> None:
        self._drivers = [_Driver(name, chip=True) for name in chips]
        self._drivers += [_Driver(name, chip=False) for name in ends]
        self._traced: set[tuple[str, int]] = set()

    def feed(self, seen: Sequence[ByteSeen | LampsSeen], now: float) -> Iterator[Line]:
        """Yield the lines for `seen` and for the passing of time until `now`, in simulated seconds."""
        for item in seen:
            driver = self._drivers[item.source]
            if isinstance(item, LampsSeen):
                yield "lamps", {"seal": driver.name, "green": item.green, "red": item.red}
                continue
            driver.damaged.append(item.corrupted or item.malformed)
            for decoded in driver.decoder.feed(bytes([item.byte]), item.at):
                yield from self._decoded(driver, decoded)
        for driver in self._drivers:
            deadline = driver.decoder.deadline
            if deadline is not None and now > deadline:
                for decoded in driver.decoder.idle(now):
                    yield from self._decoded(driver, decoded)

    def _decoded(self, driver: _Driver, decoded: Received | Discarded) -> Iterator[Line]:
        damaged = [driver.damaged.popleft() for _ in decoded.raw]
        corrupted = any(damaged)
        line: dict[str, Any] = {
            "direction": "tx" if driver.chip else "rx",
            "wire": "rs485",
            "bytes": hex_digits(decoded.raw),
            "driver": driver.name,
        }
        if corrupted:
            line["corrupted"] = True
        yield "wire", line
        if isinstance(decoded, Discarded):
            yield "discarded", {"bytes": line["bytes"], "reason": decoded.reason.value, "driver": driver.name}
        elif driver.chip:
            yield from self._event(decoded.frame)

    def _event(self, frame: Frame) -> Iterator[Line]:
        if frame.control != Function.WRITE or frame.di != Di.REPORT:
            return
        try:
            record = SealRecord.decode(Write.parse(frame).data)
        except (FrameError, LayoutError) as error:
            yield "discarded", {"bytes": hex_digits(frame.data), "reason": str(error)}
            return
        if (record.seal, record.counter) in self._traced:
            return
        self._traced.add((record.seal, record.counter))
        yield (
            "event",
            {
                "seal": record.seal,
                "boot": record.boot,
                "counter": record.counter,
                "kind": record.kind.name.lower(),
                "state": record.state.name.lower(),
            },
        )
