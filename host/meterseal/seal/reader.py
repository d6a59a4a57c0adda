"""The installer's look at a seal over any serial port: as a polite master, or only listening."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from meterseal import bcd
from meterseal.clock import Clock, SystemClock
from meterseal.dlt645.control import Function
from meterseal.dlt645.decoder import Decoder, Received
from meterseal.dlt645.frame import Frame, FrameError
from meterseal.dlt645.master import Answered, Master, Refused, Send, TimedOut
from meterseal.dlt645.requests import Write, read, read_address
from meterseal.errors import Failure
from meterseal.io.bus import Manners
from meterseal.io.ports import Line, Port, PortLost, open_port
from meterseal.seal.layout import LayoutError, unpack
from meterseal.seal.record import SealRecord
from meterseal.trace import Trace
from sealchip.interface import IDENTITY_REPORT, Di

__all__ = ["Reading", "asset_number", "document", "read_seal", "watch"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a seal says of itself."""

    address: str
    asset: str
    record: SealRecord


def asset_number(raw: bytes) -> str:
    """The text of an asset number on the wire: last character first, padded with 00 behind."""
    return raw.rstrip(b"\0")[::-1].decode("ascii", "backslashreplace")


def document(record: SealRecord) -> dict[str, object]:
    """A record as JSON and trace lines show it; codes in words, bytes in hex."""
    return {
        "seal": record.seal,
        "boot": record.boot,
        "counter": record.counter,
        "kind": record.kind.name.lower(),
        "state": record.state.name.lower(),
        "loop_mv": record.loop_mv,
        "flags": [flag.name.lower() for flag in record.flags if flag.name],
        "excursions": record.excursions,
        "age": record.age,
        "algorithm": record.algorithm.name.lower(),
        "challenge": record.challenge.hex().upper(),
        "mac": record.mac.hex().upper(),
    }


async def read_seal(url: str, address: str | None, *, baud: int, record: Path | None = None) -> Reading:
    """Ask the seal at `address`, or the only device on the line, who it is and what happened last.

    `Failure` when the port is not there or busy, and when the seal does not answer or refuses.
    """
    try:
        address = None if address is None else bcd.address(bcd.address_bytes(address))
        port = await open_port(url, baud, record=record)
    except ValueError as error:
        raise Failure(str(error)) from None
    except PortLost as lost:
        raise Failure(f"the port {url} is not there: {lost}") from None
    try:
        asker = _Asker(port, baud, SystemClock())
        if address is None:
            address = bcd.address((await asker.ask(read_address())).content)
        asset = asset_number((await asker.ask(read(address, Di.ASSET_NUMBER))).content)
        newest = await asker.ask(read(address, Di.RECORD_NEWEST))
        return Reading(newest.frame.address, asset, SealRecord.decode(newest.content))
    except PortLost as lost:
        raise Failure(f"the port {url} went away: {lost}") from None
    except LayoutError as error:
        raise Failure(f"the answer is not a seal's: {error}") from None
    finally:
        port.close()


async def watch(url: str, *, baud: int, trace: Trace, record: Path | None = None) -> None:
    """Tell of every report and identity on the line until cancelled; say nothing on it."""
    line = Line(url, baud=baud, trace=trace, record=record)
    await line.open()
    decoder = Decoder()
    clock = SystemClock()
    try:
        while True:
            data = await line.read(timeout=1.0)
            now = clock.monotonic()
            for decoded in [*decoder.idle(now), *decoder.feed(data, now)]:
                if isinstance(decoded, Received):
                    _tell(decoded.frame, trace)
    finally:
        line.close()


class _Asker:
    """One exchange after the other, each when the line is free."""

    def __init__(self, port: Port, baud: int, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._master = Master(baud=baud)
        self._manners = Manners()
        # Whoever talks now is heard before the first request.
        self._manners.heard(clock.monotonic())

    async def ask(self, request: Frame) -> Answered:
        while self._clock.monotonic() < self._manners.free_at:
            await self._events(self._manners.free_at)
        await self._port.write(self._master.start(request, self._clock.monotonic()))
        while True:
            for event in await self._events(self._master.deadline):
                match event:
                    case Send(raw):
                        await self._port.write(raw)
                    case Answered():
                        self._manners.finished(self._clock.monotonic())
                        return event
                    case Refused(_, err):
                        raise Failure(f"the seal refuses {request.data.hex().upper()} with ERR {err:02X}")
                    case TimedOut():
                        raise Failure(f"no answer from {request.address}: check address, baud rate and wires")

    async def _events(self, until: float | None) -> list[object]:
        """What comes in before `until`, or what the time then means."""
        wait = None if until is None else max(0.0, until - self._clock.monotonic())
        try:
            async with asyncio.timeout(wait):
                data = await self._port.read()
        except TimeoutError:
            return list(self._master.tick(self._clock.monotonic()))
        self._manners.heard(self._clock.monotonic())
        return list(self._master.receive(data, self._clock.monotonic()))


def _tell(frame: Frame, trace: Trace) -> None:
    if frame.control != Function.WRITE or frame.di not in (Di.REPORT, Di.REPORT_IDENTITY):
        return
    try:
        data = Write.parse(frame).data
        if frame.di == Di.REPORT:
            trace("report", meter=frame.address, **document(SealRecord.decode(data)))
        else:
            fields = unpack(IDENTITY_REPORT, data)
            seal, asset = bcd.address(fields["seal"]), asset_number(fields["asset"])
            trace("identity", meter=frame.address, seal=seal, asset=asset)
    except (FrameError, LayoutError) as error:
        trace("discarded", bytes=frame.data.hex().upper(), reason=str(error))
