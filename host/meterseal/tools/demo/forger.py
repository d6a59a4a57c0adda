"""Simulates an attacker on the bus, which overhears reports, replays them, and forges others."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import replace
from types import TracebackType

from meterseal.clock import Clock
from meterseal.domain.layout import LayoutError
from meterseal.domain.record import NO_FLAGS, Kind, SealRecord, StateClass
from meterseal.domain.signing import KEY_BYTES, sign
from meterseal.errors import Failure
from meterseal.octets.hexadecimal import hex_digits
from meterseal.protocols.dlt645 import Decoder, Frame, Received, requests
from meterseal.protocols.dlt645.control import Function
from meterseal.protocols.dlt645.requests import Write
from sealchip.interface import Di

__all__ = ["Forger"]

#: Seconds of silence before a request, seconds for its answer, and number of tries.
_QUIET, _ANSWER, _TRIES = 0.2, 1.0, 20


class Forger:
    """Occupies one more host end of the bus at `endpoint`, as an async context manager."""

    def __init__(self, endpoint: tuple[str, int], baud: int, clock: Clock) -> None:
        self._endpoint = endpoint
        self._byte_time = 11 / baud
        self._clock = clock
        self._decoder = Decoder()
        self._received_at = clock.monotonic()
        self._overheard: dict[str, dict[Kind, bytes]] = {}
        self._answers: dict[str, Frame] = {}

    async def __aenter__(self) -> Forger:
        self._reader, self._writer = await asyncio.open_connection(*self._endpoint)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def replay(self, seal: str, meter: str, kind: Kind) -> None:
        """Send the seal's last report of `kind` again, byte for byte."""
        try:
            record = self._overheard[seal][kind]
        except KeyError:
            raise Failure(f"no {kind.name.lower()} of seal {seal} was overheard on the bus") from None
        await self._report(meter, record)

    async def forge_closing(self, seal: str, meter: str) -> None:
        """Report a closing under the seal's next number, signed with a key that is not the seal's."""
        newest = max(
            (SealRecord.decode(record) for record in self._overheard.get(seal, {}).values()),
            key=lambda record: record.counter,
            default=SealRecord(seal, 1, 0, Kind.BOOT, StateClass.UNKNOWN),
        )
        closing = replace(
            newest,
            counter=newest.counter + 1,
            kind=Kind.CLOSED,
            state=StateClass.SEALED,
            flags=NO_FLAGS,
            excursions=0,
            age=0,
        )
        await self._report(meter, sign(secrets.token_bytes(KEY_BYTES), closing).encode())

    async def ask(self, request: Frame) -> Frame:
        """Send a request to a meter or a seal, again until it is answered, and return the answer."""
        raw = request.encode()
        for _ in range(_TRIES):
            while (pause := self._received_at + _QUIET - self._clock.monotonic()) > 0:
                await asyncio.sleep(pause)
            self._answers.pop(request.address, None)
            self._writer.write(raw)
            await self._writer.drain()
            end = self._clock.monotonic() + len(raw) * self._byte_time + _ANSWER
            while self._clock.monotonic() < end:
                answer = self._answers.get(request.address)
                if answer is not None and answer.function == request.function:
                    return answer
                await asyncio.sleep(0.02)
        raise Failure(f"{request.address} answered nothing in {_TRIES} tries")

    async def _report(self, meter: str, record: bytes) -> None:
        answer = await self.ask(requests.write(meter, Di.REPORT, record))
        if answer.refused:
            raise Failure(f"meter {meter} refuses the report: {hex_digits(answer.data)}")

    async def _listen(self) -> None:
        while data := await self._reader.read(4096):
            self._received_at = self._clock.monotonic()
            for item in self._decoder.feed(data, self._received_at):
                if isinstance(item, Received):
                    self._overhear(item.frame)

    def _overhear(self, frame: Frame) -> None:
        if frame.from_slave:
            self._answers[frame.address] = frame
        elif frame.control == Function.WRITE and frame.di == Di.REPORT:
            # A record that cannot be decoded can neither be replayed nor imitated.
            with contextlib.suppress(LayoutError):
                record = Write.parse(frame).data
                decoded = SealRecord.decode(record)
                self._overheard.setdefault(decoded.seal, {})[decoded.kind] = record
