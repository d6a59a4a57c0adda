"""Reads a seal for the installer over any serial port, by requests or by listening only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meterseal.clock import SystemClock
from meterseal.domain.layout import LayoutError, unpack
from meterseal.domain.record import SealRecord
from meterseal.io.ports import Line
from meterseal.octets import bcd
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.decoder import Decoder, Received
from meterseal.protocols.dlt645.frame import Frame, FrameError
from meterseal.protocols.dlt645.requests import Write, read
from meterseal.tools.installer.client import connect
from meterseal.trace import Trace
from sealchip.interface import IDENTITY_REPORT, RECORD, Di

__all__ = ["Reading", "asset_number", "document", "read_log", "read_seal", "watch"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Holds the identity of a seal and its newest record."""

    address: str
    asset: str
    record: SealRecord


def asset_number(raw: bytes) -> str:
    """Return the text of an asset number, which is on the wire last character first and padded with 00."""
    return raw.rstrip(b"\0")[::-1].decode("ascii", "backslashreplace")


def document(record: SealRecord) -> dict[str, object]:
    """Return a record as JSON and trace lines show it, with codes in words and bytes in hex."""
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
        "challenge": hex_digits(record.challenge),
        "mac": hex_digits(record.mac),
    }


async def read_seal(url: str, address: str | None, *, baud: int, record: Path | None = None) -> Reading:
    """Read identity and newest record of the seal at `address`, or of the only device on the line.

    `Failure` when the port is absent or busy, and when the seal does not answer or refuses.
    """
    async with connect(url, baud, record=record) as client:
        address = await client.address(address)
        asset = asset_number((await client.ask(read(address, Di.ASSET_NUMBER))).content)
        newest = await client.ask(read(address, Di.RECORD_NEWEST))
        return Reading(newest.frame.address, asset, SealRecord.decode(newest.content))


async def read_log(
    url: str, address: str | None, *, baud: int, record: Path | None = None
) -> list[SealRecord]:
    """Return the events that the seal still has, at most 64, newest first; errors as `read_seal`.

    An event that happens meanwhile shifts the others, so one may be read twice; it is listed once.
    """
    async with connect(url, baud, record=record) as client:
        content = (await client.ask(read(await client.address(address), Di.EVENT_LOG))).content
    starts = range(0, len(content), RECORD.size)
    records = [SealRecord.decode(content[start : start + RECORD.size]) for start in starts]
    return list({record.counter: record for record in records}.values())


async def watch(url: str, *, baud: int, trace: Trace, record: Path | None = None) -> None:
    """Trace every report and identity on the line until cancelled, without transmitting."""
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
                    _trace_frame(decoded.frame, trace)
    finally:
        line.close()


def _trace_frame(frame: Frame, trace: Trace) -> None:
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
        trace("discarded", bytes=hex_digits(frame.data), reason=str(error))
